"""The default policy: least uncached work, tempered by attained service and tenant counters."""

from collections.abc import Iterable, Iterator, Mapping
from math import log2
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
from services.scheduler.core.policies.fair import BandedTree
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import ParamValue


class Adaptive(Policy):
    """Least uncached work * 2^(level / 2) first, among the tenants that were served least.

    Work is the predicted prefill of tokens outside the prefix cache plus the predicted decode, in
    backend seconds; level = log2 of the service the call's program attained, so that long
    programs give way without being shut out. Tenants are compared first, by their virtual token
    counters in bands of `band` tokens: within a band the order is free to be efficient, beyond it
    the less served tenant goes first. A priority level is worth a factor of sqrt(2), a weight its
    own factor. Late calls are the business of the class's starvation lane.

    Sources: shortest predicted work, Fu et al. arXiv 2408.15792; attained service of programs,
    Luo et al. arXiv 2502.13965; virtual token counters, Sheng et al. OSDI'24.
    """

    name: ClassVar[str] = "adaptive"

    def __init__(self, params: Mapping[str, ParamValue], context: PolicyContext) -> None:
        super().__init__(params, context)
        self.tenants = BandedTree(self.score, self.band)

    def configure(self, params: ParamReader) -> None:
        """`band`: tokens; `base`: seconds of the first level; `preempt` and its `quantum`."""
        self.band = params.number("band", 8192.0, least=1.0)
        self.base = params.number("base", 1.0, least=1e-6)
        self.prompt_weight = params.number("prompt_weight", 1.0, least=0.0)
        self.output_weight = params.number("output_weight", 2.0, least=0.0)
        self.preempts = params.flag("preempt", default=False)
        quantum = params.count("quantum", 256)
        self.quantum_tokens = quantum if self.preempts else 0

    def level(self, job: ScheduledCall) -> int:
        """Service level of the call's program now."""
        return int(log2(1.0 + self.context.attained(job) / self.base))

    def score(self, job: ScheduledCall) -> Key:
        """Return what is compared within a band."""
        call = job.call
        exponent = 0.5 * (self.level(job) + max(-20, min(20, call.priority)))
        return (job.work * 2.0**exponent / call.weight, job.seq)

    def on_submit(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - the order needs no clock
        """Queue the call; its tenant is lifted when it was not waiting."""
        self.tenants.add(job)

    def on_dispatch(self, job: ScheduledCall, now: float, uncached_tokens: int) -> None:  # noqa: ARG002 - interface
        """Charge the prompt to the tenant."""
        self.tenants.remove(job)
        self.tenants.started(job)
        self.tenants.charge(job, self.prompt_weight * uncached_tokens)

    def on_adopt(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - interface
        """Count the call as running."""
        self.tenants.started(job)

    def on_tokens(self, job: ScheduledCall, tokens: int, now: float) -> None:  # noqa: ARG002 - interface
        """Charge generated tokens to the tenant."""
        self.tenants.charge(job, self.output_weight * tokens)

    def on_cancel(self, job: ScheduledCall) -> None:
        """Forget the call."""
        self.tenants.remove(job)

    def on_yield(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - interface
        """Queue the call again."""
        self.tenants.stopped(job)
        self.tenants.add(job)

    def on_finish(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - interface
        """Count the call out."""
        self.tenants.stopped(job)

    def pick(self, now: float) -> ScheduledCall | None:  # noqa: ARG002 - the order needs no clock
        """Return the least score in the least band."""
        return self.tenants.peek()

    def candidates(self, now: float) -> Iterator[ScheduledCall]:  # noqa: ARG002 - the order needs no clock
        """Tenant by tenant, from the one whose call is picked."""
        return self.tenants.ordered()

    def victims(
        self,
        candidate: ScheduledCall,
        running: Iterable[ScheduledCall],
        now: float,  # noqa: ARG002 - order needs no clock
    ) -> list[ScheduledCall]:
        """With `preempt`: calls with more than twice the candidate's score left, the longest first."""
        if not self.preempts:
            return []
        bound = 2 * self._remaining(candidate)
        longer = [(self._remaining(j), j.seq, j) for j in running if j.slice_tokens >= self.quantum_tokens]
        return [job for left, _, job in sorted(longer, reverse=True) if left > bound]

    def explain(self, job: ScheduledCall, now: float) -> Explanation:  # noqa: ARG002 - order needs no clock
        """Band, score and what it is made of."""
        account = self.tenants.accounts(job)[0]
        score: tuple[float, int] = self.score(job)  # type: ignore[assignment]
        return {
            "tenant_band": self.tenants.band_of(account),
            "score": score[0],
            "work_seconds": job.work,
            "uncached_tokens": job.uncached,
            "expected_output": job.decode,
            "level": self.level(job),
        }

    def snapshot(self) -> bytes:
        """Return the tenants' counters."""
        return dump({"counters": self.tenants.counters()})

    def restore(self, state: bytes) -> None:
        """Take counters over; they never shrink."""
        self.tenants.restore(load_numbers(state, "counters"))

    def stats(self) -> Mapping[str, float]:
        """Return waiting tenants and how far their counters lie apart."""
        counters = [account.counter for account in self.tenants.root.active]
        return {"tenants": float(len(counters)), "spread": max(counters) - min(counters) if counters else 0.0}

    def _remaining(self, job: ScheduledCall) -> float:
        cost = self.context.cost
        prefill = cost.prefill(job.uncached) if not job.replica else 0.0
        factor: float = 2.0 ** (0.5 * self.level(job))
        return factor * (prefill + cost.decode(job.decode, job.context_tokens))
