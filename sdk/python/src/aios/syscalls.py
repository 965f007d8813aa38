"""Ready-made tools that run as kernel syscalls, under the agent's own identity and rights.

`remember`, `recall`, `write_file` and `read_file` use the agent's memory and files; every other name is a
tool of the kernel (`calculator`, `clock`, `convert_units`, `search_files`, `edit`, `grep`, or whatever is
registered), called through it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

from aios import errors
from aios._containment import MAX_RESULT_BYTES, clean, contained, describe, refuse_lazy
from aios.kernel import Kernel
from aios.toolkit import Tool, as_tool
from aios.types.llm import ToolSpec
from aios.types.tools import text_of

_STRING = {"type": "string"}
_NUMBER = {"type": "number"}


class RunnableTool(Protocol):
    """What an agent can run: shown to the model as `spec`."""

    @property
    def spec(self) -> ToolSpec:
        """The tool as the model sees it."""
        ...

    async def run(self, arguments: Mapping[str, Any]) -> Any:
        """Run it. Raises whatever goes wrong."""
        ...


@runtime_checkable
class ToolSource(Protocol):
    """What adds tools of its own choice for a task, such as `AllTools`."""

    async def open(self, kernel: Kernel, task: str, tools: "dict[str, RunnableTool]") -> None:
        """Add tools by their names; more may be added while the agent runs. Raises an `AiosError`."""
        ...


def _object(**properties: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


STANDARD: Final[Mapping[str, ToolSpec]] = {
    spec.name: spec
    for spec in (
        ToolSpec("calculator", "Evaluate an arithmetic expression.", _object(expression=_STRING)),
        ToolSpec("clock", "Tell the current time.", _object()),
        ToolSpec(
            "convert_units",
            "Convert a value from one unit to another.",
            _object(**{"value": _NUMBER, "from": _STRING, "to": _STRING}),
        ),
        ToolSpec("search_files", "Search the agent's files.", _object(query=_STRING)),
    )
}
"""The kernel's built-in tools, as the model is shown them; others are looked up."""


class KernelTool:
    """A tool of the kernel: running it is a CallTool syscall."""

    def __init__(self, kernel: Kernel, spec: ToolSpec) -> None:
        self._kernel = kernel
        self.spec = spec

    async def run(self, arguments: Mapping[str, Any]) -> Any:
        """Call the tool. Raises an `AiosError`."""
        return str(await self._kernel.tools.call(self.spec.name, arguments))


def _remember(kernel: Kernel) -> Tool:
    async def remember(key: str, value: str) -> None:
        """Store a note."""
        await kernel.memory.put(key, value)

    return Tool(remember)


def _recall(kernel: Kernel) -> Tool:
    async def recall(key: str, agent: str = "") -> str:
        """Read a note of this or another agent."""
        return (await kernel.memory.get(key, agent=agent or "me")).content

    return Tool(recall)


def _write_file(kernel: Kernel) -> Tool:
    async def write_file(path: str, content: str) -> None:
        """Write text to a file."""
        await kernel.files.write(path, content)

    return Tool(write_file)


def _read_file(kernel: Kernel) -> Tool:
    async def read_file(path: str) -> str:
        """Return the content of a file."""
        return await kernel.files.read_text(path)

    return Tool(read_file)


OWN: Final[Mapping[str, Callable[[Kernel], Tool]]] = {
    "remember": _remember,
    "recall": _recall,
    "write_file": _write_file,
    "read_file": _read_file,
}
"""The tools that use the agent's memory and files."""


AnyTool = RunnableTool | ToolSource | Callable[..., Any] | str
"""What an agent's tools may be: a tool, a plain function, a source of tools, or a name."""


async def resolve(kernel: Kernel, tools: Sequence[AnyTool], task: str = "") -> dict[str, RunnableTool]:
    """Return tools by name, in order; names stand for syscall tools, what sources add comes last.

    Raises NotFound for an unknown name, and TypeError for what is no tool.
    """
    found: dict[str, RunnableTool] = {}
    sources: list[ToolSource] = []
    for one in tools:
        if isinstance(one, ToolSource):
            sources.append(one)
            continue
        tool: RunnableTool = await _named(kernel, one) if isinstance(one, str) else as_tool(one)
        if not hasattr(tool, "spec"):
            raise TypeError(f"{one!r} is no tool: give a function, a Tool, or a name")
        found[tool.spec.name] = tool
    for source in sources:
        await source.open(kernel, task, found)
    return found


async def _named(kernel: Kernel, name: str) -> RunnableTool:
    if name in OWN:
        return OWN[name](kernel)
    if name in STANDARD:
        return KernelTool(kernel, STANDARD[name])
    return KernelTool(kernel, (await kernel.tools.get(name)).spec)


_SHORT: Final[Sequence[tuple[type[errors.AiosError], str]]] = (
    (errors.PermissionDenied, "permission denied"),
    (errors.QuotaExceeded, "quota exceeded"),
    (errors.ToolTimeout, "timed out"),
    (errors.DeadlineExceeded, "deadline exceeded"),
    (errors.Unavailable, "unavailable"),
)
_NOT_FOUND: Final = {"NOTE_NOT_FOUND": "no such note", "FILE_NOT_FOUND": "file not found"}


async def attempt(run: Callable[[], Awaitable[Any]]) -> tuple[str, BaseException | None]:
    """Run a tool and return what the model reads, its result or `error: ...`, and what it raised.

    Nothing is raised but a cancellation: the model is told what went wrong and may try something else.
    """

    async def work() -> str:
        value = await run()
        refuse_lazy(value)
        return _sized(clean(text_of(value)))

    try:
        return str(await contained(work)), None
    except Exception as error:  # noqa: BLE001  # a tool's failure is the model's to handle, whatever it is
        return text_of_error(error), error


async def run_as_text(tool: RunnableTool, arguments: Mapping[str, Any]) -> str:
    """Run a tool and return what the model reads: its result, or `error: ...`; see `attempt`."""
    text, _ = await attempt(lambda: tool.run(arguments))
    return text


def text_of_error(error: Exception) -> str:
    """Return what the model reads of a failure."""
    if isinstance(error, errors.AiosError):
        return clean(f"error: {_reason(error)}")
    return f"error: {_text(error)}"


def _sized(text: str) -> str:
    size = len(text.encode())
    if size > MAX_RESULT_BYTES:
        raise errors.ToolFailed(f"the result is {size} bytes; the most is {MAX_RESULT_BYTES}")
    return text


def _text(error: Exception) -> str:
    """Return an exception's own words, without its type where it has any."""
    told, name = describe(error), type(error).__name__
    return told.removeprefix(f"{name}: ") or name


def _reason(error: errors.AiosError) -> str:
    if isinstance(error, errors.NotFound):
        return _NOT_FOUND.get(error.reason, "not found")
    return next((text for kind, text in _SHORT if isinstance(error, kind)), error.message or error.reason)
