"""Server-sent events as inference servers send them: one line of data an event. Pure."""

from typing import Final

from gateway.inference.errors import BackendBroken

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes of one event at most."""


class EventLines:
    """Cuts a stream of bytes into the data of its events, wherever the chunks happen to end.

    Comments, other fields and empty data are left out. An event is complete at the end of its line: servers
    that forget the blank line after it are read all the same, and none spreads an event over two lines.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that `chunk` completes. Raises BackendBroken for an endless line."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise BackendBroken("an event of the stream has no end")
        found = (line[5:].strip() for line in lines if line.startswith(b"data:"))
        return [data for data in found if data]
