"""What the use cases share: the ports, and writes that a repeat of the request does not do twice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from services.chassis import codec
from services.chassis.clock import Clock
from services.context.model import Actor, Scope
from services.context.ports import Meter, Store, Transaction

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kit:
    """The ports that all use cases work with."""

    store: Store
    clock: Clock
    meter: Meter

    async def once(
        self, scope: Scope, actor: Actor, kind: type[T], work: Callable[[Transaction], T]
    ) -> tuple[T, bool]:
        """Run a change; a repeat of the request gets the first answer, of type `kind`, and changes nothing.

        Returns the answer and whether it is the first. Raises IdempotencyMismatch.
        """

        def run(tx: Transaction) -> tuple[T, bool]:
            known = tx.recall(actor)
            if known is not None:
                return codec.decode(kind, known), False
            answer = work(tx)
            if actor.request_id:
                tx.remember(actor, codec.encode(answer))
            return answer, True

        return await self.store.write(scope, run)
