"""A Meter that remembers what it was told, whatever the service."""

from collections import Counter
from typing import Any


class RecordingMeter:
    """Answers every method of any Meter port; `counts` holds how often each was called."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        def count(*_args: object, **_kwargs: object) -> None:
            self.counts[name] += 1

        return count
