"""The events of a run while it goes on."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Generic, Self

from aios.agent.events import RunEnded, RunEvent, RunText
from aios.agent.loop import Events
from aios.agent.results import AgentResult
from aios.errors import PreconditionFailed
from aios.types.runs import OutputT

if TYPE_CHECKING:
    from aios.sync.portal import Portal


class AgentStream(Generic[OutputT]):
    """The events of a run, in order; the run goes on as they are read.

    Iterate over it, or call `result()` for the end alone. Leave it early with `aclose()` or as an
    `async with` block: that cancels the model's call and the tools that run.
    """

    def __init__(self, events: Events) -> None:
        self._events = events
        self._result: AgentResult[OutputT] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RunEvent:
        event = await anext(self._events)
        if isinstance(event, RunEnded):
            self._result = event.result
        return event

    async def texts(self) -> AsyncIterator[str]:
        """Yield only the pieces of text."""
        async for event in self:
            if isinstance(event, RunText):
                yield event.text

    async def result(self) -> AgentResult[OutputT]:
        """Read the stream to its end and return what came of it. Raises what `Agent.run` raises."""
        async for _ in self:
            pass
        if self._result is None:
            raise PreconditionFailed("the run was left before its end")
        return self._result

    async def aclose(self) -> None:
        """Cancel the run, unless it has ended."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class SyncAgentStream(Generic[OutputT]):
    """The synchronous twin of `AgentStream`: iterate with `for`, leave with `close()` or a `with` block."""

    def __init__(self, inner: AgentStream[OutputT], portal: "Portal") -> None:
        self._inner = inner
        self._portal = portal

    def __iter__(self) -> Iterator[RunEvent]:
        return self._portal.iterate(self._inner)

    def texts(self) -> Iterator[str]:
        """Yield only the pieces of text."""
        return self._portal.iterate(self._inner.texts())

    def result(self) -> AgentResult[OutputT]:
        """Read the stream to its end and return what came of it."""
        return self._portal.run(self._inner.result())

    def close(self) -> None:
        """Cancel the run, unless it has ended."""
        self._portal.run(self._inner.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
