"""Which process generates a response that has not ended: the one whose name its context bears, for a while.

A claim that is not renewed runs out, so what a crashed process left is taken up by the next one that is asked
about it. Taking and renewing go by the context's version: of two processes that want it one gets it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.http.responses.model import Keeper, Name, Shelved
from gateway.http.responses.ports import Shelf

LABEL: Final = "aios-claim"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims that one process takes."""

    shelf: Shelf
    holder: str
    """Names this process; without spaces."""
    seconds: float
    now: Callable[[], float]

    async def take(self, keeper: Keeper, name: Name) -> bool:
        """Take a claim, or renew it. False: another process has it, or the context is gone."""
        seen = await self.shelf.look(keeper, name)
        if seen is None or not self._is_free(seen):
            return False
        return await self._write(keeper, seen, self.now() + self.seconds)

    async def release(self, keeper: Keeper, name: Name) -> None:
        """Give a claim back, if it is ours."""
        seen = await self.shelf.look(keeper, name)
        if seen is not None and self._holder_of(seen)[0] == self.holder:
            await self._write(keeper, seen, 0.0)

    async def _write(self, keeper: Keeper, seen: Shelved, until: float) -> bool:
        labels = {**seen.labels, LABEL: f"{self.holder} {until:.3f} {seen.name}"}
        return await self.shelf.label(keeper, seen.name, labels, seen.etag)

    def _is_free(self, seen: Shelved) -> bool:
        holder, until = self._holder_of(seen)
        return holder in {"", self.holder} or until <= self.now()

    def _holder_of(self, seen: Shelved) -> tuple[str, float]:
        """Return who has the claim and until when. A fork bears its source's label, which is not its own."""
        parts = seen.labels.get(LABEL, "").split(" ")
        try:
            holder, until, name = parts
            ends = float(until)
        except ValueError:
            return "", 0.0
        return (holder, ends) if name == seen.name else ("", 0.0)
