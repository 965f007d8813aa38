"""What the use cases share: the ports, and writes that a repeat of the request does not do twice."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity, run_once
from services.chassis.quotas import Cap, Caps, LiveBook, Usage, judge
from services.chassis.runtime.clock import Clock
from services.tool.core import ledger
from services.tool.errors import CapabilityMissing
from services.tool.model import DriverKind, ToolCall
from services.tool.ports import Approvals, Meter, Store, ToolDriver, Transaction
from services.tool.service.hourly import HourlyBook

T = TypeVar("T")

CALLS: Final = "calls"
CALL_BYTES: Final = "call_bytes"
RUNNING: Final = "running_calls"
STREAMS: Final = "provider_streams"
_ANY: Final = Cap.flat(1 << 62)
CHANGES: Final = "tool_changes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """The ports that all use cases work with."""

    store: Store
    clock: Clock
    meter: Meter
    drivers: Mapping[DriverKind, ToolDriver]
    """Who runs the tools of each kind; those of providers run by their leases."""
    approvals: Approvals

    caps: Caps
    isolation: Callable[[], str] = lambda: ""
    """Tells what keeps the code of tools in right now."""
    live: LiveBook = field(init=False)
    """Sums of what lives in this process only."""
    changes: HourlyBook = field(init=False)
    """Changes and tests of drafts within the last hour."""
    _entering: LiveBook = field(init=False)
    """Calls that run here and are entered when they end."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "_entering", LiveBook({name: self.caps[name] for name in (CALLS, CALL_BYTES)})
        )
        live = LiveBook({name: self.caps[name] for name in (RUNNING, STREAMS, CHANGES)})
        object.__setattr__(self, "live", live)
        object.__setattr__(self, "changes", HourlyBook(live, CHANGES, self.clock))

    def driver(self, kind: DriverKind) -> ToolDriver:
        """Return who runs tools of a kind. Raises CapabilityMissing."""
        found = self.drivers.get(kind)
        if found is None:
            raise CapabilityMissing(
                f"this kernel does not run {kind.value} tools", metadata={"driver": kind.value}
            )
        return found

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run a change in a transaction and charge what it keeps. Raises QuotaExceeded and as `work`."""

        def settled(tx: Transaction) -> T:
            result = work(tx)
            tx.settle(self.caps)
            return result

        return await self.store.write(scope, settled)

    async def keep(self, scope: Scope, call: ToolCall) -> None:
        """Enter a call into the ledger, or its new state. Raises QuotaExceeded for a new one.

        The answer of a call that ran is kept whatever it takes: what happened must not be forgotten. The
        agent's next call is refused then.
        """
        caps = {**self.caps, CALL_BYTES: _ANY} if call.state.ended else self.caps

        def work(tx: Transaction) -> None:
            ledger.keep(tx, call)
            tx.settle(caps)

        await self.store.write(scope, work)

    @asynccontextmanager
    async def place(self, scope: Scope) -> AsyncIterator[None]:
        """Keep a place in the ledger for a call that is entered when it ends, so that no full one loses it.

        Raises QuotaExceeded before the call runs.
        """
        owner, more = scope.charged, {CALLS: 1, CALL_BYTES: ledger.ROOM}
        self._entering.charge(owner, more)
        try:
            kept = await self.store.read(scope, lambda tx: tx.used(self._entering.caps))
            held = {(one.quota, one.level): one.used for one in self._entering.told(owner)}
            sums = [(one.quota, one.level, one.used + held[one.quota, one.level]) for one in kept]
            judge(owner, self.caps, sums)
            yield
        finally:
            self._entering.charge(owner, {name: -some for name, some in more.items()})

    async def usage(self, scope: Scope) -> list[Usage]:
        """Return how much an agent, its tree and its tenant use of each quota."""
        self.changes.expire()
        kept = await self.store.read(scope, lambda tx: tx.used(self.caps))
        return [*(one for one in kept if one.quota not in self.live.caps), *self.live.told(scope.charged)]

    async def once(
        self, scope: Scope, actor: RequestIdentity, kind: type[T], work: Callable[[Transaction], T]
    ) -> T:
        """Run a change; a repeat of the request gets the first answer, of type `kind`, and changes nothing.

        Raises IdempotencyMismatch and QuotaExceeded.
        """
        answer, _ = await self.write(scope, lambda tx: run_once(tx, actor, kind, work))
        return answer
