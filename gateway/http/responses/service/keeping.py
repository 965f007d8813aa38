"""What is kept of responses: for how long, under which names, and how a conversation goes on from one.

A response is one context: the conversation with its answer, and a record behind it. Who goes on forks that
context before the record, so any number may follow the same response and none changes it; a context that is
forgotten leaves those that follow it whole.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.http.responses.errors import PreviousNotFound
from gateway.http.responses.ids import digits_of, response_id
from gateway.http.responses.model import History, Keeper, Name, Place, Record, Shelved, Work
from gateway.http.responses.ports import Shelf
from gateway.http.responses.service import records
from services.chassis.chat import ChatMessage
from services.chassis.rpc.errors import IdempotencyMismatch, InvalidRequest, KernelError

MOST_MESSAGES: Final = 1024
"""Messages of a conversation that the kernel takes in one request."""
MOST_AT_ONCE: Final = 1000
"""Messages that one change adds to a context."""
SCRATCH_SECONDS: Final = 600.0
"""Age at which a conversation that was made for one call only is a leftover of a crash."""
SWEEP_SECONDS: Final = 600.0
"""How often the expired responses of an agent are looked for at most."""
SWEEP_KEPT: Final = 100
"""After how many more responses of an agent they are looked for all the same."""
_SWEPT: Final = 128
"""Most that one sweep removes."""
_MADE_ROOM: Final = 32
"""Responses that go, the oldest first, when an agent's contexts are full."""
_SWEEPERS: Final = 4096
_RESPONSE, _PENDING, _SCRATCH, _CONVERSATION = "resp-", "-p", "tmp-", "conv-"


def finished_name(digits: str) -> Name:
    """Return the name of the context of a response that has ended."""
    return Name(f"{_RESPONSE}{digits}")


def pending_name(digits: str) -> Name:
    """Return the name of the context of a response that has not ended."""
    return Name(f"{_RESPONSE}{digits}{_PENDING}")


def conversation_name(digits: str) -> Name:
    """Return the name of the context of a conversation."""
    return Name(f"{_CONVERSATION}{digits}")


def scratch_name(digits: str) -> Name:
    """Return the name of a context for one call only."""
    return Name(f"{_SCRATCH}{digits}")


class Library:
    """Keeps responses, finds them and forgets them."""

    def __init__(self, shelf: Shelf, seconds: float, now: Callable[[], float], most: int = 500) -> None:
        self._shelf = shelf
        self._seconds = seconds
        self._most = most
        """Responses of an agent that a sweep leaves: the rest of its contexts are for other things."""
        self._now = now
        self._swept: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        """When an agent's responses were swept last, and how many were kept since."""
        self._sweeps: set[asyncio.Task[None]] = set()

    def now(self) -> int:
        """Return the time. Unix seconds."""
        return int(self._now())

    def expiry(self) -> float:
        """Return when what is kept now is forgotten. Unix seconds."""
        return self._now() + self._seconds

    async def keep(
        self, keeper: Keeper, name: Name, record: Record, own: Sequence[ChatMessage], history: History
    ) -> bool:
        """Keep a response with its conversation. False: one is kept under its name already.

        Where the agent's contexts are full the oldest responses go. Raises what the shelf raises.
        """
        raw = msgspec.json.encode(record)
        try:
            made = await self._put(keeper, name, raw, own, history)
        except KernelError as error:
            if error.reason != "QUOTA_EXCEEDED" or not await self._make_room(keeper, history.place):
                raise
            made = await self._put(keeper, name, raw, own, history)
        self._sweep_soon(keeper)
        return made

    async def find(self, keeper: Keeper, digits: str) -> Record | None:
        """Return a response that has ended, or None."""
        return await self._record(keeper, finished_name(digits), digits)

    async def find_pending(self, keeper: Keeper, digits: str) -> Record | None:
        """Return a response that has not ended, or None."""
        record = await self._record(keeper, pending_name(digits), digits)
        return record if record is not None and record.work is not None else None

    async def history(self, keeper: Keeper, ident: str) -> History:
        """Return the conversation up to a response's answer. Raises PreviousNotFound and InvalidRequest."""
        digits = digits_of(ident)
        if digits is None or await self.find(keeper, digits) is None:
            raise PreviousNotFound.of(ident)
        name = finished_name(digits)
        messages = await self._shelf.messages(keeper, name, MOST_MESSAGES)
        if messages is None:
            raise PreviousNotFound.of(ident)
        if len(messages) > MOST_MESSAGES:
            raise InvalidRequest.field(
                "previous_response_id", f"its conversation has more than {MOST_MESSAGES} messages"
            )
        return History(tuple(messages), Place(name, len(messages)))

    async def settle(
        self, keeper: Keeper, pending: Record, response: dict[str, Any], answer: Sequence[ChatMessage]
    ) -> dict[str, Any] | None:
        """Store how a response ended that went on in the background, and return how it ended.

        Of all that try, one stores it; the others are told what that one stored. None: the response was
        deleted meanwhile. Its conversation gets its turn before, under its id, so that no crash in between
        loses or doubles it.
        """
        digits = digits_of(pending.id) or ""
        work = pending.work or Work(b"")
        name = pending_name(digits)
        if answer and pending.conversation:
            said = await self._shelf.messages(keeper, name, 2 * MOST_MESSAGES)
            if said is None:
                return await self._ended(keeper, digits)
            turn = [*said[work.count - work.own : work.count], *answer]
            try:
                await self._shelf.append(keeper, conversation_name(pending.conversation), turn, digits)
            except KernelError as error:
                if error.reason != IdempotencyMismatch.reason:
                    raise
                # A process that died before it could tell has given it its turn, in other words.
        record = Record(response, pending.items, pending.digest, pending.expires_at, pending.conversation)
        end = msgspec.json.encode(record)
        place = Place(name, work.count)
        try:
            made = await self._shelf.put(keeper, finished_name(digits), answer, end, place)
        except KernelError as error:
            if error.reason == "CONTEXT_NOT_FOUND":
                return await self._ended(keeper, digits)
            if error.reason != "QUOTA_EXCEEDED" or not await self._make_room(keeper, place):
                raise
            made = await self._shelf.put(keeper, finished_name(digits), answer, end, place)
        if not made:
            return await self._ended(keeper, digits)
        await self._shelf.remove(keeper, name)
        return response

    async def _ended(self, keeper: Keeper, digits: str) -> dict[str, Any] | None:
        found = await self.find(keeper, digits)
        return None if found is None else found.response

    async def forget(self, keeper: Keeper, digits: str) -> bool:
        """Forget a response, ended or not. False: there was none.

        What its end is made from goes first: a job elsewhere that ends now would store it behind our back.
        """
        pending = await self._shelf.remove(keeper, pending_name(digits))
        return await self._shelf.remove(keeper, finished_name(digits)) or pending

    async def close(self) -> None:
        """End what is under way."""
        for sweep in self._sweeps:
            sweep.cancel()
        if self._sweeps:
            await asyncio.wait(self._sweeps)

    async def sweep(self, keeper: Keeper) -> int:
        """Remove an agent's expired responses, and the oldest beyond their number; return how many.

        A bounded number goes at once.
        """
        now = self._now()
        everything = await self._shelf.everything(keeper)
        old = [each for each in everything if self._is_old(each, now)]
        ended = sorted(filter(_is_ended, everything), key=lambda each: each.created_at)
        old += [each for each in ended[: max(0, len(ended) - self._most)] if each not in old]
        removed = 0
        for each in old[:_SWEPT]:
            removed += await self._shelf.remove(keeper, each.name)
        return removed

    async def _put(
        self, keeper: Keeper, name: Name, record: bytes, own: Sequence[ChatMessage], history: History
    ) -> bool:
        try:
            return await self._shelf.put(keeper, name, own, record, history.place)
        except KernelError as error:
            if error.reason != "CONTEXT_NOT_FOUND" or history.place is None:
                raise
        # What it goes on with was forgotten meanwhile. The conversation is at hand.
        return await self._shelf.put(keeper, name, [*history.messages, *own], record)

    async def _record(self, keeper: Keeper, name: Name, digits: str) -> Record | None:
        raw = await self._shelf.record(keeper, name)
        record = None if raw is None else records.read(raw, response_id(digits))
        if record is None:
            return None
        if record.expires_at <= self._now():
            await self._shelf.remove(keeper, name)
            return None
        return record

    async def _make_room(self, keeper: Keeper, spared: Place | None) -> bool:
        """Forget the oldest responses of an agent; tell whether there were any."""
        kept = [
            each
            for each in await self._shelf.everything(keeper)
            if _is_ended(each) and (spared is None or each.name != spared.name)
        ]
        kept.sort(key=lambda each: each.created_at)
        for each in kept[:_MADE_ROOM]:
            await self._shelf.remove(keeper, each.name)
        return bool(kept)

    def _is_old(self, shelved: Shelved, now: float) -> bool:
        if shelved.name.startswith(_RESPONSE):
            return shelved.created_at + self._seconds <= now
        return shelved.name.startswith(_SCRATCH) and shelved.created_at + SCRATCH_SECONDS <= now

    def _sweep_soon(self, keeper: Keeper) -> None:
        """Sweep beside the caller's own business, now and then."""
        key, now = (keeper.tenant, keeper.agent), self._now()
        swept, kept = self._swept.get(key, (0.0, 0))
        is_due = swept + SWEEP_SECONDS <= now or kept >= SWEEP_KEPT
        self._swept[key] = (now, 0) if is_due else (swept, kept + 1)
        self._swept.move_to_end(key)
        if len(self._swept) > _SWEEPERS:
            self._swept.popitem(last=False)
        if not is_due:
            return
        task = asyncio.create_task(self._swept_quietly(keeper), name="sweep stored responses")
        self._sweeps.add(task)
        task.add_done_callback(self._sweeps.discard)

    async def _swept_quietly(self, keeper: Keeper) -> None:
        """Sweep; what fails is done by the next one."""
        with contextlib.suppress(KernelError):
            await self.sweep(keeper)


def _is_ended(shelved: Shelved) -> bool:
    return shelved.name.startswith(_RESPONSE) and not shelved.name.endswith(_PENDING)
