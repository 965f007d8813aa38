"""Each driver of tools with tools that misbehave in every way, for the suite that all drivers pass."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum
from typing import Any, Protocol

from services.chassis.runtime.clock import SystemClock
from services.tool.drivers.builtin.functions import BuiltinDriver
from services.tool.errors import ToolFailed
from services.tool.model import Driver, DriverKind, Effect, Progress, Tool, ToolOutcome
from services.tool.ports import Job, ToolDriver
from tests.fakes.tool import FakeFiles

SECRET = "canary-3f9a1c77e2"
"""What tools of this kind know as a secret, where a driver has secrets."""


class Behaviour(Enum):
    """What a tool does when it is called. A driver may have no way to do some of it."""

    ECHOES = "echoes"
    """Returns its argument `text` as `{"result": text}`."""
    FAILS = "fails"
    """Says that it failed, and why: `out of paper`."""
    HANGS = "hangs"
    """Does not end by itself, and ignores wishes to."""
    DIES = "dies"
    """Ends in the middle without an answer, and takes along what runs it."""
    FLOODS = "floods"
    """Says more than anybody wants to hear before it ends, or never ends saying."""
    BABBLES = "babbles"
    """Answers with what is no answer in its protocol."""
    HUGE = "huge"
    """Returns a result that is larger than a result may be."""
    TELLS = "tells"
    """Tells how far it is before it ends: a message with `half` in it."""
    LEAKS = "leaks"
    """Returns its secret in its result."""
    LEAKS_FAILING = "leaks failing"
    """Says its secret in its failure."""


class Harness(Protocol):
    """A driver, and how to make tools for it."""

    @property
    def driver(self) -> ToolDriver:
        """Return the driver."""
        ...

    @property
    def kind(self) -> DriverKind:
        """Return whose tools it runs."""
        ...

    def tool(self, behaviour: Behaviour) -> Tool | None:
        """Return a tool that behaves so, its argument being `text`; None: this driver's tools cannot."""
        ...

    def left(self) -> list[str]:
        """Name what is left of calls that have ended: processes, connections, files."""
        ...


Making = Callable[[], AbstractAsyncContextManager[Harness]]

TEXT_ONLY = '{"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": false}'


def tool_of(driver: Driver, name: str, effect: Effect = Effect.REVERSIBLE) -> Tool:
    """Return a tool of a driver that takes a text."""
    return Tool(
        id=name,
        description=f"It {name}.",
        parameters_schema=TEXT_ONLY,
        effect=effect,
        timeout_seconds=10.0,
        driver=driver,
    )


class _Scripted(BuiltinDriver):
    """The driver of built-in functions with functions that misbehave."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), FakeFiles())
        self.running = 0

    async def prepare(self, _scope: object, tool: Tool) -> Tool:
        """Take every function."""
        return tool

    async def run(self, job: Job) -> ToolOutcome:
        """Misbehave."""
        self.running += 1
        try:
            return ToolOutcome(value=await _misbehave(Behaviour(job.tool.driver.function), job))
        finally:
            self.running -= 1


async def _misbehave(behaviour: Behaviour, job: Job) -> Mapping[str, Any]:
    match behaviour:
        case Behaviour.FAILS:
            raise ToolFailed("out of paper")
        case Behaviour.HANGS:
            await asyncio.sleep(3600)
        case Behaviour.DIES:
            raise ConnectionResetError
        case Behaviour.BABBLES:
            return {"result": float("nan")}
        case Behaviour.HUGE:
            return {"result": "x" * (2 << 20)}
        case Behaviour.TELLS:
            job.tell(Progress(1, 2, "half"))
    return {"result": job.arguments.get("text", "")}


class BuiltinHarness:
    """Built-in functions: they say nothing beside their result, and know no secrets."""

    kind = DriverKind.BUILTIN

    def __init__(self) -> None:
        self.driver = _Scripted()

    def tool(self, behaviour: Behaviour) -> Tool | None:
        """Return a tool of a scripted function."""
        if behaviour in {Behaviour.FLOODS, Behaviour.LEAKS, Behaviour.LEAKS_FAILING}:
            return None
        return tool_of(Driver(DriverKind.BUILTIN, behaviour.value), behaviour.value)

    def left(self) -> list[str]:
        """Count functions that run."""
        return ["a function"] * self.driver.running


@asynccontextmanager
async def builtin() -> AsyncIterator[Harness]:
    """Make the harness of built-in functions."""
    yield BuiltinHarness()


DRIVERS: dict[str, Making] = {"builtin": builtin}
"""Every driver that the suite is run on."""
