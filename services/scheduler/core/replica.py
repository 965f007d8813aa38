"""A replica's budget: slots and KV tokens, with shared prefixes counted once."""

from services.scheduler.core.adaptive_limit import AdaptiveLimit
from services.scheduler.core.events import BackendLimits, BackendUp
from services.scheduler.core.prefix_cache import PrefixMap
from services.scheduler.core.reservation import Reservation
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import CallId, PoolKey, ReplicaId

_RATE_STEP = 0.02


class Replica:
    """One backend replica: what it can hold and what it holds.

    Invariant: `used_tokens` is the sum of private tokens of the running calls plus every shared
    segment once, however many running calls share it; `context_tokens` is the sum of the running
    calls' contexts as they are now.
    """

    def __init__(self, replica_id: ReplicaId, pool: PoolKey, settings: CoreSettings) -> None:
        self.id = replica_id
        self.pool = pool
        self.up = False
        self.down_at = 0.0
        self.slots = 0
        self.max_tokens: int | None = None
        self.kv_snapshot = False
        self.prefix_cache = True
        self.running: dict[CallId, ScheduledCall] = {}
        self.programs: dict[str, int] = {}
        """Running calls by program."""
        self.limit = AdaptiveLimit(settings.limits, settings.cost)
        self.prefixes = PrefixMap(settings.prefix_cache_tokens)
        self.reservation: Reservation | None = None
        self.token_seconds = settings.cost.step_seconds
        self.context_tokens = 0
        self._settings = settings
        self._margin = settings.limits.token_margin
        self._private = 0
        self._shared = 0
        self._segments: dict[str, list[int]] = {}

    def announce(self, event: BackendUp) -> bool:
        """Take the facts a backend announced about itself; True when it can hold less than before."""
        before = self.nominal_tokens
        self.up = True
        self.kv_snapshot = event.kv_snapshot
        self.prefix_cache = event.prefix_cache
        self.set_limits(event.slots, event.max_batch_total_tokens)
        return self.nominal_tokens < before

    def update(self, event: BackendLimits) -> bool:
        """Take fresh facts; True when the token budget shrank."""
        if event.kv_snapshot is not None:
            self.kv_snapshot = event.kv_snapshot
        before = self.nominal_tokens
        slots = self.slots if event.slots is None else event.slots
        tokens = event.max_batch_total_tokens
        self.set_limits(slots, self.max_tokens if tokens is None else tokens)
        return self.nominal_tokens < before

    def set_limits(self, slots: int, max_tokens: int | None) -> None:
        """Change the nominal limits."""
        self.slots = slots
        self.max_tokens = max_tokens
        if max_tokens is not None:
            self.prefixes.resize(max_tokens)

    def emptied(self) -> "Replica":
        """Return a replica of the same size on which nothing runs, to try things on."""
        twin = Replica(self.id, self.pool, self._settings)
        twin.up = True
        twin.slots, twin.max_tokens = self.slots, self.max_tokens
        return twin

    @property
    def used_tokens(self) -> int:
        """Tokens reserved by running calls."""
        return self._private + self._shared

    @property
    def nominal_tokens(self) -> float:
        """Tokens that may be reserved at most, without cuts."""
        return float("inf") if self.max_tokens is None else self._margin * self.max_tokens

    def token_limit(self, now: float) -> float:
        """Tokens that may be reserved now."""
        return self.nominal_tokens * self.limit.factor(now)

    def slot_limit(self, now: float) -> int:
        """Return calls that may run now."""
        factor = self.limit.factor(now)
        return self.slots if factor >= 1.0 else min(self.slots, max(1, int(self.slots * factor)))

    def has_slot(self, now: float) -> bool:
        """Whether one more call may run, tokens aside."""
        return self.up and len(self.running) < self.slot_limit(now)

    def open_to_all(self, now: float) -> bool:
        """Whether one more call may run, whosever it is, tokens aside."""
        limit = self.slot_limit(now)
        free = limit - len(self.running)
        return self.up and (free > 1 or (free == 1 and not self._keeps(limit)))

    def room_for(self, job: ScheduledCall, now: float) -> bool:
        """Whether this call may have one of the free slots, tokens aside.

        The last one is kept for a program that runs nothing here. A gang needs its slots at once and may have
        it too.
        """
        if not self.has_slot(now):
            return False
        return job.gang is not None or job.call.program_key not in self.programs or self.open_to_all(now)

    def only_kept(self, now: float) -> bool:
        """Whether the one slot that is free is kept."""
        return self.has_slot(now) and not self.open_to_all(now)

    def keeps(self, now: float) -> bool:
        """Whether the last slot is kept for who runs nothing."""
        return self._keeps(self.slot_limit(now))

    def _keeps(self, limit: int) -> bool:
        return 0 < self._settings.kept_slot_from <= limit

    def need(self, job: ScheduledCall) -> int:
        """Tokens this call would add to what is reserved here."""
        total = job.footprint
        if self._segments:
            for key, tokens in segments(job):
                if key in self._segments:
                    total -= tokens
        return total

    def fits_tokens(self, job: ScheduledCall, now: float) -> bool:
        """Whether the call's tokens fit; alone on the replica it needs only the nominal limit."""
        need = self.need(job)
        if not self.running:
            return need <= self.nominal_tokens
        return self.used_tokens + need <= self.token_limit(now)

    def could_hold(self, job: ScheduledCall) -> bool:
        """Whether the call fits when nothing else runs."""
        return job.whole_footprint <= self.nominal_tokens

    def take(self, job: ScheduledCall) -> None:
        """Reserve a slot and tokens for the call."""
        held = segments(job)
        job.segments = tuple(key for key, _ in held)
        job.private_tokens = job.footprint - sum(tokens for _, tokens in held)
        self._private += job.private_tokens
        for key, tokens in held:
            entry = self._segments.setdefault(key, [0, tokens])
            if entry[0] == 0:
                self._shared += entry[1]
            entry[0] += 1
        self.running[job.call.id] = job
        program = job.call.program_key
        self.programs[program] = self.programs.get(program, 0) + 1
        self.context_tokens += job.context_tokens

    def release(self, job: ScheduledCall) -> None:
        """Give back what `take` reserved."""
        del self.running[job.call.id]
        program = job.call.program_key
        self.programs[program] -= 1
        if not self.programs[program]:
            del self.programs[program]
        self.context_tokens -= job.context_tokens
        self._private -= job.private_tokens
        for key in job.segments:
            entry = self._segments[key]
            entry[0] -= 1
            if entry[0] == 0:
                self._shared -= entry[1]
                del self._segments[key]
        job.segments = ()
        job.private_tokens = 0

    @property
    def reserved_for(self) -> ScheduledCall | None:
        """The call this replica is held for."""
        return None if self.reservation is None else self.reservation.job

    def unreserve(self, job: ScheduledCall) -> None:
        """Drop the reservation if this call holds it."""
        if self.reserved_for is job:
            self.reservation = None

    def token_seen(self, seconds: float) -> None:
        """Note how long one of the running calls took for a token."""
        self.token_seconds += _RATE_STEP * (seconds - self.token_seconds)


def segments(job: ScheduledCall) -> tuple[tuple[str, int], ...]:
    """Return the parts of a call's prompt that may be shared: each prefix beyond the shorter one."""
    if job.parts is None:
        job.parts = _segments(job)
    return job.parts


def _segments(job: ScheduledCall) -> tuple[tuple[str, int], ...]:
    prefixes = job.call.prefixes
    parts, covered = [], 0
    for prefix in prefixes:
        end = min(prefix.tokens, job.call.prompt_tokens)
        # The length is part of the key: two callers may disagree on the length of one prefix.
        parts.append((f"{prefix.key}:{covered}:{end}", max(0, end - covered)))
        covered = max(covered, end)
    return tuple(parts)
