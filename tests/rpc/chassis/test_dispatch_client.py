"""A process's end of the Dispatch stream, against a scheduler that does what a test says."""

import asyncio
import gc
import itertools

import pytest

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.dispatch.client import DispatchClient, DispatchTicket, refusal
from services.chassis.dispatch.scheduling import CallKey, Completion, Hints, Interrupt
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.fakes.dispatch import REPLICA, Session, dispatching, key, scripted, submission
from tests.fakes.waiting import until


async def granted(client: DispatchClient, session: Session, call: str, number: int = 1) -> DispatchTicket:
    """Submit a call and have it granted on replica r0."""
    ticket = client.submit(submission(call))
    told = pb.Grant(key=key(call), replica="r0", number=number, quantum_tokens=8, attained={"seconds": 5})
    session.send(grant=told)
    grant = await ticket.granted()
    assert (grant.replica, grant.quantum_tokens) == ("r0", 8)
    return ticket


FENCES = itertools.count(1_000)


async def settled(client: DispatchClient, session: Session) -> None:
    """Wait until the client has taken everything sent so far: a grant of an unknown call comes back last."""
    fence = next(FENCES)
    session.send(grant=pb.Grant(key=key("fence"), replica="r0", number=fence))
    await until(lambda: any(each.number == fence for each in session.of("ended")))
    assert client.connected


async def test_a_stream_begins_with_who_the_process_is_and_what_it_has() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        client.announce(REPLICA)
        client.submit(submission("c1"))
        session = await scheduler.session(0)
        await session.until("replica")

        kinds = [each.WhichOneof("message") for each in session.received]
        assert kinds == ["hello", "submit", "replica"]
        assert session.of("hello")[0].gateway
        assert (session.of("replica")[0].name, session.of("replica")[0].slots) == ("r0", 2)
        assert not session.of("submit")[0].resubmission


async def test_a_scheduler_that_never_welcomes_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.chassis.dispatch.client.WELCOME_SECONDS", 0.05)
    scheduler = scripted()
    scheduler.silent = True
    async with dispatching(scheduler) as client:
        await scheduler.session(1)
        assert not client.connected
        scheduler.silent = False
        await until(lambda: client.connected)


async def test_a_stream_tells_calls_that_may_not_wait_after_the_replicas() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        client.announce(REPLICA)
        client.submit(submission("now", hints=Hints(max_wait=0.0)))
        client.submit(submission("later", hints=Hints(max_wait=None)))
        session = await scheduler.session(0)
        await session.until("submit", 2)

        told = [(each.WhichOneof("message"), each.submit.call) for each in session.received[1:]]
        assert told == [("submit", "later"), ("replica", ""), ("submit", "now")]
        assert [each.hints.HasField("max_wait") for each in session.of("submit")] == [False, True]


async def test_after_a_break_every_call_is_submitted_again_in_the_order_of_arrival() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        now = SystemClock().monotonic()
        first = await scheduler.session(0)
        await until(lambda: client.connected)
        client.announce(REPLICA)
        for call, age in (("c2", 2.0), ("c0", 5.0), ("c1", 3.0)):
            client.submit(submission(call, arrived_at=now - age))
        await first.until("submit", 3)
        first.end()
        second = await scheduler.session(1)
        await second.until("replica")
        submits = second.of("submit")

        assert [each.call for each in submits] == ["c0", "c1", "c2"]
        assert all(each.resubmission for each in submits)
        assert submits[0].age.ToNanoseconds() >= 5e9
        assert first.of("hello")[0].gateway == second.of("hello")[0].gateway


async def test_a_call_that_came_while_the_scheduler_was_away_is_no_resubmission() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        scheduler.welcoming = False
        (await scheduler.session(0)).end()
        await until(lambda: not client.connected)
        client.submit(submission("new"))
        scheduler.welcoming = True
        await until(lambda: client.connected)
        submits = await scheduler.sessions[-1].until("submit")

        assert [(each.call, each.resubmission) for each in submits] == [("new", False)]


async def test_a_running_call_is_adopted_by_the_next_scheduler() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        first = await scheduler.session(0)
        ticket = await granted(client, first, "c1", number=7)
        ticket.progress(5)
        assert [each.number for each in await first.until("progress")] == [7]
        first.end()
        second = await scheduler.session(1)
        (submit,) = await second.until("submit")
        second.send(grant=pb.Grant(key=key("c1"), replica="r0", number=9))
        await settled(client, second)
        ticket.ended(Completion.COMPLETED, 6)
        *_, ended = await second.until("ended", 2)

        assert (submit.running_on, submit.number, submit.tokens_done) == ("r0", 7, 5)
        assert submit.attained.ToSeconds() == 5
        assert (ended.number, ended.completion, ended.tokens_done) == (9, "completed", 6)
        assert client.held == 0


async def test_a_call_tells_what_the_last_grant_of_its_program_told() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        first = await scheduler.session(0)
        done = await granted(client, first, "c1", number=7)
        done.ended(Completion.COMPLETED, 6)
        client.submit(submission("c2"))
        client.submit(submission("c3", key=CallKey("acme", "other", "c3")))
        submits = {each.call: each.attained.ToSeconds() for each in await first.until("submit", 3)}

        assert submits == {"c1": 0, "c2": 5, "c3": 0}


async def test_a_call_that_gave_its_slot_back_waits_again_with_its_history() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        first = await scheduler.session(0)
        ticket = await granted(client, first, "c1", number=7)
        ticket.yielded(12, replica_lost=False, kv_replica="r0")
        (given_back,) = await first.until("yielded")
        first.end()
        (submit,) = await (await scheduler.session(1)).until("submit")

        assert (given_back.number, given_back.tokens_done, given_back.kv_replica) == (7, 12, "r0")
        assert (submit.running_on, submit.number, submit.preemption_count) == ("", 0, 1)
        assert submit.tokens_done == 12
        assert submit.waiting_for.ToNanoseconds() < submit.age.ToNanoseconds()


async def test_a_grant_for_a_call_that_left_is_given_back() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        await until(lambda: client.connected)
        ticket = client.submit(submission("c1"))
        ticket.ended(Completion.CANCELLED, 0)
        ticket.ended(Completion.CANCELLED, 0)
        session.send(grant=pb.Grant(key=key("c1"), replica="r0", number=3))
        (ended,) = await session.until("ended")

        assert (ended.key.call, ended.number, ended.completion) == ("c1", 3, "cancelled")
        assert [each.key.call for each in session.of("withdraw")] == ["c1"]
        assert client.held == 0


async def test_a_rejection_that_nobody_waits_for_is_no_noise(caplog: pytest.LogCaptureFixture) -> None:
    client = DispatchClient(None, scripted, SystemClock())  # type: ignore[arg-type]  # never connects
    ticket = client.submit(submission("c1"))
    ticket.on_reject(refusal("evicted_wait", "", None))
    ticket.ended(Completion.CANCELLED, 0)
    del ticket
    gc.collect()

    assert client.held == 0
    assert caplog.records == []


async def test_only_the_current_grant_can_be_interrupted() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        ticket = await granted(client, session, "c1", number=2)
        interrupted = asyncio.create_task(ticket.interrupted())
        session.send(preempt=pb.Preempt(key=key("c1"), number=1))
        session.send(revoke=pb.Revoke(key=key("c1"), number=3))
        await settled(client, session)
        early = interrupted.done()
        session.send(preempt=pb.Preempt(key=key("c1"), number=2))

        assert await interrupted is Interrupt.PREEMPT
        assert not early


async def test_an_interrupt_that_crosses_a_yield_does_not_touch_the_next_grant() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        ticket = await granted(client, session, "c1", number=1)
        ticket.yielded(3, replica_lost=True)
        session.send(preempt=pb.Preempt(key=key("c1"), number=1))
        session.send(grant=pb.Grant(key=key("c1"), replica="r1", number=2))
        session.send(preempt=pb.Preempt(key=key("c1"), number=1))
        grant = await ticket.granted()
        interrupted = asyncio.create_task(ticket.interrupted())
        await settled(client, session)

        assert grant.replica == "r1"
        assert not interrupted.done()
        interrupted.cancel()


async def test_a_grant_elsewhere_for_a_call_that_runs_is_paid_back_when_it_ends() -> None:
    """A grant of a call's earlier life under the same id may have been taken for one of this life."""
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        ticket = await granted(client, session, "c1", number=1)
        session.send(grant=pb.Grant(key=key("c1"), replica="r1", number=2))
        await settled(client, session)
        ticket.ended(Completion.COMPLETED, 4)
        *_, ended = await session.until("ended", 2)

        assert (ended.key.call, ended.number) == ("c1", 2)


async def test_a_call_gives_up_when_the_scheduler_stays_away_longer_than_it_may_wait() -> None:
    clock = FakeClock()
    client = DispatchClient(None, scripted, clock)  # type: ignore[arg-type]  # never connects
    waiting = client.submit(submission("c1", hints=Hints(max_wait=30.0), arrived_at=clock.monotonic()))
    clock.advance(34.99)
    task = asyncio.create_task(waiting.granted())
    await asyncio.sleep(0.02)
    patient = not task.done()
    clock.advance(0.02)
    with pytest.raises(KernelError) as failure:
        await task

    assert patient
    assert failure.value.reason == "SCHEDULER_UNAVAILABLE"
    assert failure.value.retry_after


async def test_a_scheduler_that_does_not_welcome_is_asked_again() -> None:
    scheduler = scripted()
    scheduler.welcoming = False
    async with dispatching(scheduler) as client:
        await scheduler.session(2)
        scheduler.welcoming = True
        await until(lambda: client.connected)

        assert client.connected


async def test_reports_are_dropped_while_nobody_listens() -> None:
    client = DispatchClient(None, scripted, SystemClock())  # type: ignore[arg-type]  # never connects
    ticket = client.submit(submission("c1"))
    ticket.progress(3)
    ticket.ended(Completion.CANCELLED, 3)

    assert client.held == 0
    assert client._outbox.empty()


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("rejected_full", "QUEUE_FULL"),
        ("rejected_agent_full", "TOO_MANY_CALLS"),
        ("rejected_too_large", "NEVER_FITS"),
        ("rejected_invalid", "INVALID_REQUEST"),
        ("evicted_wait", "WAIT_EXPIRED"),
        ("evicted_deadline", "DEADLINE_EXCEEDED"),
        ("evicted_cancelled", "CANCELLED"),
        ("no_backend", "NO_BACKEND"),
        ("an outcome of the future", "SCHEDULER_UNAVAILABLE"),
    ],
)
async def test_every_outcome_has_its_reason(outcome: str, reason: str) -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        session = await scheduler.session(0)
        ticket = client.submit(submission("c1"))
        reject = pb.Reject(key=key("c1"), outcome=outcome, message="why")
        reject.retry_after.FromSeconds(2)
        session.send(reject=reject)
        with pytest.raises(KernelError) as failure:
            await ticket.granted()

        assert (failure.value.reason, failure.value.retry_after) == (reason, 2.0)
        assert client.held == 0
        assert refusal(outcome, "", None).message
