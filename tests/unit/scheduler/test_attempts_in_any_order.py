"""Requests sent again over a network that delays, swaps and doubles: each attempt ends once, no slot is lost.

The real client and the real core, with a network between them that does what Hypothesis says. Streams of
gRPC keep their order. The kernel counts on that in one place alone, and there this network keeps it, too:
what tells a scheduler of a run that it does not know comes once, and before all else that is said of this
run. The scheduler takes such a run over at its word, and no grant follows that a process could give back.
"""

import asyncio
from typing import Any, TypeGuard

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.dispatch.client import DispatchClient, DispatchTicket
from services.chassis.dispatch.scheduling import Completion, Interrupt
from services.chassis.rpc.errors import KernelError
from services.scheduler.core.events import (
    BackendUp,
    Cancelled,
    Event,
    Finished,
    GatewayLost,
    Progress,
    Submit,
    TimelineEvent,
    Yielded,
)
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.wire import dispatch
from tests.fakes.clock import FakeClock
from tests.fakes.dispatch import submission
from tests.fakes.examples import examples
from tests.fakes.scheduling import settings

CALLS, SLOTS = ("c0", "c1", "c2"), 2
TICK = 0.001
ENDED_BY_SCHEDULER = {"refused", "revoked"}


class Attempt:
    """One request as its process serves it: waits, runs, yields when asked, and notes how it ended."""

    def __init__(self, call: str, ticket: DispatchTicket) -> None:
        self.call = call
        self.ticket = ticket
        self.ends: list[str] = []
        self.running = False
        self.may_be_ended = False
        """Whether a newer request of the id was made, or somebody cancelled the call."""
        self.finish = asyncio.Event()
        self.boundary = asyncio.Event()
        """Set when a run that was asked to yield has come to where it can."""
        self.task = asyncio.ensure_future(self._serve())

    async def _serve(self) -> None:
        try:
            while not self.ends:
                await self._turn()
        except KernelError:
            self._end("refused")
        except asyncio.CancelledError:
            self._end("left")
        finally:
            self.ticket.ended(Completion.CANCELLED, 0)

    async def _turn(self) -> None:
        await self.ticket.granted()
        self.running = True
        asked = asyncio.ensure_future(self.ticket.interrupted())
        finish = asyncio.ensure_future(self.finish.wait())
        try:
            await asyncio.wait({asked, finish}, return_when=asyncio.FIRST_COMPLETED)
            if finish.done():
                self._end("finished")
            elif asked.result() is Interrupt.REVOKE:
                self._end("revoked")
            else:
                await self.boundary.wait()
                self.boundary.clear()
                self.running = False
                self.ticket.yielded(1, replica_lost=False)
        finally:
            asked.cancel()
            finish.cancel()

    def _end(self, how: str) -> None:
        self.ends.append(how)
        self.running = False


def run_told_first(up: list[Event], which: int) -> int:
    """Return which event comes in place of one: what tells of its run, if that is still to come."""
    asked = up[which]
    if isinstance(asked, Finished | Yielded | Progress | Cancelled):
        about = asked.call_id, asked.attempt.number
        for number, each in enumerate(up[:which]):
            if takes_up(each) and (each.call.id, each.call.attempt) == about:
                return number
    return which


def takes_up(event: Event) -> TypeGuard[Submit]:
    """Whether an event tells of a run that is under way."""
    return isinstance(event, Submit) and event.running_on is not None


class Process:
    """One process that runs calls, and what is on its way between it and the scheduler."""

    def __init__(self, name: str, clock: FakeClock) -> None:
        self.name = name
        self.clock = clock
        self.client = DispatchClient(None, self._nobody, clock)  # type: ignore[arg-type]  # never connects
        self.client._connected = True
        self.up: list[Event] = []
        self.down: list[pb.DispatchResponse] = []

    async def _nobody(self) -> Any:
        return ()

    def send(self) -> None:
        """Put what the client wrote on its way; ages are told at this moment."""
        outbox = self.client._outbox
        while not outbox.empty():
            event = dispatch.event(outbox.get_nowait(), self.name, self.clock.monotonic())
            self.up += event if isinstance(event, list) else [event]

    def reconnect(self) -> None:
        """Lose what was on its way and begin a new stream."""
        self.client._outbox = asyncio.Queue()
        self.up, self.down = [], []
        self.client._refill()


class Kernel(RuleBasedStateMachine):
    """Requests of three ids through two processes, and a network that keeps no order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.processes = [Process("gw0", self.clock), Process("gw1", self.clock)]
        self.attempts: list[Attempt] = []
        self.epoch = 1
        self.core = self.started()

    def started(self) -> SchedulerCore:
        core = SchedulerCore(settings("rr", {"quantum": 2}, first_epoch=self.epoch))
        core.step(BackendUp("r0", "m", SLOTS, 100_000), self.clock.monotonic())
        return core

    def run(self, action: Any = None) -> None:
        """Do something on the loop, and let everything follow that follows at once."""

        async def turn() -> None:
            if action is not None:
                action()
            for _ in range(6):
                await asyncio.sleep(0)
            for process in self.processes:
                process.send()

        self.loop.run_until_complete(turn())

    def tell(self, event: Event) -> None:
        for decision in self.core.step(event, self.clock.monotonic()):
            if isinstance(decision, TimelineEvent):
                continue
            for process in self.processes:
                if process.name == decision.gateway:
                    process.down.append(dispatch.instruction(decision))

    def alive(self) -> list[Attempt]:
        return [each for each in self.attempts if not each.task.done()]

    def running(self) -> list[Attempt]:
        return [each for each in self.alive() if each.running]

    # What callers do

    @rule(number=st.integers(0, 1), call=st.sampled_from(CALLS))
    def send_request(self, number: int, call: str) -> None:
        self.clock.advance(TICK)  # no two arrive at the same moment
        now = self.clock.monotonic()
        for each in self.attempts:
            each.may_be_ended = each.may_be_ended or each.call == call

        def submit() -> None:
            asked = submission(call, arrived_at=now, deadline=now + 1000)
            self.attempts.append(Attempt(call, self.processes[number].client.submit(asked)))

        self.run(submit)

    @precondition(lambda self: bool(self.alive()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.run(data.draw(st.sampled_from(self.alive())).task.cancel)

    @precondition(lambda self: bool(self.running()))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.run(data.draw(st.sampled_from(self.running())).finish.set)

    @precondition(lambda self: bool(self.running()))
    @rule(data=st.data())
    def come_to_a_boundary(self, data: st.DataObject) -> None:
        self.run(data.draw(st.sampled_from(self.running())).boundary.set)

    @precondition(lambda self: bool(self.running()))
    @rule(data=st.data())
    def produce(self, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(self.running()))
        self.run(lambda: attempt.ticket.progress(3))

    @rule(call=st.sampled_from(CALLS))
    def cancel_by_name(self, call: str) -> None:
        for each in self.attempts:
            each.may_be_ended = each.may_be_ended or each.call == call
        self.tell(Cancelled(f"acme/planner/{call}"))

    # What the network does

    @rule(number=st.integers(0, 1), which=st.integers(0, 30), doubled=st.booleans())
    def bring_a_report(self, number: int, which: int, *, doubled: bool) -> None:
        up = self.processes[number].up
        if up:
            which = run_told_first(up, which % len(up))
            self.tell(up[which] if doubled and not takes_up(up[which]) else up.pop(which))

    @rule(number=st.integers(0, 1), which=st.integers(0, 30), doubled=st.booleans())
    def bring_a_decision(self, number: int, which: int, *, doubled: bool) -> None:
        process = self.processes[number]
        if process.down:
            which %= len(process.down)
            message = process.down[which] if doubled else process.down.pop(which)
            self.run(lambda: process.client._take(message))

    @rule()
    def bring_everything_in_order(self) -> None:
        for process in self.processes:
            while process.up or process.down:
                while process.up:
                    self.tell(process.up.pop(0))
                while process.down:
                    message = process.down.pop(0)
                    self.run(lambda process=process, message=message: process.client._take(message))

    @rule(number=st.integers(0, 1))
    def break_a_stream(self, number: int) -> None:
        process = self.processes[number]
        self.tell(GatewayLost(process.name))
        self.run(process.reconnect)

    @rule(order=st.permutations([0, 1]))
    def restart_the_scheduler(self, order: list[int]) -> None:
        self.epoch += 1000
        self.core = self.started()
        for number in order:
            self.run(self.processes[number].reconnect)

    # What holds

    @invariant()
    def nobody_ends_twice_or_for_another_attempt(self) -> None:
        for each in self.attempts:
            assert len(each.ends) <= 1
            assert each.may_be_ended or not ENDED_BY_SCHEDULER & set(each.ends)

    def teardown(self) -> None:
        try:
            for _ in range(100):
                self.bring_everything_in_order()
                for each in self.running():
                    self.run(each.finish.set)
                    self.run(each.boundary.set)
            assert [each.ends for each in self.attempts if len(each.ends) != 1] == []
            assert [process.client.held for process in self.processes] == [0, 0]
            stats = self.core.stats(self.clock.monotonic())
            assert (stats.running, stats.waiting) == (0, 0)
            self.nobody_ends_twice_or_for_another_attempt()
        finally:
            for each in self.alive():
                each.task.cancel()
            self.run()
            self.loop.close()


TestKernel = Kernel.TestCase
TestKernel.settings = hypothesis_settings(max_examples=examples(60), stateful_step_count=40, deadline=None)


def kernel_with_a_run_told_again() -> Kernel:
    """Return a kernel whose scheduler has lost a stream; the new one tells of a run that has ended since."""
    kernel = Kernel()
    kernel.send_request(0, "c0")
    kernel.bring_everything_in_order()
    kernel.break_a_stream(0)
    kernel.run(kernel.running()[0].finish.set)
    return kernel


def test_a_run_that_is_told_again_and_ends_at_once_leaves_no_slot_held() -> None:
    kernel = kernel_with_a_run_told_again()
    assert [type(each) for each in kernel.processes[0].up] == [Submit, Finished]

    kernel.bring_a_report(0, 1, doubled=False)
    kernel.teardown()


def test_the_network_of_these_tests_keeps_its_order_where_a_run_is_told_again() -> None:
    kernel = kernel_with_a_run_told_again()
    kernel.bring_a_report(0, 0, doubled=True)

    assert [type(each) for each in kernel.processes[0].up] == [Finished]
    kernel.teardown()


@pytest.mark.parametrize("loss", ["stream", "scheduler"])
def test_a_run_that_has_brought_more_than_it_was_asked_for_is_told_again_and_goes_on(loss: str) -> None:
    kernel = Kernel()
    kernel.send_request(0, "c0")
    kernel.bring_everything_in_order()
    [attempt] = kernel.running()
    kernel.run(lambda: attempt.ticket.progress(attempt.ticket.call.max_new_tokens + 1))
    if loss == "stream":
        kernel.break_a_stream(0)
    else:
        kernel.restart_the_scheduler([0, 1])
    kernel.bring_everything_in_order()

    assert kernel.running() == [attempt]
    kernel.teardown()
    assert attempt.ends == ["finished"]
