"""What the use cases share: the ports, and writes that a repeat of the request does not do twice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity, run_once
from services.chassis.quotas import Caps
from services.chassis.runtime.clock import Clock
from services.context.ports import Meter, Store, Transaction

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """The ports that all use cases work with."""

    store: Store
    clock: Clock
    meter: Meter
    caps: Caps

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run a change in a transaction and charge what it keeps. Raises QuotaExceeded and as `work`."""

        def settled(tx: Transaction) -> T:
            result = work(tx)
            tx.settle(self.caps)
            return result

        return await self.store.write(scope, settled)

    async def once(
        self, scope: Scope, actor: RequestIdentity, kind: type[T], work: Callable[[Transaction], T]
    ) -> tuple[T, bool]:
        """Run a change; a repeat of the request gets the first answer, of type `kind`, and changes nothing.

        Returns the answer and whether it is the first. Raises IdempotencyMismatch and QuotaExceeded.
        """
        return await self.write(scope, lambda tx: run_once(tx, actor, kind, work))
