"""What the use cases share: the ports, and writes that a repeat of the request does not do twice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity, run_once
from services.chassis.quotas import Caps, LiveBook, Usage
from services.chassis.runtime.clock import Clock
from services.tool.core import ledger
from services.tool.model import ToolCall
from services.tool.ports import Approvals, Builtins, Meter, Store, Transaction

T = TypeVar("T")

RUNNING: Final = "running_calls"
STREAMS: Final = "provider_streams"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """The ports that all use cases work with."""

    store: Store
    clock: Clock
    meter: Meter
    builtins: Builtins
    approvals: Approvals

    caps: Caps
    live: LiveBook = field(init=False)
    """Sums of what lives in this process only."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "live", LiveBook({name: self.caps[name] for name in (RUNNING, STREAMS)}))

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run a change in a transaction and charge what it keeps. Raises QuotaExceeded and as `work`."""

        def settled(tx: Transaction) -> T:
            result = work(tx)
            tx.settle(self.caps)
            return result

        return await self.store.write(scope, settled)

    async def keep(self, scope: Scope, call: ToolCall) -> None:
        """Enter a call into the ledger, or its new state. Raises QuotaExceeded for a new one."""
        await self.write(scope, lambda tx: ledger.keep(tx, call))

    async def usage(self, scope: Scope) -> list[Usage]:
        """Return how much an agent, its tree and its tenant use of each quota."""
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
