"""When a running generation is told of, and when it is saved: by time, not by every token. Pure."""

from math import inf


class ReportPace:
    """When the scheduler is told of tokens.

    It acts on reports: it may take a call back once its quantum is used up, so that is told soon. All else
    that it derives from them (shares, the speed of replicas, live views) may be as old as one period.
    """

    def __init__(self, tokens: int, seconds: float, quantum_seconds: float) -> None:
        self._tokens, self._seconds, self._quantum_seconds = tokens, seconds, quantum_seconds
        self._told_at = 0.0
        self._quantum: float = inf

    def begin(self, quantum: int, now: float) -> None:
        """Start a run that may be told to yield after `quantum` tokens; 0: it is not told so early."""
        self._told_at = now
        self._quantum = quantum or inf

    def due(self, tokens: int, unreported: int, now: float) -> bool:
        """Tell whether to report, `tokens` into the run; what is due counts as done."""
        passed = now - self._told_at
        if tokens >= self._quantum and passed >= self._quantum_seconds:
            self._quantum = inf
        elif unreported < self._tokens or passed < self._seconds:
            return False
        self._told_at = now
        return True


class SavePace:
    """When a checkpoint is saved.

    After so many tokens or seconds, whichever comes first, but never more often than the pause allows: a
    call that is shorter than that is never saved, and starts anew when its gateway dies.
    """

    def __init__(self, tokens: int, seconds: float, pause: float) -> None:
        self._tokens, self._seconds, self._pause = tokens, seconds, pause
        self._at: float = 0.0
        self.saved = 0
        """Tokens of the newest checkpoint, or those that it was restored with."""

    def begin(self, now: float) -> None:
        """Start a run: the time before it brought no tokens."""
        self._at = now

    def done(self, tokens: int, now: float) -> None:
        """Note that `tokens` are being saved."""
        self._at, self.saved = now, tokens

    def due(self, tokens: int, now: float) -> bool:
        """Tell whether to save."""
        passed = now - self._at
        return passed >= self._seconds or (tokens - self.saved >= self._tokens and passed >= self._pause)
