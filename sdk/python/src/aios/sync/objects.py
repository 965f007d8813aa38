"""Synchronous twins of the objects that calls return."""

from collections.abc import Iterator
from typing import Self

from aios.calls.provider import Provider
from aios.calls.stream import TextStream
from aios.sync.portal import Portal
from aios.types.llm import Answer, StreamEvent


class SyncTextStream:
    """The events of a generation, in order. Iterate over it, or call `answer()` at once for the end alone.

    Text is delivered once, also across preemptions and broken connections. Leave it early with `close()`
    or as a `with` block: that cancels the generation.
    """

    def __init__(self, inner: TextStream, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    @property
    def name(self) -> str:
        """Resource name of the generation; empty before the first event."""
        return self._inner.name

    def __iter__(self) -> Iterator[StreamEvent]:
        return self._portal.iterate(self._inner)

    def texts(self) -> Iterator[str]:
        """Yield only the pieces of text."""
        return self._portal.iterate(self._inner.texts())

    def answer(self) -> Answer:
        """Read the stream to its end and return the whole answer."""
        return self._portal.run(self._inner.answer())

    def close(self) -> None:
        """Cancel the generation, unless it has ended."""
        self._portal.run(self._inner.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class SyncProvider:
    """Serves calls of local functions in the background.

    When the kernel refuses for good, `error` says why, and so does the end of the block.
    """

    def __init__(self, inner: Provider, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    @property
    def error(self) -> BaseException | None:
        """What ended the provider for good; None while it serves."""
        return self._inner.error

    def wait(self) -> None:
        """Serve until the kernel refuses for good, or an interrupt. Raises what it refused with."""
        self._portal.run(self._inner.wait())
