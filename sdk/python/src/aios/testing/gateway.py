"""The gateway's own service of a fake kernel."""

import asyncio
from collections.abc import AsyncIterator

from aios.api.gateway.v1 import gateway_pb2 as pb
from aios.testing.caller import Caller


class FakeGateway:
    """Tells those who watch of each call that reached the fake kernel."""

    def __init__(self) -> None:
        self._watchers: list[asyncio.Queue[pb.SyscallEvent]] = []

    def ended(self, method: str, agent: str, reason: str) -> None:
        """Take note of a call that has ended; an empty reason is success."""
        event = pb.SyscallEvent(
            phase=pb.SYSCALL_PHASE_ENDED,
            agent=f"agents/{agent}",
            method=method,
            code="UNKNOWN" if reason else "OK",
            reason=reason,
        )
        event.begin_time.GetCurrentTime()
        for watcher in self._watchers:
            watcher.put_nowait(event)

    async def watch_syscalls(
        self, request: pb.WatchSyscallsRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchSyscallsResponse]:
        """WatchSyscalls: of one agent, without those below it and without beginnings."""
        name = caller.resolve(request.name)
        events: asyncio.Queue[pb.SyscallEvent] = asyncio.Queue()
        self._watchers.append(events)
        try:
            yield pb.WatchSyscallsResponse()
            while True:
                event = await events.get()
                if event.agent == name:
                    yield pb.WatchSyscallsResponse(event=event)
        finally:
            self._watchers.remove(events)
