"""Puts tool calls together from the parts in which servers of the OpenAI protocol send them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.inference.core.json_text import mended, object_text
from gateway.inference.errors import BackendBroken
from services.chassis.chat import ToolCall

MOST_CALLS: Final = 128
MOST_CHECKS: Final = 32
MOST_ID: Final = 128
"""Characters of a call's id."""


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """A part of a tool call, or a whole one. Empty fields were not told."""

    index: int | None
    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class _Call:
    index: int | None
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)
    checks: int = 0

    def is_whole(self) -> bool:
        """Whether its arguments are complete; asked a few times only, since each time reads all of them."""
        self.checks += 1
        if self.checks > MOST_CHECKS or not self.arguments or not self.arguments[-1].rstrip().endswith("}"):
            return False
        return object_text("".join(self.arguments)) is not None


class ToolCallJoiner:
    """Ids go before positions: complete calls with ids of their own are several calls at whatever index.

    A part without an id belongs to the newest call of its index; without either, to the newest call. Some
    servers make up an id for every part: an id that is new, at an index that is known, and without a name,
    continues that call.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def add(self, deltas: Sequence[ToolDelta]) -> None:
        """Take the parts of one event. Raises BackendBroken for too many calls."""
        before = len(self._calls)
        for delta in deltas:
            call = self._known(delta, before)
            if call is None:
                if len(self._calls) >= MOST_CALLS:
                    raise BackendBroken(f"the answer holds more than {MOST_CALLS} tool calls")
                call = _Call(delta.index, delta.id, delta.name)
                self._calls.append(call)
            call.id = call.id or delta.id
            call.name = call.name or delta.name
            if delta.arguments:
                call.arguments.append(delta.arguments)

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls so far, in the order of their indices; a call without an id gets its number."""
        at = {id(call): number for number, call in enumerate(self._calls)}
        ordered = sorted(self._calls, key=lambda call: at[id(call)] if call.index is None else call.index)
        taken: set[str] = set()
        found = []
        for number, call in enumerate(ordered):
            name = _free(mended(call.id)[:MOST_ID], number, taken)
            found.append(ToolCall(name, mended(call.name), mended("".join(call.arguments))))
        return tuple(found)

    def _known(self, delta: ToolDelta, before: int) -> _Call | None:
        """Return the call that a part continues; None: it begins one. `before`: calls of earlier events."""
        if delta.id and (named := self._named(delta)) is not None:
            return named
        placed = self._placed(delta, before)
        if placed is None or not delta.name:
            return placed
        # A name stands at the beginning of a call, but some servers repeat it in each part.
        another = bool(delta.id and placed.id) or placed.name not in {"", delta.name} or placed.is_whole()
        return None if another else placed

    def _named(self, delta: ToolDelta) -> _Call | None:
        for call in reversed(self._calls):
            if call.id == delta.id and (not delta.name or call.index == delta.index):
                return call
        return None

    def _placed(self, delta: ToolDelta, before: int) -> _Call | None:
        if delta.index is not None:
            return next((call for call in reversed(self._calls) if call.index == delta.index), None)
        if delta.name and len(self._calls) > before:
            return None  # the entries of one event are different calls
        return self._calls[-1] if self._calls else None


def _free(wanted: str, number: int, taken: set[str]) -> str:
    """Return an id that no other call of the answer has: results are told apart by it."""
    found = wanted = wanted or f"call_{number}"
    while found in taken:
        found, number = f"{wanted[: MOST_ID - 8]}_{number}", number + 1
    taken.add(found)
    return found
