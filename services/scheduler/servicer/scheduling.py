"""SchedulerService over gRPC."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from aios.api.scheduler.v1 import dispatch_pb2, scheduler_pb2, scheduler_pb2_grpc
from services.chassis.auth.identity import Kind, current_caller
from services.chassis.dispatch.scheduling import SchedulingClass
from services.chassis.quotas import Owner
from services.chassis.rpc import paging
from services.chassis.rpc.errors import InvalidRequest, PermissionDenied
from services.chassis.rpc.wire import quota_usage
from services.chassis.runtime.clock import Clock
from services.chassis.shares import Openings
from services.scheduler.core.explanation_text import summary
from services.scheduler.core.stats import ReplicaStats, merged
from services.scheduler.model import ResourceKind
from services.scheduler.service.past_calls import PastCalls
from services.scheduler.service.scheduling import GatewaySession, SchedulerService
from services.scheduler.servicer.past import PastMethods
from services.scheduler.servicer.viewing import call_of, viewer_of, widest
from services.scheduler.wire import dispatch, scheduling

_KINDS: Final = {"gateway": ResourceKind.INFERENCE, "tool": ResourceKind.TOOL}
"""What each process that dispatches brings calls and replicas of."""

_TOP: Final = 20
"""Calls whose waits are explained where no number was asked for."""


class SchedulerServicer(PastMethods, scheduler_pb2_grpc.SchedulerServiceServicer):
    """Implements aios.api.scheduler.v1.SchedulerService. The proto says what each method promises."""

    def __init__(
        self,
        service: SchedulerService,
        past: PastCalls,
        clock: Clock,
        epoch: int,
        openings: Openings | None = None,
    ) -> None:
        super().__init__(past, clock)
        self._openings = openings
        self._service = service
        self._clock = clock
        self._epoch = epoch

    async def Dispatch(
        self, request_iterator: AsyncIterator[dispatch_pb2.DispatchRequest], context: Any
    ) -> AsyncGenerator[dispatch_pb2.DispatchResponse, None]:
        """Serve the stream of one process that runs calls."""
        service = current_caller().agent
        if current_caller().kind is not Kind.SERVICE or service not in _KINDS:
            raise PermissionDenied("only gateways and the tool manager may dispatch")
        hello = await anext(aiter(request_iterator), None)
        if hello is None or hello.WhichOneof("message") != "hello":
            raise InvalidRequest.field("message", "expected hello first")
        # The name is the process's own choice: with its service before it none takes over another's stream.
        session = self._service.connect(f"{service}/{hello.hello.gateway}", _KINDS[service])
        reader = asyncio.create_task(self._read(request_iterator, session))
        try:
            yield dispatch_pb2.DispatchResponse(welcome=dispatch_pb2.Welcome(epoch=self._epoch))
            while (decision := await session.outbox.get()) is not None:
                yield dispatch.instruction(decision)
            if reader.done():
                await reader
        finally:
            reader.cancel()
            await asyncio.wait({reader})
            self._service.disconnect(session)

    async def _read(
        self, requests: AsyncIterator[dispatch_pb2.DispatchRequest], session: GatewaySession
    ) -> None:
        """Take the gateway's reports until it goes; the stream ends with it, also when a report is wrong."""
        try:
            async for message in requests:
                events = dispatch.event(message, session.gateway, self._clock.monotonic())
                for event in events if isinstance(events, list) else [events]:
                    self._service.report(session, event)
        finally:
            session.close()

    async def ListSyscalls(
        self, request: scheduler_pb2.ListSyscallsRequest, context: Any
    ) -> scheduler_pb2.ListSyscallsResponse:
        viewer = viewer_of(request.parent)
        wanted = scheduling.wanted(request, viewer.agent)
        query = (viewer.tenant, viewer.agent, *scheduling.query_of(request))
        after = scheduling.place(request.page_token, *query)
        size = paging.page_size(request.page_size)
        page, rest = self._service.select(viewer, wanted, after, size)
        now, wall = self._clock.monotonic(), self._clock.now()
        token = paging.encode(rest, *query) if rest is not None else ""
        return scheduler_pb2.ListSyscallsResponse(
            syscalls=[scheduling.syscall(entry, call, now, wall) for entry, call in page],
            next_page_token=token,
            sequence=self._service.sequence,
        )

    async def CountSyscalls(
        self, request: scheduler_pb2.CountSyscallsRequest, context: Any
    ) -> scheduler_pb2.CountSyscallsResponse:
        viewer, size = viewer_of(request.parent), paging.page_size(request.page_size)
        query = ("count", viewer.tenant, viewer.agent)
        after = paging.decode(request.page_token, *query, shape=(str,))
        found = self._service.count(viewer, str(after[0]) if after else "", size + 1)
        page = found[:size]
        return scheduler_pb2.CountSyscallsResponse(
            agents=[scheduling.agent_count(each) for each in page],
            next_page_token=paging.encode([page[-1].agent], *query) if len(found) > size else "",
            sequence=self._service.sequence,
        )

    async def GetQueue(
        self, request: scheduler_pb2.GetQueueRequest, context: Any
    ) -> scheduler_pb2.GetQueueResponse:
        stats, tenant = self._service.stats(), current_caller().tenant
        classes = merged(stats.classes, lambda _each: "")
        return scheduler_pb2.GetQueueResponse(
            classes=[scheduling.class_queue(each) for each in classes],
            replicas=[scheduling.replica(each) for each in stats.replicas if visible(each, tenant)],
            preemption_count=self._service.preemptions,
            sequence=self._service.sequence,
        )

    async def ExplainWait(
        self, request: scheduler_pb2.ExplainWaitRequest, context: Any
    ) -> scheduler_pb2.ExplainWaitResponse:
        identifier, viewer = call_of(request.name)
        found = self._service.explain(identifier, viewer)
        entry, call = self._service.entry(identifier, viewer)
        shown = scheduling.syscall(entry, call, self._clock.monotonic(), self._clock.now())
        most = widest()
        named = {each.call_id for each in found.ahead if self._service.may_name(each.call_id, most)}
        return scheduling.explanation(found, shown, named, most.tenant, summary(found))

    async def ExplainWaits(
        self, request: scheduler_pb2.ExplainWaitsRequest, context: Any
    ) -> scheduler_pb2.ExplainWaitsResponse:
        viewer = viewer_of(request.parent)
        found = self._service.explain_first(viewer, request.top or _TOP)
        now, wall = self._clock.monotonic(), self._clock.now()
        response = scheduler_pb2.ExplainWaitsResponse(sequence=self._service.sequence)
        response.time.FromDatetime(wall)
        for each in found:
            entry, call = self._service.entry(each.call_id, viewer)
            shown = scheduling.syscall(entry, call, now, wall)
            response.waits.append(scheduling.explanation(each, shown, (), viewer.tenant, summary(each)))
        return response

    async def SetPolicy(
        self, request: scheduler_pb2.SetPolicyRequest, context: Any
    ) -> scheduler_pb2.SetPolicyResponse:
        """Put a policy in charge of a class, or of all."""
        chosen = dispatch.CLASSES.get(request.scheduling_class)
        classes: Sequence[SchedulingClass] = [chosen] if chosen is not None else list(SchedulingClass)
        lane = dispatch.lane(request.lane)
        self._service.set_policy(classes, request.policy.name, scheduling.params(request.policy), lane)
        return scheduler_pb2.SetPolicyResponse(classes=self._classes(lane))

    async def GetPolicy(
        self, request: scheduler_pb2.GetPolicyRequest, context: Any
    ) -> scheduler_pb2.GetPolicyResponse:
        return scheduler_pb2.GetPolicyResponse(
            classes=self._classes(dispatch.lane(request.lane)), available=list(self._service.policy_names)
        )

    async def WatchSchedule(
        self, request: scheduler_pb2.WatchScheduleRequest, context: Any
    ) -> AsyncGenerator[scheduler_pb2.WatchScheduleResponse, None]:
        async for shown in self._service.watch(viewer_of(request.parent), initial=request.initial):
            message = scheduling.schedule_event(shown, self._clock.monotonic(), self._clock.now())
            if message is not None:
                yield message

    async def CancelSyscall(
        self, request: scheduler_pb2.CancelSyscallRequest, context: Any
    ) -> scheduler_pb2.CancelSyscallResponse:
        identifier, viewer = call_of(request.name)
        self._service.cancel(identifier, viewer)
        return scheduler_pb2.CancelSyscallResponse(cancelled=True)

    async def GetUsage(
        self, request: scheduler_pb2.GetUsageRequest, context: Any
    ) -> scheduler_pb2.GetUsageResponse:
        caller = current_caller()
        owner = caller.scope.charged
        tenant, agent, tree = owner.tenant, owner.agent, owner.tree or owner.agent
        waiting = self._service.waiting(
            Owner(tenant, dispatch.scoped(tenant, agent), dispatch.scoped(tenant, tree))
        )
        return scheduler_pb2.GetUsageResponse(quotas=quota_usage(waiting, caller, self._openings))

    def _classes(self, lane: ResourceKind) -> list[scheduler_pb2.ClassPolicy]:
        return [scheduling.policy(kind, spec) for kind, spec in self._service.policies(lane).items()]


def visible(replica: ReplicaStats, tenant: str) -> bool:
    """Whether a tenant may know of a replica: of every backend, of tools its own and those all share."""
    return replica.lane is not ResourceKind.TOOL or replica.resource.startswith(("tools/", f"{tenant}/"))
