"""Settings of the pure core. Plain values; where they are read from is the service's business."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.chassis.dispatch.scheduling import TOKEN_MARGIN, SchedulingClass
from services.chassis.quotas import Cap
from services.scheduler.errors import SettingsInvalid
from services.scheduler.model import PolicySpec


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """Shape of a continuous-batching server.

    One step costs step + prefill * prompt tokens + decode * sequences + kv * tokens read. The
    defaults have the shape of an 8B model on one GPU; only ratios matter for ordering.
    """

    step_seconds: float = 0.010
    prefill_seconds: float = 60e-6
    decode_seconds: float = 80e-6
    kv_seconds: float = 0.06e-6

    typical_batch: int = 16
    """Sequences among which the fixed part of a step is shared out when work is priced."""

    def prefill(self, tokens: int) -> float:
        """Backend seconds that reading `tokens` uncached prompt tokens takes."""
        return self.prefill_seconds * tokens

    def decode(self, tokens: int, context: int) -> float:
        """Backend seconds that `tokens` output tokens take on a context of this many tokens."""
        share = self.step_seconds / self.typical_batch
        return tokens * (share + self.decode_seconds + self.kv_seconds * context)

    def step(self, sequences: int, kv_tokens: int) -> float:
        """Seconds of one decoding step of a batch."""
        return self.step_seconds + self.decode_seconds * sequences + self.kv_seconds * kv_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassSettings:
    """How one scheduling class is treated."""

    policy: PolicySpec = field(default_factory=lambda: PolicySpec("adaptive"))
    tool_policy: PolicySpec = field(default_factory=lambda: PolicySpec("turns"))
    """The policy in the TOOL lane, where nobody knows what a call takes."""

    weight: float = 1.0
    """Share of the dispatches among the classes that wait."""

    strict: bool = False
    """Served before every class that is not strict, up to `max_share`."""

    free_only: bool = False
    """Served only while no other class waits."""

    min_share: float = 0.0
    """Part of the budget the class may always fill first."""

    max_share: float = 1.0
    """Part of the budget the class may hold while another class waits."""

    may_stop: frozenset[SchedulingClass] = frozenset({SchedulingClass.IDLE})
    """Classes whose running calls may be stopped for a call of this one, guard permitting."""

    max_wait: float | None = 300.0
    """Seconds a call waits at most when it names no limit of its own; None: for ever."""

    lane_after: float = 30.0
    """Seconds of waiting after which a call enters the starvation lane."""

    lane_share: float = 0.15
    """Part of the class's dispatched work that goes to the lane; 0 switches the lane off."""

    alert_wait: float = 120.0
    """Oldest wait in seconds above which the lane's share is doubled and watchers are told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreemptionSettings:
    """When stopping a running call is worth it."""

    max_overhead: float = 0.10
    """Estimated resume prefill as a part of the work done since dispatch."""

    max_per_call: int = 2
    max_kv_use: float = 0.90
    """Above this use of a replica's token budget the prefix would be lost: no preemption."""

    min_tokens: int = 16
    """Tokens since dispatch before any preemption, whatever the policy says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitSettings:
    """How the in-flight limit of a replica follows what is observed."""

    token_margin: float = TOKEN_MARGIN
    """Part of max_batch_total_tokens that is handed out."""

    queue_cut: float = 0.90
    thrash_cut: float = 0.80
    recovery_per_second: float = 0.02
    floor: float = 0.20
    thrash_ratio: float = 0.30
    """Part of the expected cached tokens that had to be read again; above it the limit is cut."""

    thrash_window: int = 16
    """Reports between two looks at the ratio."""

    target_seconds_per_token: float | None = None
    """Slots are cut while tokens come slower than this; None: slots as announced."""


def _default_classes() -> Mapping[SchedulingClass, ClassSettings]:
    return {
        SchedulingClass.REALTIME: ClassSettings(
            policy=PolicySpec("edf"),
            tool_policy=PolicySpec("edf"),
            strict=True,
            max_share=0.3,
            may_stop=frozenset({SchedulingClass.IDLE, SchedulingClass.BATCH}),
            max_wait=30.0,
            lane_after=5.0,
            alert_wait=10.0,
        ),
        SchedulingClass.INTERACTIVE: ClassSettings(weight=4.0, lane_after=15.0, alert_wait=60.0),
        SchedulingClass.NORMAL: ClassSettings(weight=2.0),
        SchedulingClass.BATCH: ClassSettings(weight=1.0, max_wait=3600.0, lane_after=120.0, alert_wait=900.0),
        SchedulingClass.IDLE: ClassSettings(
            policy=PolicySpec("fifo"),
            tool_policy=PolicySpec("fifo"),
            free_only=True,
            may_stop=frozenset(),
            max_wait=None,
            alert_wait=86400.0,
        ),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreSettings:
    """Everything the core is told once, at its start."""

    classes: Mapping[SchedulingClass, ClassSettings] = field(default_factory=_default_classes)
    """Every class must have an entry."""

    max_waiting: int = 10_000
    """Calls of one lane that may wait."""

    waiting: Cap = Cap(1_000, 2_500, 8_000)
    """Calls of one lane that may wait for an agent, its tree and its tenant."""

    backend_grace: float = 30.0
    """Seconds a call may wait for a replica of its model to appear at all."""

    max_bypass: int = 8
    """Calls that may pass one whose locks are kept for it."""

    reservation_patience: float = 60.0
    """Seconds after which a reservation binds the strict classes too, and its start is predicted no more."""

    reserve_tokens: int = 0
    """Output tokens that room is kept for at a time; a call that wants more then waits for its next part.

    0: for all that a call may produce. Callers ask for far more than they get, and a backend that
    reserves what is asked for runs few calls at once; but each part reads the tokens of the one before.
    """

    lookahead: int = 16
    """Waiting calls that are tried behind one that does not fit."""

    kept_slot_from: int = 8
    """Slots from which on a replica keeps its last free one for a program that runs nothing there; 0: never.

    Without it a program that has all slots lets whoever comes next wait for the whole of a call.
    """

    gang_patience: float = 5.0
    """Seconds that the first calls of a gang wait for the last ones before each goes its own way."""

    default_prediction: int = 256
    """Output tokens assumed while no history exists."""

    prefix_cache_tokens: int = 200_000
    """Size assumed for a replica's prefix cache when it announces no token budget."""

    first_epoch: int = 1
    """Epoch of the first grant. A restarted scheduler passes one above all it may have given."""

    cost: CostModel = CostModel()
    guard: PreemptionSettings = PreemptionSettings()
    limits: LimitSettings = LimitSettings()

    def check(self) -> None:
        """Raise SettingsInvalid with every problem found."""
        problems = [f"class {c.value} has no settings" for c in SchedulingClass if c not in self.classes]
        for name, kind in self.classes.items():
            problems += [f"class {name.value}: {text}" for text in _class_problems(kind)]
        if self.max_waiting < 1:
            problems.append("queue bounds must be at least 1")
        if self.reserve_tokens < 0:
            problems.append("reserve_tokens must not be negative")
        if self.lookahead < 1 or self.max_bypass < 0:
            problems.append("lookahead must be at least 1 and max_bypass at least 0")
        if self.kept_slot_from < 0 or self.kept_slot_from == 1:
            problems.append("kept_slot_from must be 0 or at least 2")
        if self.gang_patience < 0:
            problems.append("gang_patience must not be negative")
        if problems:
            raise SettingsInvalid(tuple(problems))


def _class_problems(settings: ClassSettings) -> list[str]:
    problems = []
    if settings.weight <= 0:
        problems.append("weight must be above 0")
    if not 0 <= settings.min_share <= settings.max_share <= 1 or settings.max_share == 0:
        problems.append("shares must satisfy 0 <= min_share <= max_share <= 1 and max_share > 0")
    if not 0 <= settings.lane_share <= 1:
        problems.append("lane_share must lie in 0..1")
    if settings.lane_after < 0:
        problems.append("lane_after must not be negative")
    return problems
