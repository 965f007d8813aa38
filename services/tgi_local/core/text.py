"""From token bytes to text that never shows half a character, and stop strings. Pure."""

import codecs
from collections.abc import Iterable, Mapping, Sequence


class TextAssembler:
    """Turns the bytes of one token after the other into text.

    A character whose bytes arrive in several tokens appears with the last of them; the earlier ones give "".
    A stop string ends the text: what the token holds after it is cut off, the stop string itself stays.
    """

    def __init__(self, stop: Iterable[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = tuple(stop)
        self._reach = max((len(s) for s in self._stop), default=1) - 1
        self._tail = ""
        self._parts: list[str] = []
        self.stopped = False

    @property
    def text(self) -> str:
        """Everything given out so far."""
        return "".join(self._parts)

    def prime(self, pieces: Sequence[bytes]) -> None:
        """Take earlier output in: half characters and stop strings then continue across the cut."""
        self._remember(self._decoder.decode(b"".join(pieces)))

    def add(self, piece: bytes) -> str:
        """Return the text this token completes."""
        text = self._decoder.decode(piece)
        if text and self._stop:
            text = self._until_stop(text)
            self._remember(text)
        self._parts.append(text)
        return text

    def _until_stop(self, text: str) -> str:
        window = self._tail + text
        ends = [at + len(s) for s in self._stop if (at := window.find(s)) >= 0]
        if not ends:
            return text
        self.stopped = True
        return window[len(self._tail) : min(ends)]

    def _remember(self, text: str) -> None:
        self._tail = (self._tail + text)[-self._reach :] if self._reach else ""


def segmentations(
    data: bytes, count: int, ids_by_bytes: Mapping[bytes, Sequence[int]], *, limit: int = 2
) -> list[tuple[int, ...]]:
    """List ways to write `data` as exactly `count` tokens, longest first token first; at most `limit`."""
    if count == 0:
        return [] if data else [()]
    found: list[tuple[int, ...]] = []
    for size in range(len(data) - count + 1, 0, -1):
        for token in ids_by_bytes.get(data[:size], ()):
            rest = segmentations(data[size:], count - 1, ids_by_bytes, limit=limit - len(found))
            found.extend((token, *tail) for tail in rest)
            if len(found) >= limit:
                return found
    return found
