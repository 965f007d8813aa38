"""The scheduler of a fake kernel: an empty queue and policies that only remember their names."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from typing import cast

from google.protobuf.struct_pb2 import Struct

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import scheduler_pb2 as pb
from aios.errors import InvalidRequest, NotFound
from aios.testing.caller import Caller

CLASSES = (
    agent_pb2.SCHEDULING_CLASS_REALTIME,
    agent_pb2.SCHEDULING_CLASS_INTERACTIVE,
    agent_pb2.SCHEDULING_CLASS_NORMAL,
    agent_pb2.SCHEDULING_CLASS_BATCH,
    agent_pb2.SCHEDULING_CLASS_IDLE,
)
POLICIES = ("fifo", "rr", "priority")


class FakeScheduler:
    """Shows the calls that a test put into `waiting`; nothing else ever waits."""

    def __init__(self) -> None:
        self.waiting: dict[str, pb.ExplainWaitResponse] = {}
        self.past: list[pb.PastSyscall] = []
        """What has ended, newest first."""
        self.events: list[pb.WatchScheduleResponse] = []
        """What a watcher is told."""
        self._policies = {number: pb.Policy(name="fifo", parameters=Struct()) for number in CLASSES}

    def add(self, name: str, *, wait: float, summary: str) -> None:
        """Let a call wait: `agents/{agent}/calls/{call}`."""
        call = pb.Syscall(
            name=name,
            state=pb.SYSCALL_STATE_WAITING,
            scheduling_class=agent_pb2.SCHEDULING_CLASS_NORMAL,
            max_new_tokens=64,
        )
        call.wait.FromNanoseconds(round(wait * 1e9))
        self.waiting[name] = pb.ExplainWaitResponse(
            syscall=call, position=1, policy="fifo", binding_limit="all slots are taken", summary=summary
        )

    def happen(self, kind: str, name: str, at: datetime, *, replica: str, outcome: str) -> None:
        """Let a watcher be told of an event."""
        number = pb.ScheduleEventKind.Value(f"SCHEDULE_EVENT_KIND_{kind.upper()}")
        event = pb.WatchScheduleResponse(kind=cast("pb.ScheduleEventKind", number), outcome=outcome)
        event.time.FromDatetime(at)
        event.syscall.name, event.syscall.replica = name, replica
        event.sequence = len(self.events) + 1
        self.events.append(event)

    async def list_syscalls(self, request: pb.ListSyscallsRequest, caller: Caller) -> pb.ListSyscallsResponse:
        del caller
        found = [one.syscall for one in self.waiting.values()]
        states, classes = request.states, request.scheduling_classes
        return pb.ListSyscallsResponse(
            syscalls=[
                one
                for one in found
                if (not states or one.state in states) and (not classes or one.scheduling_class in classes)
            ]
        )

    async def count_syscalls(
        self, request: pb.CountSyscallsRequest, caller: Caller
    ) -> pb.CountSyscallsResponse:
        """CountSyscalls, in one page."""
        del request, caller
        counts = Counter(name.partition("/calls/")[0] for name in self.waiting)
        agents = [pb.AgentSyscalls(agent=name, waiting_count=counts[name]) for name in sorted(counts)]
        return pb.CountSyscallsResponse(agents=agents)

    async def list_past_syscalls(
        self, request: pb.ListPastSyscallsRequest, caller: Caller
    ) -> pb.ListPastSyscallsResponse:
        """ListPastSyscalls, in one page: what a test has put into `past`."""
        agent = caller.resolve(request.parent)
        found = [one for one in self.past if one.name.startswith(f"{agent}/")]
        if request.failed_only:
            found = [one for one in found if one.outcome not in ("completed", "cancelled")]
        return pb.ListPastSyscallsResponse(syscalls=found)

    async def list_syscall_usage(
        self, request: pb.ListSyscallUsageRequest, caller: Caller
    ) -> pb.ListSyscallUsageResponse:
        """ListSyscallUsage: the sums of what a test has put into `past`, of agents without children."""
        agent = caller.resolve(request.parent) if request.parent else ""
        usage: dict[tuple[str, str], pb.AgentUsage] = {}
        for one in self.past:
            name = one.name.partition("/calls/")[0]
            if agent in ("", name):
                row = usage.setdefault((name, one.lane), pb.AgentUsage(agent=name, lane=one.lane))
                for sums in (row.own, row.tree):
                    sums.call_count += 1
                    sums.prompt_tokens += one.prompt_tokens
                    sums.new_tokens += one.new_tokens
        return pb.ListSyscallUsageResponse(usage=[usage[key] for key in sorted(usage)])

    async def get_queue(self, request: pb.GetQueueRequest, caller: Caller) -> pb.GetQueueResponse:
        del request, caller
        classes = [
            pb.ClassQueue(
                scheduling_class=number,
                policy=policy.name,
                waiting_count=sum(one.syscall.scheduling_class == number for one in self.waiting.values()),
            )
            for number, policy in self._policies.items()
        ]
        replica = pb.Replica(name="fake", model="fake-model", up=True, slots=8, token_budget=8192)
        return pb.GetQueueResponse(classes=classes, replicas=[replica])

    async def explain_wait(self, request: pb.ExplainWaitRequest, caller: Caller) -> pb.ExplainWaitResponse:
        return self._find(caller.resolve(request.name))

    async def explain_waits(self, request: pb.ExplainWaitsRequest, caller: Caller) -> pb.ExplainWaitsResponse:
        del caller
        return pb.ExplainWaitsResponse(waits=list(self.waiting.values())[: request.top or 20])

    async def cancel_syscall(
        self, request: pb.CancelSyscallRequest, caller: Caller
    ) -> pb.CancelSyscallResponse:
        name = caller.resolve(request.name, write=True)
        self._find(name)
        del self.waiting[name]
        return pb.CancelSyscallResponse(cancelled=True)

    async def watch_schedule(
        self, request: pb.WatchScheduleRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchScheduleResponse]:
        """WatchSchedule: what waits, if asked for, the events that a test has put there, then silence."""
        del caller
        if request.initial:
            yield pb.WatchScheduleResponse(kind=pb.SCHEDULE_EVENT_KIND_KNOWN_STARTED)
        for one in self.waiting.values() if request.initial else ():
            yield pb.WatchScheduleResponse(kind=pb.SCHEDULE_EVENT_KIND_KNOWN, syscall=one.syscall)
        if request.initial:
            yield pb.WatchScheduleResponse(kind=pb.SCHEDULE_EVENT_KIND_KNOWN_ENDED)
        for event in self.events:
            yield event
        await asyncio.Event().wait()

    async def get_policy(self, request: pb.GetPolicyRequest, caller: Caller) -> pb.GetPolicyResponse:
        del request, caller
        return pb.GetPolicyResponse(classes=self._classes(), available=POLICIES)

    async def set_policy(self, request: pb.SetPolicyRequest, caller: Caller) -> pb.SetPolicyResponse:
        del caller
        if request.policy.name not in POLICIES:
            raise InvalidRequest(f"no policy {request.policy.name}", reason="UNKNOWN_SCHEDULING_POLICY")
        for number in [request.scheduling_class] if request.scheduling_class else list(self._policies):
            self._policies[number] = request.policy
        return pb.SetPolicyResponse(classes=self._classes())

    def _classes(self) -> list[pb.ClassPolicy]:
        return [
            pb.ClassPolicy(scheduling_class=number, policy=policy)
            for number, policy in self._policies.items()
        ]

    def _find(self, name: str) -> pb.ExplainWaitResponse:
        if name not in self.waiting:
            raise NotFound(f"no {name} waits or runs", reason="SYSCALL_NOT_FOUND")
        return self.waiting[name]
