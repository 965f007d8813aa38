"""Records what the scheduler does, for a timeline."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aios.cli.timeline import Timeline, build
from aios.kernel import Kernel
from aios.types.queue import ScheduleEvent, Syscall


@dataclass(slots=True)
class Recording:
    """What was seen so far; it is there also when recording was broken off."""

    events: list[ScheduleEvent] = field(default_factory=list)
    """In the order in which they came."""

    left: list[Syscall] = field(default_factory=list)
    """Calls that are there: at the start, until the end is reached."""

    began: float = field(default_factory=time.monotonic)
    """When it began, on the monotonic clock. Unit: seconds."""

    received: float = 0.0
    """When the last event came, on the monotonic clock. Unit: seconds."""

    async def follow(
        self,
        kernel: Kernel,
        *,
        agent: str = "",
        duration: float | None = None,
        on_event: Callable[[ScheduleEvent], None] | None = None,
    ) -> None:
        """Record for `duration` seconds, or until cancelled. Raises the SDK's errors."""
        self.left = await kernel.queue.list(agent=agent)
        try:
            async with asyncio.timeout(duration):
                async for event in kernel.queue.watch(agent=agent):
                    self.events.append(event)
                    self.received = time.monotonic()
                    if on_event is not None:
                        on_event(event)
        except TimeoutError:
            self.left = await kernel.queue.list(agent=agent)

    def timeline(self) -> Timeline:
        """Build the timeline on the scheduler's clock, as the events tell it."""
        length = time.monotonic() - self.began
        times = [event.time for event in self.events if event.time is not None]
        now = times[-1] + timedelta(seconds=time.monotonic() - self.received) if times else datetime.now(UTC)
        start = min([now - timedelta(seconds=length), *times])
        return build(self.events, self.left, start=start, length=(now - start).total_seconds())
