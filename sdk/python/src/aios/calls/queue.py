"""`kernel.queue`: see what runs and what waits, and why; choose policies."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Literal

from aios._paging import pages
from aios._streams import follow_forever
from aios._transport import Transport
from aios._wire import agents as agents_wire
from aios._wire import queue as wire
from aios._wire.common import agent_name, timestamp
from aios.api.scheduler.v1 import scheduler_pb2 as pb
from aios.types.agents import SchedulingClass
from aios.types.queue import (
    AgentSyscalls,
    AgentUsage,
    ClassPolicy,
    Explanation,
    PastSyscall,
    Policies,
    QueueState,
    ScheduleEvent,
    Syscall,
    Waits,
)


class Queue:
    """Shows the scheduler's queue. An agent sees its own calls, an administrator its tenant's."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def state(self, *, timeout: float | None = None) -> QueueState:
        """Return how many calls wait and run per class, and what each replica holds.

        Raises PermissionDenied.
        """
        return wire.state(
            await self._transport.call(pb.GetQueueRequest(), pb.GetQueueResponse, timeout=timeout)
        )

    async def explain(self, call: str, *, timeout: float | None = None) -> Explanation:
        """Return why a call waits: who is ahead, the binding limit, the predicted start.

        `call` is its id, its name or the name of a generation. Raises NotFound when it neither waits nor
        runs.
        """
        request = pb.ExplainWaitRequest(name=wire.call_name(call))
        return wire.explanation(await self._transport.call(request, pb.ExplainWaitResponse, timeout=timeout))

    async def explain_first(self, top: int = 20, *, agent: str = "", timeout: float | None = None) -> Waits:
        """Return why the first `top` waiting calls wait (at most 100), in one answer.

        Of one agent and its children, or all that the caller may see. Raises InvalidRequest,
        PermissionDenied.
        """
        request = pb.ExplainWaitsRequest(parent=agent_name(agent), top=top)
        return wire.waits(await self._transport.call(request, pb.ExplainWaitsResponse, timeout=timeout))

    async def cancel(self, call: str, *, timeout: float | None = None) -> bool:
        """Cancel a call; True when it was still waiting or running. Raises NotFound, PermissionDenied."""
        request = pb.CancelSyscallRequest(name=wire.call_name(call))
        return (await self._transport.call(request, pb.CancelSyscallResponse, timeout=timeout)).cancelled

    async def policies(
        self, *, lane: Literal["inference", "tool"] = "inference", timeout: float | None = None
    ) -> Policies:
        """Return which policy is in charge of each class of a lane, and which there are."""
        request = pb.GetPolicyRequest(lane=lane)
        response = await self._transport.call(request, pb.GetPolicyResponse, timeout=timeout)
        return wire.policies(response)

    async def set_policy(
        self,
        policy: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        scheduling_class: SchedulingClass = "unspecified",
        lane: Literal["inference", "tool"] = "inference",
        timeout: float | None = None,
    ) -> Sequence[ClassPolicy]:
        """Put a policy in charge of a class of a lane, or of all of them; calls stay where they are.

        Raises InvalidRequest for an unknown policy or parameter, PermissionDenied.
        """
        request = pb.SetPolicyRequest(
            scheduling_class=agents_wire.class_number(scheduling_class),
            policy=wire.policy_message(policy, parameters or {}),
            lane=lane,
        )
        response = await self._transport.call(request, pb.SetPolicyResponse, timeout=timeout)
        return [wire.class_policy(one) for one in response.classes]

    async def watch(
        self, *, agent: str = "", initial: bool = False, timeout: float | None = None
    ) -> AsyncIterator[ScheduleEvent]:
        """Yield what happens to calls from now on.

        With `initial` an event `known_started` comes first, then one `known` for each call that waits or
        runs, then `known_ended`, then all that happened since. After a broken connection events in between
        are missing; with `initial` the watch then begins anew with `known_started`: forget what was known.
        `timeout` bounds the whole watch. Unit: seconds; default: no bound.
        """
        request = pb.WatchScheduleRequest(parent=agent_name(agent), initial=initial)
        stream = follow_forever(self._transport, lambda: request, pb.WatchScheduleResponse, timeout=timeout)
        async with aclosing(stream):
            async for message in stream:
                yield wire.event(message)

    async def counts(
        self, *, agent: str = "", limit: int | None = None, timeout: float | None = None
    ) -> list[AgentSyscalls]:
        """Return how many calls wait and run of each agent that has any, by name.

        Of one agent and its children, or all that the caller may see. `timeout` bounds each page.
        """

        async def page(token: str) -> tuple[list[AgentSyscalls], str]:
            request = pb.CountSyscallsRequest(parent=agent_name(agent), page_size=1000, page_token=token)
            response = await self._transport.call(request, pb.CountSyscallsResponse, timeout=timeout)
            return [wire.agent_syscalls(one) for one in response.agents], response.next_page_token

        return await pages(page, limit)

    async def past(
        self,
        agent: str = "me",
        *,
        ended_after: datetime | None = None,
        ended_before: datetime | None = None,
        failed_only: bool = False,
        lane: Literal["", "inference", "tool"] = "",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[PastSyscall]:
        """Return calls of an agent that have ended and are still kept, newest first.

        `failed_only` leaves out those that completed or were cancelled. `timeout` bounds each page. Raises
        PermissionDenied, Unavailable.
        """

        async def page(token: str) -> tuple[list[PastSyscall], str]:
            request = pb.ListPastSyscallsRequest(
                parent=agent_name(agent),
                ended_after=timestamp(ended_after),
                ended_before=timestamp(ended_before),
                failed_only=failed_only,
                lane=lane,
                page_size=500,
                page_token=token,
            )
            response = await self._transport.call(request, pb.ListPastSyscallsResponse, timeout=timeout)
            return [wire.past_syscall(one) for one in response.syscalls], response.next_page_token

        return await pages(page, limit)

    async def usage(
        self,
        *,
        agent: str = "",
        since: datetime | None = None,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[AgentUsage]:
        """Return what ended calls took, for each agent itself and with all below it, by lane.

        Of one agent and its children, or all that the caller may see. `since` counts from the beginning of
        its hour; default: a day ago. `timeout` bounds each page. Raises PermissionDenied, Unavailable.
        """

        async def page(token: str) -> tuple[list[AgentUsage], str]:
            request = pb.ListSyscallUsageRequest(
                parent=agent_name(agent), since=timestamp(since), page_size=500, page_token=token
            )
            response = await self._transport.call(request, pb.ListSyscallUsageResponse, timeout=timeout)
            return [wire.agent_usage(one) for one in response.usage], response.next_page_token

        return await pages(page, limit)

    async def list(
        self,
        *,
        agent: str = "",
        states: Sequence[Literal["waiting", "running", "preempting"]] = (),
        scheduling_classes: Sequence[SchedulingClass] = (),
        lane: Literal["", "inference", "tool"] = "",
        without_children: bool = False,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[Syscall]:
        """Return the calls that wait or run, of one agent and its children or all that the caller may see.

        `states`, `scheduling_classes` and `lane` leave out others, `without_children` those of the agents
        below. `timeout` bounds each page.
        """

        async def page(token: str) -> tuple[list[Syscall], str]:
            request = pb.ListSyscallsRequest(
                parent=agent_name(agent),
                states=[wire.state_number(one) for one in states],
                scheduling_classes=[agents_wire.class_number(one) for one in scheduling_classes],
                lane=lane,
                without_children=without_children,
                page_size=500,
                page_token=token,
            )
            response = await self._transport.call(request, pb.ListSyscallsResponse, timeout=timeout)
            return [wire.syscall(call) for call in response.syscalls], response.next_page_token

        return await pages(page, limit)
