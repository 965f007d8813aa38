"""What a generation has produced, and how much of it may be delivered. Pure."""

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

from gateway.inference.model import ID_BYTES, Alternative, Place

MOST_PLACES: Final = 4_096
"""Places whose alternatives are kept; the newest ones."""
_ALTERNATIVE_BYTES: Final = 256


class Transcript:
    """The tokens of one generation with the text of each.

    Stop strings are the gateway's own business, because a backend forgets them when a generation moves:
    tokens whose text may be the beginning of a stop string are held back until it is clear, so that delivered
    text is never retracted. Delivery is by whole tokens: the text of the first `released` tokens is exactly
    what callers have seen.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.token_ids: list[int] = []
        self.pieces: list[str] = []
        self.released = 0
        """Tokens that callers may see."""
        self.stopped = False
        """Whether a stop string was met; nothing may be appended after that."""
        self._stops = tuple(stops)
        self._places: deque[Place] = deque(maxlen=MOST_PLACES)

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def text(self) -> str:
        """All text so far, the held-back part included."""
        return "".join(self.pieces)

    @property
    def size(self) -> int:
        """Memory that it takes, about. Unit: bytes."""
        texts = sum(map(sys.getsizeof, self.pieces))
        alternatives = sum(1 + len(place.alternatives) for place in self._places)
        return texts + len(self.pieces) * ID_BYTES + alternatives * _ALTERNATIVE_BYTES

    def append(self, token_id: int, piece: str, alternatives: tuple[Alternative, ...] = ()) -> None:
        """Add one token."""
        self.token_ids.append(token_id)
        self.pieces.append(piece)
        if alternatives:
            self._places.append(Place(len(self.pieces), alternatives))
        if not self._stops:
            self.released += 1
        else:
            self._release()

    def extend(self, token_ids: Iterable[int], pieces: Iterable[str], places: Iterable[Place] = ()) -> None:
        """Add the tokens of an earlier part of the generation."""
        for token_id, piece in zip(token_ids, pieces, strict=True):
            self.append(token_id, piece)
        self._places.extend(places)

    def places(self, after: int = 0, last: int | None = None) -> tuple[Place, ...]:
        """Return what else the tokens after the first `after` ones might have been, up to the `last` one."""
        newest_first = takewhile(lambda place: place.sequence > after, reversed(self._places))
        shown = [place for place in newest_first if last is None or place.sequence <= last]
        return tuple(reversed(shown))

    def release_all(self) -> None:
        """Release what was held back: no more tokens follow."""
        self.released = len(self.pieces)

    def _release(self) -> None:
        # Searched from the first held-back token on: a stop string that began earlier would have held that
        # back.
        held = "".join(self.pieces[self.released :])
        found = min((at for stop in self._stops if (at := held.find(stop)) >= 0), default=-1)
        if found >= 0:
            self._cut(found)
            self.stopped = True
            self.release_all()
            return
        # A stop string that is still to come can begin no earlier than the longest end of the text that is
        # the beginning of one. What lies before that is clear, as far as it consists of whole tokens.
        clear = len(held) - max(_overlap(held, stop) for stop in self._stops)
        while self.released < len(self.pieces) and len(self.pieces[self.released]) <= clear:
            clear -= len(self.pieces[self.released])
            self.released += 1

    def _cut(self, keep: int) -> None:
        """Keep `keep` characters of the held-back text."""
        for index in range(self.released, len(self.pieces)):
            piece = self.pieces[index]
            self.pieces[index] = piece[:keep]
            keep = max(0, keep - len(piece))


def _overlap(text: str, stop: str) -> int:
    """Length of the longest proper beginning of `stop` that `text` ends with."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
