"""The in-flight limit of a replica: additive increase, multiplicative decrease."""

from services.scheduler.core.settings import CostModel, LimitSettings

_RATE_STEP = 0.1


class AdaptiveLimit:
    """A factor in floor..1 on a replica's tokens and slots.

    Cut when the backend's own queue is seen twice in a row, when cached prefixes had to be read
    again and fewer calls at a time would save more than they lose (thrash), or when tokens come
    slower than the target; recovers linearly.
    """

    def __init__(self, settings: LimitSettings, cost: CostModel) -> None:
        self._settings = settings
        self._cost = cost
        self._factor = 1.0
        self._cut_at = float("-inf")
        self._queue_seen = 0
        self._reports = 0
        self._expected = 0
        self._missed = 0
        self._output = 0
        self._token_seconds: float | None = None

    def is_cut(self, now: float) -> bool:
        """Whether the factor lies below 1."""
        return self._factor < 1.0 and self.factor(now) < 1.0

    def factor(self, now: float) -> float:
        """Return the factor at this time, recovery counted in."""
        if self._factor == 1.0:
            return 1.0
        return min(1.0, self._factor + self._settings.recovery_per_second * max(0.0, now - self._cut_at))

    def queue_seen(self, size: int, now: float) -> bool:
        """Note the backend's queue length; True when the limit was cut for it."""
        self._queue_seen = self._queue_seen + 1 if size > 0 else 0
        if self._queue_seen < 2:  # noqa: PLR2004 - one sighting is a race, two are a queue
            return False
        self._queue_seen = 0
        self._cut(self._settings.queue_cut, now)
        return True

    def cache_seen(self, expected: int, found: int, output: int, running: int, now: float) -> bool:
        """Note how much of an expected cached prefix was there; True when the limit was cut.

        `output`: tokens the call has to generate; `running`: calls beside it, itself included.
        """
        self._reports += 1
        self._expected += expected
        self._missed += max(0, expected - found)
        self._output += output
        if self._reports < self._settings.thrash_window:
            return False
        pays = self._missed > self._settings.thrash_ratio * self._expected and self._cut_pays(running)
        self._reports = self._expected = self._missed = self._output = 0
        if pays:
            self._cut(self._settings.thrash_cut, now)
        return pays

    def _cut_pays(self, running: int) -> bool:
        """Whether fewer calls at a time would save more reading than they lose in sharing steps.

        A cut to c of the calls frees 1 - c of their tokens for the cache and is credited with that
        part of what was read again; each token then carries the fixed part of a step among c * n
        calls instead of n.
        """
        kept = self._settings.thrash_cut
        saved = (1 - kept) * self._cost.prefill(self._missed)
        lost = self._output * self._cost.step_seconds * (1 / kept - 1) / max(1, running)
        return saved > lost

    def token_seen(self, seconds_per_token: float, now: float) -> bool:
        """Note how fast tokens come; True when the limit was cut for slowness."""
        target = self._settings.target_seconds_per_token
        if target is None:
            return False
        mean = seconds_per_token if self._token_seconds is None else self._token_seconds
        self._token_seconds = mean + _RATE_STEP * (seconds_per_token - mean)
        # A cut shows its effect only after a while: at most one a second.
        if self._token_seconds <= target or now - self._cut_at < 1.0:
            return False
        self._cut(self._settings.queue_cut, now)
        return True

    def _cut(self, by: float, now: float) -> None:
        self._factor = max(self._settings.floor, self.factor(now) * by)
        self._cut_at = now
