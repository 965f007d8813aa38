"""What drivers of programs in the sandbox share: how an end becomes a result or a failure, and progress."""

from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Final

from services.tool.core.sandboxing import EndKind, Limits, SandboxEnd
from services.tool.errors import SandboxLost, ToolFailed, ToolTimeout
from services.tool.model import Progress

SPARE_SECONDS: Final = 5.0
"""What a program may take longer than its call, whose end ends it."""
_TELLINGS: Final = 256
"""Most pieces of output that one call is told of."""
_LAST: Final = 2000


class Telling:
    """Tells a caller what a program prints, a line or more at a time, within a bound."""

    def __init__(self, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._told = 0

    def heard(self, stream: str, piece: bytes) -> None:
        """Hear a piece of output."""
        if stream != "stdout" or self._told >= _TELLINGS:
            return
        lines, end, self._rest = (self._rest + self._decoder.decode(piece)).rpartition("\n")
        if end:
            self._told += 1
            self._tell(Progress(partial_output=lines + end))


def check(end: SandboxEnd, limits: Limits) -> None:
    """Raise ToolFailed, ToolTimeout or SandboxLost for a program that did not end by itself."""
    match end.how:
        case EndKind.EXITED:
            return
        case EndKind.TIMEOUT:
            raise ToolTimeout("the tool ran longer, or computed more, than it may and was stopped")
        case EndKind.MEMORY:
            raise ToolFailed(f"the tool took more than {limits.memory_bytes} bytes of memory and was stopped")
        case EndKind.DISK:
            raise ToolFailed(
                f"the tool wrote more than {limits.scratch_bytes} bytes or {limits.scratch_entries} files"
            )
        case EndKind.OUTPUT:
            raise ToolFailed("the tool said more than it may and was stopped")
        case EndKind.PROCESSES:
            raise ToolFailed(f"the tool had more than {limits.processes} processes and was stopped")
        case EndKind.STOPPED:
            raise SandboxLost("the sandbox stopped while the tool ran")
        case EndKind.SIGNALLED:
            raise ToolFailed(f"the tool was ended by signal {end.code}{_said(end)}")


def last_words(end: SandboxEnd) -> ToolFailed:
    """Return the failure of a program that ended without an answer."""
    return ToolFailed(f"the tool ended with status {end.code} and without an answer{_said(end)}")


def _said(end: SandboxEnd) -> str:
    lines = end.stderr.decode(errors="replace").strip().splitlines()
    return f": {lines[-1][:_LAST]}" if lines else ""
