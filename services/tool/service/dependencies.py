"""What the use cases share: the ports, and writes that a repeat of the request does not do twice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity, run_once
from services.chassis.runtime.clock import Clock
from services.tool.ports import Approvals, Builtins, Meter, Store, Transaction

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """The ports that all use cases work with."""

    store: Store
    clock: Clock
    meter: Meter
    builtins: Builtins
    approvals: Approvals

    async def once(
        self, scope: Scope, actor: RequestIdentity, kind: type[T], work: Callable[[Transaction], T]
    ) -> T:
        """Run a change; a repeat of the request gets the first answer, of type `kind`, and changes nothing.

        Raises IdempotencyMismatch.
        """
        answer, _ = await self.store.write(scope, lambda tx: run_once(tx, actor, kind, work))
        return answer
