"""What all parts of the core share: settings, accounts, history and the outbox."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.chassis.dispatch.scheduling import QueueOutcome, SchedulingClass
from services.scheduler.core.accounts import ProgramBook
from services.scheduler.core.admission import Admission
from services.scheduler.core.events import Decision, Reject, TimelineEvent, TimelineKind
from services.scheduler.core.length_history import LengthHistory
from services.scheduler.core.locks import LockBook
from services.scheduler.core.policies import PolicyRegistry
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CoreSettings, CostModel

NO_FACTS: Final[Mapping[str, str]] = MappingProxyType({})
Why = tuple[str, Mapping[str, str]]
"""Why a call is refused: in words, and the numbers behind it by name."""


_LEAVES = (TimelineKind.FINISHED, TimelineKind.REJECTED, TimelineKind.GATEWAY_LOST)


class CoreState:
    """Shared state of one core. Implements what policies may ask (`PolicyContext`)."""

    def __init__(self, settings: CoreSettings, registry: PolicyRegistry) -> None:
        self.settings = settings
        self.registry = registry
        self.programs = ProgramBook()
        self.admission = Admission(settings)
        self.locks = LockBook(settings)
        self.history = LengthHistory(settings.default_prediction)
        self.outbox: list[Decision] = []
        self.watched = False
        """Whether anybody looks at token milestones."""

        self._epoch = settings.first_epoch - 1

    @property
    def cost(self) -> CostModel:
        """Shape of the backend."""
        return self.settings.cost

    def attained(self, job: ScheduledCall) -> float:
        """Backend seconds the call's program has received."""
        return 0.0 if job.program is None else job.program.attained

    def born(self, job: ScheduledCall) -> int:
        """Sequence number of the program's first call."""
        return job.seq if job.program is None else job.program.born

    def next_epoch(self) -> int:
        """Return a fencing number above all given before."""
        self._epoch += 1
        return self._epoch

    def seen_epoch(self, epoch: int) -> None:
        """Note that a grant of an earlier life carries this number; later ones must exceed it."""
        self._epoch = max(self._epoch, epoch)

    def emit(
        self,
        now: float,
        kind: TimelineKind,
        job: ScheduledCall | None = None,
        detail: str = "",
        wait: float = 0.0,
    ) -> None:
        """Tell watchers."""
        if job is None:
            self.outbox.append(TimelineEvent(now, kind, detail=detail))
            return
        self.outbox.append(
            TimelineEvent(
                now,
                kind,
                job.call.id,
                job.call.lane,
                job.call.scheduling_class,
                job.replica or (job.last_replica if kind is TimelineKind.YIELDED else ""),
                detail,
                wait,
                job.tokens_done,
                job.preemptions,
                job.resumed,
                job.summary(now) if kind in _LEAVES else None,
            )
        )

    def emit_class(self, now: float, kind: TimelineKind, name: SchedulingClass, wait: float) -> None:
        """Tell watchers about a whole class; `wait` is its oldest."""
        self.outbox.append(
            TimelineEvent(now, kind, scheduling_class=name, detail=name.value, wait_seconds=wait)
        )

    def reject(
        self,
        job: ScheduledCall,
        outcome: QueueOutcome,
        now: float,
        retry_after: float = 0.0,
        detail: str = "",
        *,
        facts: Mapping[str, str] = NO_FACTS,
    ) -> None:
        """Tell the gateway and watchers that a call leaves without (further) running."""
        call = job.call
        self.outbox.append(Reject(call.id, call.gateway, outcome, retry_after, detail, call.attempt, facts))
        self.emit(now, TimelineKind.REJECTED, job, outcome.value, job.wait(now))

    def reject_too_large(self, job: ScheduledCall, why: Why, now: float) -> None:
        """Tell that a call leaves which nothing could ever hold."""
        self.reject(job, QueueOutcome.REJECTED_TOO_LARGE, now, detail=why[0], facts=why[1])
