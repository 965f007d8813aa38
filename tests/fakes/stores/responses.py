"""The shelf of responses in memory."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.http.responses.model import Keeper, Name, Place, Shelved
from services.chassis.chat import ChatMessage
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import IdempotencyMismatch, KernelError, QuotaExceeded


class ContextNotFound(KernelError):
    """As the context manager says it."""

    reason = "CONTEXT_NOT_FOUND"
    code = Code.NOT_FOUND


class AlreadyExists(KernelError):
    """As the context manager says it."""

    reason = "ALREADY_EXISTS"
    code = Code.ALREADY_EXISTS


@dataclass
class _Kept:
    created_at: float
    messages: list[ChatMessage] = field(default_factory=list)
    record: bytes | None = None
    labels: dict[str, str] = field(default_factory=dict)
    version: int = 1


class InMemoryShelf:
    """A Shelf that forgets all when it goes. `room` is how many contexts an agent may have."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.now = 1_000_000.0
        self.failure: KernelError | None = None
        """What every call ends with, if anything."""
        self._kept: dict[tuple[str, str], dict[Name, _Kept]] = {}
        self._once: dict[tuple[Name, str], tuple[int, tuple[ChatMessage, ...]]] = {}

    async def put(
        self,
        keeper: Keeper,
        name: Name,
        messages: Sequence[ChatMessage],
        record: bytes,
        after: Place | None = None,
    ) -> bool:
        """Keep messages and a record."""
        mine = self._of(keeper)
        before, labels = await self._before(keeper, after)
        if name in mine:
            return False
        self._check_room(keeper)
        mine[name] = _Kept(self.now, [*before, *messages], record, labels)
        return True

    async def record(self, keeper: Keeper, name: Name) -> bytes | None:
        """Return a record."""
        kept = self._of(keeper).get(name)
        return kept.record if kept is not None else None

    async def messages(self, keeper: Keeper, name: Name, most: int) -> Sequence[ChatMessage] | None:
        """Return messages."""
        kept = self._of(keeper).get(name)
        return kept.messages[: most + 1] if kept is not None else None

    async def page(
        self, keeper: Keeper, name: Name, *, after: int, most: int, newest_first: bool
    ) -> Sequence[tuple[int, ChatMessage]]:
        """Return some messages with their positions."""
        said = list(enumerate(self._there(keeper, name).messages, 1))
        if newest_first:
            said = [each for each in reversed(said) if not after or each[0] < after]
        else:
            said = said[after:]
        return said[:most]

    async def open(self, keeper: Keeper, name: Name, labels: Mapping[str, str]) -> Shelved:
        """Begin a conversation."""
        mine = self._of(keeper)
        if name in mine:
            raise AlreadyExists(f"{name} is there")
        self._check_room(keeper)
        mine[name] = _Kept(self.now, labels=dict(labels))
        return _seen(name, mine[name])

    async def append(self, keeper: Keeper, name: Name, messages: Sequence[ChatMessage], once: str) -> int:
        """Add messages."""
        kept = self._there(keeper, name)
        if once and (name, once) in self._once:
            first, said = self._once[name, once]
            if said != tuple(messages):
                raise IdempotencyMismatch("something else was added under this name")
            return first
        first = len(kept.messages) + 1
        kept.messages += messages
        kept.version += 1
        if once:
            self._once[name, once] = (first, tuple(messages))
        return first

    async def look(self, keeper: Keeper, name: Name) -> Shelved | None:
        """Return what is known of a context."""
        kept = self._of(keeper).get(name)
        seen = _seen(name, kept) if kept is not None else None
        await asyncio.sleep(0)  # what is seen may be old by the time it is known
        return seen

    async def label(self, keeper: Keeper, name: Name, labels: Mapping[str, str], etag: str = "") -> bool:
        """Replace labels."""
        kept = self._of(keeper).get(name)
        if kept is None or etag not in {"", str(kept.version)}:
            return False
        kept.labels = dict(labels)
        kept.version += 1
        return True

    async def remove(self, keeper: Keeper, name: Name) -> bool:
        """Forget a context."""
        return self._of(keeper).pop(name, None) is not None

    async def everything(self, keeper: Keeper) -> Sequence[Shelved]:
        """List contexts by name."""
        return [_seen(name, kept) for name, kept in sorted(self._of(keeper).items())]

    async def _before(self, keeper: Keeper, after: Place | None) -> tuple[list[ChatMessage], dict[str, str]]:
        if after is None or not after.count:
            return [], {}
        kept = self._there(keeper, after.name)
        return kept.messages[: after.count], dict(kept.labels)

    def _of(self, keeper: Keeper) -> dict[Name, _Kept]:
        if self.failure is not None:
            raise self.failure
        return self._kept.setdefault((keeper.tenant, keeper.agent), {})

    def _there(self, keeper: Keeper, name: Name) -> _Kept:
        kept = self._of(keeper).get(name)
        if kept is None:
            raise ContextNotFound(f"there is no {name}")
        return kept

    def _check_room(self, keeper: Keeper) -> None:
        if len(self._of(keeper)) >= self.room:
            raise QuotaExceeded.of(keeper.agent, "contexts", wanted=self.room + 1, limit=self.room)


def _seen(name: Name, kept: _Kept) -> Shelved:
    count = len(kept.messages) + (kept.record is not None)
    return Shelved(name, kept.created_at, count, dict(kept.labels), str(kept.version))
