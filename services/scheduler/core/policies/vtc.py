"""Virtual token counter: fair sharing of tokens among tenants and agents."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from services.scheduler.core.heap import Key
from services.scheduler.core.policies.base import (
    Explanation,
    ParamReader,
    Policy,
    PolicyContext,
    dump,
    load_numbers,
)
from services.scheduler.core.policies.fair import PATHS, FairTree
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import ParamValue


def _arrival(job: ScheduledCall) -> Key:
    return (job.call.arrived_at, job.seq)


class VirtualTokenCounter(Policy):
    """The client with the least weighted service is next; service is counted in tokens.

    At dispatch its counter grows by wp * uncached prompt tokens, then by wq per generated token,
    both divided by the weight. Two clients that both wait differ by at most
    2 * max(wp * longest prompt, wq * tokens in flight) of one of them.

    Source: Sheng et al., "Fairness in Serving Large Language Models", OSDI'24.
    """

    name: ClassVar[str] = "vtc"

    def __init__(self, params: Mapping[str, ParamValue], context: PolicyContext) -> None:
        super().__init__(params, context)
        self.tree = FairTree(PATHS[self.by], _arrival)

    def configure(self, params: ParamReader) -> None:
        """`by`: tenant (then agent) or agent; `prompt_weight` wp; `output_weight` wq."""
        self.by = params.choice("by", ("tenant", "agent"))
        self.prompt_weight = params.number("prompt_weight", 1.0, least=0.0)
        self.output_weight = params.number("output_weight", 2.0, least=0.0)

    def on_submit(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - the order needs no clock
        """Queue the call; its client is lifted when it was not waiting."""
        self.tree.add(job)

    def on_dispatch(self, job: ScheduledCall, now: float, uncached_tokens: int) -> None:  # noqa: ARG002 - interface
        """Charge the prompt."""
        self.tree.remove(job)
        self.tree.started(job)
        self.tree.charge(job, self.prompt_weight * uncached_tokens)

    def on_adopt(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - interface
        """Count the call as running; its prompt was charged elsewhere."""
        self.tree.started(job)

    def on_tokens(self, job: ScheduledCall, tokens: int, now: float) -> None:  # noqa: ARG002 - interface
        """Charge generated tokens as they come."""
        self.tree.charge(job, self.output_weight * tokens)

    def on_cancel(self, job: ScheduledCall) -> None:
        """Forget the call."""
        self.tree.remove(job)

    def on_yield(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - interface
        """Queue the call again."""
        self.tree.stopped(job)
        self.tree.add(job)

    def on_finish(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - interface
        """Count the call out."""
        self.tree.stopped(job)

    def pick(self, now: float) -> ScheduledCall | None:  # noqa: ARG002 - the order needs no clock
        """Return the oldest call of the least served agent of the least served tenant."""
        return self.tree.peek()

    def candidates(self, now: float) -> Iterator[ScheduledCall]:  # noqa: ARG002 - the order needs no clock
        """Client by client, least served first."""
        return self.tree.ordered()

    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Counters of the call's accounts, relative to the least served."""
        key: dict[str, float | int | str] = {}
        parent = self.tree.root
        for level, account in zip(self.by_names(), self.tree.accounts(job), strict=True):
            key[f"{level}_counter"] = account.counter
            key[f"{level}_above_least"] = account.counter - self.tree.least(parent)
            parent = account
        return key | {"age_seconds": now - job.call.arrived_at}

    def by_names(self) -> tuple[str, ...]:
        """Names of the levels, outermost first."""
        return ("tenant", "agent") if self.by == "tenant" else ("agent",)

    def snapshot(self) -> bytes:
        """Return the outermost counters."""
        return dump({"counters": self.tree.counters()})

    def restore(self, state: bytes) -> None:
        """Take counters over; they never shrink."""
        self.tree.restore(load_numbers(state, "counters"))

    def stats(self) -> Mapping[str, float]:
        """How far the waiting clients lie apart."""
        counters = [account.counter for account in self.tree.root.active]
        return {"clients": float(len(counters)), "spread": max(counters) - min(counters) if counters else 0.0}
