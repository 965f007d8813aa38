"""What one tab has not been sent yet: events by topic, bounded, and how many of each were dropped. Pure."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outbox:
    """Events of a tab's topics, as JSON. What finds no room pushes out the oldest of its topic."""

    most_bytes: int
    most_events: int
    _waiting: dict[str, deque[bytes]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    """How many events of each topic were dropped."""
    size: int = 0
    """Bytes that wait."""
    count: int = 0

    @property
    def full(self) -> bool:
        """Whether a further event would push out others."""
        return self.size >= self.most_bytes or self.count >= self.most_events

    def put(self, topic: str, event: bytes) -> None:
        """Add an event. Where there is no room, the oldest of this topic go, or else the event itself."""
        line = self._waiting.setdefault(topic, deque())
        while self.full and line:
            gone = line.popleft()
            self._drop(topic, gone)
        if self.full:
            self.lost[topic] = self.lost.get(topic, 0) + 1
            return
        line.append(event)
        self.size += len(event)
        self.count += 1

    def take(self) -> bytes:
        """Return all that waits as one JSON text `[[topic, [event, ...]], ...]`, empty when nothing does."""
        parts = [
            b'["%b",[%b]]' % (topic.encode(), b",".join(line))
            for topic, line in self._waiting.items()
            if line
        ]
        self._waiting.clear()
        self.size = self.count = 0
        return b"[%b]" % b",".join(parts) if parts else b""

    def _drop(self, topic: str, event: bytes) -> None:
        self.size -= len(event)
        self.count -= 1
        self.lost[topic] = self.lost.get(topic, 0) + 1
