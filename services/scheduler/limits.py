"""The in-flight limit of a replica: additive increase, multiplicative decrease."""

from services.scheduler.settings import LimitSettings

_RATE_STEP = 0.1


class AdaptiveLimit:
    """A factor in floor..1 on a replica's tokens and slots.

    Cut when the backend's own queue is seen twice in a row, when cached prefixes had to be read
    again (thrash), or when tokens come slower than the target; recovers linearly.
    """

    def __init__(self, settings: LimitSettings) -> None:
        self._settings = settings
        self._factor = 1.0
        self._cut_at = float("-inf")
        self._queue_seen = 0
        self._reports = 0
        self._expected = 0
        self._missed = 0
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

    def cache_seen(self, expected: int, found: int, now: float) -> bool:
        """Note how much of an expected cached prefix was there; True when the limit was cut."""
        self._reports += 1
        self._expected += expected
        self._missed += max(0, expected - found)
        if self._reports < self._settings.thrash_window:
            return False
        ratio = self._missed / self._expected if self._expected else 0.0
        self._reports = self._expected = self._missed = 0
        if ratio <= self._settings.thrash_ratio:
            return False
        self._cut(self._settings.thrash_cut, now)
        return True

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
