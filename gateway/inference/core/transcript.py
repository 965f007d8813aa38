"""What a generation has produced, and how much of it may be delivered. Pure."""

import sys
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

from gateway.inference.core.stop_strings import StopStrings
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
        self.stop_string = ""
        """The one that was met."""
        self._stops = StopStrings(stops) if stops else None
        self._held = 0
        """Characters of the tokens that are not released."""
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
        alternatives = sum(2 + len(place.alternatives) for place in self._places)
        return texts + len(self.pieces) * ID_BYTES + alternatives * _ALTERNATIVE_BYTES

    def append(
        self,
        token_id: int,
        piece: str,
        alternatives: tuple[Alternative, ...] = (),
        chosen: Alternative | None = None,
    ) -> None:
        """Add one token."""
        self.token_ids.append(token_id)
        self.pieces.append(piece)
        if alternatives or chosen is not None:
            self._places.append(Place(len(self.pieces), alternatives, chosen))
        if self._stops is None:
            self.released += 1
        else:
            self._release(self._stops, piece)

    def extend(self, token_ids: Iterable[int], pieces: Iterable[str], places: Iterable[Place] = ()) -> None:
        """Add the tokens of an earlier part of the generation, up to a stop string."""
        for token_id, piece in zip(token_ids, pieces, strict=True):
            if self.stopped:
                break
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

    def _release(self, stops: StopStrings, piece: str) -> None:
        self._held += len(piece)
        if (match := stops.feed(piece)) is not None:
            # A token is released when nothing of it can belong to a stop string, so this one lies in the held
            # ones.
            self._cut(self._held - match.behind - len(match.stop))
            self.stopped, self.stop_string = True, match.stop
            # What is left of the held tokens is released with the end of the answer: a caller that had them
            # alone would ask to go on behind the stop string.
            return
        while self.released < len(self.pieces):
            first = len(self.pieces[self.released])
            if self._held - first < stops.pending:
                break
            self._held -= first
            self.released += 1

    def _cut(self, keep: int) -> None:
        """Keep `keep` characters of the held-back text."""
        for index in range(self.released, len(self.pieces)):
            piece = self.pieces[index]
            self.pieces[index] = piece[:keep]
            keep = max(0, keep - len(piece))
