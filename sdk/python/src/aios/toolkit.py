"""`@aios.tool`: typed Python functions as tools that a model may call."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, overload

from aios import schema
from aios._containment import in_thread
from aios.errors import ToolArgumentsInvalid
from aios.types.llm import ToolSpec


class Tool:
    """A Python function that a model may call. It runs in the agent's own process.

    The name, description and parameters come from the function: its name, its docstring and its type hints.
    `Annotated[str, "what it means"]` describes a parameter.
    """

    def __init__(self, function: Callable[..., Any], *, name: str = "", description: str = "") -> None:
        self.function = function
        parameters, self._annotations = schema.parameters_of(function)
        self._is_async = inspect.iscoroutinefunction(function)
        self.spec = ToolSpec(
            name or function.__name__, description or inspect.getdoc(function) or "", parameters
        )

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.spec.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as if it were not decorated."""
        return self.function(*args, **kwargs)

    async def run(self, arguments: Mapping[str, Any]) -> Any:
        """Run the function on JSON arguments; a plain function runs in a thread, so that it blocks nobody.

        Raises ToolArgumentsInvalid when the arguments do not fit, and whatever the function raises.
        """
        values = self._bind(arguments)
        if self._is_async:
            return await self.function(**values)
        return await in_thread(lambda: self.function(**values))

    def _bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        required = self.spec.parameters["required"]
        missing = [name for name in required if name not in arguments]
        unknown = [name for name in arguments if name not in self._annotations]
        if missing or unknown:
            raise ToolArgumentsInvalid(f"{self.name}: missing {missing}, unknown {unknown}")
        try:
            names = {name: self._python_name(name) for name in arguments}
            return {
                names[name]: schema.build(self._annotations[name], value) for name, value in arguments.items()
            }
        except ValueError as error:
            raise ToolArgumentsInvalid(f"{self.name}: {error}") from error

    def _python_name(self, name: str) -> str:
        parameters = inspect.signature(self.function).parameters
        return name if name in parameters else f"{name}_"


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(*, name: str = "", description: str = "") -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None, /, *, name: str = "", description: str = ""
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a typed function: `@aios.tool`, or `@aios.tool(name=..., description=...)`.

    Raises TypeError when a parameter has no JSON form.
    """
    if function is not None:
        return Tool(function)
    return lambda wrapped: Tool(wrapped, name=name, description=description)
