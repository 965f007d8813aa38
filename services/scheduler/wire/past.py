"""What has ended, on the wire."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration

from aios.api.scheduler.v1 import scheduler_pb2
from services.chassis.dispatch.scheduling import SchedulingClass
from services.chassis.rpc import names
from services.chassis.rpc.wire import duration, stamp
from services.scheduler.model import PastCall, Sums, UsageRow
from services.scheduler.wire.scheduling import CLASS_NUMBERS


def past_calls(
    page: Iterable[PastCall], token: str, kept_for: timedelta
) -> scheduler_pb2.ListPastSyscallsResponse:
    """Write a page of calls that ended."""
    kept = Duration()
    kept.FromTimedelta(kept_for)
    return scheduler_pb2.ListPastSyscallsResponse(
        syscalls=[_past_call(each) for each in page], next_page_token=token, kept_for=kept
    )


def usage(rows: Iterable[UsageRow], token: str, since: datetime) -> scheduler_pb2.ListSyscallUsageResponse:
    """Write what ended calls took."""
    return scheduler_pb2.ListSyscallUsageResponse(
        usage=[
            scheduler_pb2.AgentUsage(
                agent=names.agent_name(row.path[-1]), lane=row.lane, own=_sums(row.own), tree=_sums(row.tree)
            )
            for row in rows
        ],
        next_page_token=token,
        since=stamp(since),
    )


def _past_call(call: PastCall) -> scheduler_pb2.PastSyscall:
    return scheduler_pb2.PastSyscall(
        name=names.in_agent(call.agent, "calls", call.call),
        lane=call.lane,
        model=call.resource,
        scheduling_class=CLASS_NUMBERS[SchedulingClass(call.scheduling_class)],
        priority=call.priority,
        outcome=call.outcome[:64],
        prompt_tokens=call.prompt_tokens,
        new_tokens=call.new_tokens,
        wait=duration(call.waited),
        run=duration(call.ran),
        preemption_count=call.preemptions,
        replica=call.replica,
        arrive_time=stamp(call.arrive_time),
        start_time=stamp(call.start_time),
        end_time=stamp(call.end_time),
    )


def _sums(sums: Sums) -> scheduler_pb2.SyscallSums:
    calls, failed, cancelled, prompt, new, wait_ms, run_ms, preemptions = sums
    return scheduler_pb2.SyscallSums(
        call_count=calls,
        failed_count=failed,
        cancelled_count=cancelled,
        prompt_tokens=prompt,
        new_tokens=new,
        wait=duration(wait_ms / 1000),
        run=duration(run_ms / 1000),
        preemption_count=preemptions,
    )
