"""Attempts of one call id over the Dispatch stream: what comes late from one never reaches the next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.dispatch.client import DispatchClient, DispatchTicket
from services.chassis.dispatch.scheduling import Completion, Interrupt
from services.chassis.rpc.errors import KernelError, PermissionDenied
from services.chassis.runtime.clock import SystemClock
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.metrics import PrometheusScheduleMetrics
from services.scheduler.model import ResourceKind
from services.scheduler.service.past_calls import Keeping, PastCalls
from services.scheduler.service.scheduling import SchedulerService
from services.scheduler.service.watching import Viewer
from services.scheduler.servicer import SchedulerServicer
from services.scheduler.wire import dispatch
from tests.fakes.dispatch import REPLICA, Session, dispatching, key, scripted, submission
from tests.fakes.stores.scheduler import MemoryPastStore
from tests.fakes.waiting import until

ME = Viewer("acme", "acme/planner")
FENCE = 999


@asynccontextmanager
async def scripted_stream() -> AsyncIterator[tuple[DispatchClient, Session]]:
    """Run a client on a scheduler that does what the test says."""
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        await until(lambda: client.connected)
        yield client, session


@asynccontextmanager
async def real_scheduler() -> AsyncIterator[tuple[DispatchClient, SchedulerService]]:
    """Run a client on the real scheduler, without a replica yet: what is submitted waits."""
    clock = SystemClock()
    metrics = PrometheusScheduleMetrics(CollectorRegistry(), lambda _kind, _lane: "x")
    service = SchedulerService(SchedulerCore(), clock, metrics)
    past = PastCalls(MemoryPastStore(), clock, metrics, Keeping(), writer=1)
    servicer: Any = SchedulerServicer(service, past, clock, 1)
    async with dispatching(servicer) as client:
        await until(lambda: client.connected)
        yield client, service


def grant(ticket: DispatchTicket, number: int) -> pb.Grant:
    """Write a grant of an attempt."""
    return pb.Grant(key=key("c1"), replica="r0", number=number, attempt=ticket.attempt)


async def fenced(session: Session) -> None:
    """Wait until the client has taken everything sent so far: a grant of an unknown call comes back last."""
    session.send(grant=pb.Grant(key=key("fence"), replica="r0", number=FENCE, attempt=FENCE))
    await until(lambda: FENCE in [each.number for each in session.of("ended")])


@pytest.mark.parametrize("gap", [0.0, 0.0005, 0.001, 0.002, 0.005, 0.02])
async def test_a_call_sent_again_is_not_ended_by_the_withdrawal_before(gap: float) -> None:
    async with real_scheduler() as (client, service):
        first = client.submit(submission("c1"))
        await until(lambda: len(service.queue(ME)) == 1)
        first.ended(Completion.CANCELLED, 0)
        await asyncio.sleep(gap)
        second = client.submit(submission("c1"))
        await until(lambda: [call.attempt for _, call in service.queue(ME)] == [2])
        client.announce(REPLICA)

        assert (await asyncio.wait_for(second.granted(), 30)).replica == "r0"

        second.ended(Completion.COMPLETED, 1)
        await until(lambda: service.queue(ME) == [])


async def test_an_attempt_put_in_place_of_one_that_runs_gets_its_slot_and_the_run_is_taken_back() -> None:
    async with real_scheduler() as (client, service):
        client.announce(pb.ReplicaState(name="r0", model="m", up=True, slots=1))
        first = client.submit(submission("c1"))
        await first.granted()
        second = client.submit(submission("c1"))

        assert await asyncio.wait_for(first.interrupted(), 30) is Interrupt.REVOKE
        await asyncio.wait_for(second.granted(), 30)

        first.ended(Completion.CANCELLED, 0)
        waiting = client.submit(submission("c2"))
        await until(lambda: len(service.queue(ME)) == 2)
        assert {call.id[-2:]: entry.state.value for entry, call in service.queue(ME)} == {
            "c1": "running",
            "c2": "waiting",
        }

        second.ended(Completion.COMPLETED, 1)
        await asyncio.wait_for(waiting.granted(), 30)


async def test_every_attempt_has_its_own_number_and_keeps_it_over_a_new_stream() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        await until(lambda: client.connected)
        gone = client.submit(submission("c1"))
        gone.ended(Completion.CANCELLED, 0)
        kept = client.submit(submission("c1"))
        (withdrawn,) = await session.until("withdraw")
        submits = await session.until("submit", 2)
        session.end()
        (again,) = await (await scheduler.session(1)).until("submit")

        assert [each.attempt for each in submits] == [gone.attempt, kept.attempt]
        assert withdrawn.attempt == gone.attempt != kept.attempt
        assert (again.attempt, again.resubmission) == (kept.attempt, True)


async def test_every_report_names_its_attempt() -> None:
    async with scripted_stream() as (client, session):
        client.submit(submission("c0")).ended(Completion.CANCELLED, 0)
        ticket = client.submit(submission("c1"))
        session.send(grant=grant(ticket, 1))
        await ticket.granted()
        ticket.progress(3)
        ticket.yielded(3, replica_lost=False)
        session.send(grant=grant(ticket, 2))
        await ticket.granted()
        ticket.ended(Completion.COMPLETED, 5)
        await session.until("ended")
        told = [getattr(each, each.WhichOneof("message")) for each in session.received[-4:]]

        assert [type(each).__name__ for each in told] == ["Submit", "Progress", "Yielded", "Ended"]
        assert {each.attempt for each in told} == {ticket.attempt}


async def test_a_rejection_of_the_attempt_before_does_not_end_the_next() -> None:
    async with scripted_stream() as (client, session):
        first = client.submit(submission("c1"))
        first.ended(Completion.CANCELLED, 0)
        second = client.submit(submission("c1"))
        session.send(reject=pb.Reject(key=key("c1"), outcome="evicted_cancelled", attempt=first.attempt))
        session.send(revoke=pb.Revoke(key=key("c1"), number=1, attempt=first.attempt))
        session.send(grant=grant(second, 2))

        assert (await asyncio.wait_for(second.granted(), 30)).replica == "r0"


async def test_a_grant_of_the_attempt_before_is_given_back_once_and_not_taken_for_the_next() -> None:
    async with scripted_stream() as (client, session):
        first = client.submit(submission("c1"))
        first.ended(Completion.CANCELLED, 0)
        second = client.submit(submission("c1"))
        waiting = asyncio.create_task(second.granted())
        session.send(grant=grant(first, 1))
        await fenced(session)

        assert [(each.number, each.attempt) for each in session.of("ended")[:-1]] == [(1, first.attempt)]
        assert not waiting.done()

        session.send(grant=grant(second, 2))
        await asyncio.wait_for(waiting, 30)
        second.ended(Completion.COMPLETED, 0)
        *_, ended = await session.until("ended", 3)

        assert (ended.number, ended.attempt) == (2, second.attempt)


async def test_a_run_taken_back_while_it_was_just_yielding_ends_instead_of_waiting_for_ever() -> None:
    async with scripted_stream() as (client, session):
        ticket = client.submit(submission("c1"))
        session.send(grant=grant(ticket, 1))
        await ticket.granted()
        ticket.yielded(2, replica_lost=False)
        session.send(
            revoke=pb.Revoke(key=key("c1"), number=1, outcome="evicted_cancelled", attempt=ticket.attempt)
        )
        with pytest.raises(KernelError) as ended:
            await asyncio.wait_for(ticket.granted(), 30)

        assert ended.value.reason == "CANCELLED"
        assert client.held == 0


@pytest.mark.parametrize("numbered", [True, False])
async def test_a_run_taken_back_while_it_stops_for_another_ends_when_it_has_stopped(
    *, numbered: bool
) -> None:
    async with scripted_stream() as (client, session):
        ticket = client.submit(submission("c1"))
        attempt = ticket.attempt if numbered else 0
        session.send(grant=grant(ticket, 1))
        await ticket.granted()
        session.send(preempt=pb.Preempt(key=key("c1"), number=1, attempt=attempt))
        assert await asyncio.wait_for(ticket.interrupted(), 30) is Interrupt.PREEMPT
        session.send(revoke=pb.Revoke(key=key("c1"), number=1, outcome="evicted_cancelled", attempt=attempt))
        await fenced(session)
        ticket.yielded(2, replica_lost=False)
        with pytest.raises(KernelError) as ended:
            await asyncio.wait_for(ticket.granted(), 30)

        assert ended.value.reason == "CANCELLED"
        assert client.held == 0
        assert session.of("yielded") == []


async def test_a_run_that_the_next_scheduler_refuses_is_ended_and_one_it_has_ended_is_not_told_again() -> (
    None
):
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        await until(lambda: client.connected)
        ticket = client.submit(submission("c1"))
        session.send(grant=grant(ticket, 1))
        await ticket.granted()
        session.end()
        second = await scheduler.session(1)
        await second.until("submit")
        reject = pb.Reject(key=key("c1"), outcome="evicted_cancelled", attempt=ticket.attempt)
        second.send(reject=reject)

        assert await asyncio.wait_for(ticket.interrupted(), 30) is Interrupt.REVOKE

        client.submit(submission("c2"))
        second.end()
        submits = await (await scheduler.session(2)).until("submit")

        assert [each.call for each in submits] == ["c2"]


async def test_a_grant_that_was_given_back_starts_nothing_when_it_is_told_twice() -> None:
    async with scripted_stream() as (client, session):
        ticket = client.submit(submission("c1"))
        session.send(grant=grant(ticket, 3))
        await ticket.granted()
        ticket.yielded(2, replica_lost=False)
        waiting = asyncio.create_task(ticket.granted())
        session.send(grant=grant(ticket, 3))
        await fenced(session)

        assert not waiting.done()

        session.send(grant=grant(ticket, 4))
        await asyncio.wait_for(waiting, 30)


async def test_a_scheduler_that_starts_at_lower_numbers_can_still_grant() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        await until(lambda: client.connected)
        ticket = client.submit(submission("c1"))
        session.send(grant=grant(ticket, 500))
        await ticket.granted()
        ticket.yielded(2, replica_lost=False)
        session.end()
        second = await scheduler.session(1)
        await second.until("submit")
        second.send(grant=grant(ticket, 7))

        assert (await asyncio.wait_for(ticket.granted(), 30)).replica == "r0"


async def test_a_scheduler_that_numbers_no_attempts_is_understood_as_ever() -> None:
    async with scripted_stream() as (client, session):
        ticket = client.submit(submission("c1"))
        session.send(grant=pb.Grant(key=key("c1"), replica="r0", number=1))
        await ticket.granted()
        session.send(revoke=pb.Revoke(key=key("c1"), number=9))
        session.send(reject=pb.Reject(key=key("c1"), outcome="evicted_cancelled"))
        interrupted = asyncio.create_task(ticket.interrupted())
        await fenced(session)

        assert not interrupted.done()

        session.send(revoke=pb.Revoke(key=key("c1"), number=1, outcome="evicted_cancelled"))
        assert await asyncio.wait_for(interrupted, 30) is Interrupt.REVOKE

        other = client.submit(submission("c2"))
        session.send(reject=pb.Reject(key=key("c2"), outcome="evicted_wait"))
        with pytest.raises(KernelError) as refused:
            await asyncio.wait_for(other.granted(), 30)
        assert refused.value.reason == "WAIT_EXPIRED"


async def test_what_an_older_stream_of_a_process_still_says_is_void() -> None:
    """A process may have connected again and told everything anew while its old stream is still read."""
    async with real_scheduler() as (client, service):
        client.announce(REPLICA)
        ticket = client.submit(submission("c1"))
        await ticket.granted()
        ((gateway, old),) = service._sessions.items()
        service.connect(gateway, ResourceKind.INFERENCE)
        late = dispatch.event(pb.DispatchRequest(submit=ticket.submission(0.0)), gateway, 0.0)
        service.report(old, late)  # type: ignore[arg-type]  # one submission

        assert service.queue(ME) == []


async def test_who_runs_tools_neither_brings_generations_nor_touches_what_gateways_announced() -> None:
    """Each process that dispatches has calls and replicas of its own kind, and a stream of its own."""
    async with real_scheduler() as (client, service):
        client.announce(REPLICA)
        ticket = client.submit(submission("c1"))
        await ticket.granted()
        tool = service.connect("tool/x", ResourceKind.TOOL)
        up = pb.ReplicaState(name=REPLICA.name, up=True, model="m", slots=1, lane="tool")
        for report in (
            pb.DispatchRequest(submit=ticket.submission(0.0)),
            pb.DispatchRequest(replica=up),
            pb.DispatchRequest(replica=pb.ReplicaState(name=REPLICA.name, up=False)),
            pb.DispatchRequest(replica=pb.ReplicaState(name="r9", up=True, model="m", slots=1)),
        ):
            told = dispatch.event(report, "tool/x", 0.0)
            for event in told if isinstance(told, list) else [told]:
                with pytest.raises(PermissionDenied):
                    service.report(tool, event)

        assert [name for name, _ in service._sessions.items() if name.startswith("gateway/")]
        assert len(service.queue(ME)) == 1


async def test_an_older_attempt_told_late_changes_nothing_of_what_is_listed() -> None:
    async with real_scheduler() as (client, service):
        client.submit(submission("c1"))
        newer = client.submit(submission("c1"))
        await until(lambda: [call.attempt for _, call in service.queue(ME)] == [newer.attempt])
        ((gateway, session),) = service._sessions.items()
        submit = newer.submission(SystemClock().monotonic())
        submit.attempt, submit.model = newer.attempt - 1, "another"
        service.report(session, dispatch.event(pb.DispatchRequest(submit=submit), gateway, 0.0))  # type: ignore[arg-type]

        assert [(call.attempt, call.resource) for _, call in service.queue(ME)] == [(newer.attempt, "m")]
