"""The wait monitor: what waiting was like lately, per class."""

from collections import deque

_WINDOW = 512
_STEP = 0.05


class WaitMonitor:
    """Waits of dispatched calls: EWMA and p99 over the last 512; rate; error of predictions."""

    def __init__(self) -> None:
        self.mean = 0.0
        self.count = 0
        self.prediction_error = 0.0
        self.predictions = 0
        self._waits: deque[float] = deque(maxlen=_WINDOW)
        self._gap: float | None = None
        self._last: float | None = None

    def dispatched(self, wait: float, predicted: float | None, now: float) -> None:
        """Note that a call was granted after `wait` seconds; `predicted` is what was foretold on arrival."""
        self._waits.append(wait)
        self.count += 1
        self.mean = wait if self.count == 1 else self.mean + _STEP * (wait - self.mean)
        if self._last is not None:
            gap = now - self._last
            self._gap = gap if self._gap is None else self._gap + _STEP * (gap - self._gap)
        self._last = now
        if predicted is not None:
            error = abs(wait - predicted)
            self.predictions += 1
            step = max(_STEP, 1 / self.predictions)
            self.prediction_error += step * (error - self.prediction_error)

    def p99(self) -> float:
        """Return the 99th percentile of recent waits in seconds; 0 without any."""
        if not self._waits:
            return 0.0
        ranked = sorted(self._waits)
        return ranked[min(len(ranked) - 1, int(0.99 * len(ranked)))]

    def predicted_wait(self, ahead: int) -> float | None:
        """Seconds until a call with `ahead` calls before it starts; None: no history."""
        return None if self._gap is None else (ahead + 1) * self._gap
