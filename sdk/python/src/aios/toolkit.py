"""`@aios.tool`: typed Python functions as tools that a model may call."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, overload

from aios import schema
from aios._containment import in_thread
from aios.errors import ToolArgumentsInvalid, Violation
from aios.schema.signatures import name_of
from aios.types.llm import ToolSpec
from aios.types.runs import RunContext


class Tool:
    """A Python function that a model may call. It runs in the agent's own process.

    The name, description and parameters come from the function: its name, its docstring and its type hints.
    `Annotated[str, "what it means"]` describes a parameter, and so do the docstring's `Args:` (Google's,
    NumPy's or reST's style). A parameter of type `RunContext` gets what a tool may know of the run. On a
    method `self` is not shown; the tool is bound where it is looked up, as methods are.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str = "",
        description: str = "",
        timeout: float | None = None,
    ) -> None:
        self.function = function
        self.timeout = timeout
        self._signature = schema.signature_of(_callable(function))
        self.spec = ToolSpec(
            name or name_of(function), description or self._signature.description, self._signature.schema
        )

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.spec.name

    @property
    def is_method(self) -> bool:
        """Whether it is a method that is not bound to an object yet."""
        return self._signature.is_method

    @property
    def takes_context(self) -> bool:
        """Whether it wants to know of the run, and so runs in an agent only."""
        return bool(self._signature.context)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as if it were not decorated."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> "Tool":
        if not self.is_method or (instance is None and not isinstance(self.function, classmethod)):
            return self
        bound = self.function.__get__(instance, owner or type(instance))
        return Tool(bound, name=self.spec.name, description=self.spec.description, timeout=self.timeout)

    def __repr__(self) -> str:
        return f"<aios.Tool {self.name}>"

    async def run(self, arguments: Mapping[str, Any]) -> Any:
        """Run the function on JSON arguments; a plain function runs in a thread, so that it blocks nobody.

        Raises ToolArgumentsInvalid when the arguments do not fit, TypeError for a method without its object
        and for a function that wants a RunContext, and whatever the function raises.
        """
        return await self._run(arguments, None)

    async def run_within(self, context: RunContext[Any], arguments: Mapping[str, Any]) -> Any:
        """Run the function on JSON arguments, and let it know of the run; else as `run`."""
        return await self._run(arguments, context)

    async def _run(self, arguments: Mapping[str, Any], context: RunContext[Any] | None) -> Any:
        if self.is_method:
            raise TypeError(f"{self.name} is a method: take it from an object, as in `thing.{self.name}`")
        values = self._bind(arguments)
        if self._signature.context:
            if context is None:
                raise TypeError(f"{self.name} wants to know of its run: only an agent can call it")
            values[self._signature.context] = context
        if is_async(self.function):
            return await self.function(**values)
        return await in_thread(lambda: self.function(**values))

    def _bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._signature.bind(arguments)
        except schema.Misfit as misfit:
            raise ToolArgumentsInvalid(
                f"{self.name}: {misfit}",
                violations=tuple(Violation(path, text) for path, text in misfit.problems),
            ) from misfit


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether calling it makes a coroutine: a function, a method, a partial, an object."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # the method itself is wanted
    )


def as_tool(one: Any) -> Any:
    """Return a plain function as a tool; whatever is a tool already as it is."""
    return Tool(one) if callable(one) and not hasattr(one, "spec") else one


def _callable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function behind `staticmethod` and `classmethod`, whose signature is theirs."""
    wrapped: Callable[..., Any] = getattr(function, "__func__", function)
    return wrapped if isinstance(function, staticmethod | classmethod) else function


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *, name: str = "", description: str = "", timeout: float | None = None
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    description: str = "",
    timeout: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a typed function: `@aios.tool`, or `@aios.tool(name=..., description=..., timeout=...)`.

    `timeout`: most seconds that one call by an agent takes; the model is told when it took longer. Raises
    TypeError when a parameter has no JSON form.
    """
    if function is not None:
        return Tool(function)
    return lambda wrapped: Tool(wrapped, name=name, description=description, timeout=timeout)
