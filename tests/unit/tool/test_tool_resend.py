"""A tool call that comes again under its id gets its turn: no end of its first attempt ends the second."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.dispatch.scheduling import Completion
from services.chassis.rpc.errors import KernelError
from services.scheduler.service.watching import Viewer
from services.tool.model import QueueRequest, Tool
from tests.fakes.tool_queue import LocalQueue, Stream
from tests.fakes.waiting import until

PLANNER = Scope("acme", "planner")
ME = Viewer("acme", "acme/planner")
WRITE = Tool(id="write", owner="planner", max_concurrency=1)
WORKERS, LINE, LONGEST_GAP = 6, 0.002, 0.02
MOMENTS = ("sent", "waiting", "granted", "running", "settling")


class LateStream(Stream):
    """A stream on which everything arrives late, in order."""

    async def write(self, message: pb.DispatchRequest) -> None:
        """Hand one message to the scheduler."""
        await asyncio.sleep(LINE)
        await super().write(message)

    async def read(self) -> object:
        """Wait for one decision."""
        message = await super().read()
        await asyncio.sleep(LINE)
        return message


class FarQueue(LocalQueue):
    """The queue of a tool manager that hears from its scheduler late."""

    def Dispatch(self, **_call: Any) -> Stream:  # noqa: N802 - gRPC's
        """Open a stream."""
        return LateStream(self.service)

    async def leave(self) -> None:
        """End the stream."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})


async def first_attempt(queue: FarQueue, needs: QueueRequest, moment: str, rng: random.Random) -> None:
    """Queue a call and give it up at some moment."""
    turn = await queue.join(needs)
    with suppress(TimeoutError):
        if moment == "sent":
            await asyncio.sleep(rng.random() * LINE)
        else:
            async with asyncio.timeout(rng.random() * LONGEST_GAP if moment == "waiting" else 5.0):
                await turn.granted()
    if moment == "running":
        await asyncio.sleep(rng.random() * LINE)
    turn.ended(Completion.CANCELLED)
    if moment != "settling":
        await asyncio.sleep(rng.choice((0.0, rng.random() * LONGEST_GAP)))


async def queued_twice(queue: FarQueue, number: int, rng: random.Random) -> str:
    """Queue a call, give it up, queue it again; returns how the second went."""
    needs = QueueRequest(scope=PLANNER, call_id=f"c{number}", tool=WRITE, locks=("file",), max_wait=30.0)
    await first_attempt(queue, needs, MOMENTS[number % len(MOMENTS)], rng)
    turn = await queue.join(needs)
    revoked = asyncio.create_task(turn.revoked())
    try:
        await asyncio.wait_for(turn.granted(), 20.0)
        await asyncio.sleep(3 * LINE)  # what is still on its way must not take it back
        return "revoked" if revoked.done() else "granted"
    except KernelError as error:
        return error.reason
    finally:
        revoked.cancel()
        turn.ended(Completion.COMPLETED)


async def queue_all_twice(count: int) -> None:
    set_caller(Caller("planner", "acme", owner="planner", trace_id="0" * 32))
    queue, numbers = FarQueue(), iter(range(count))

    async def worker(seed: int) -> list[str]:
        rng = random.Random(seed)  # noqa: S311 - reproducible
        return [await queued_twice(queue, number, rng) for number in numbers]

    found = await asyncio.gather(*(worker(seed) for seed in range(WORKERS)))
    outcomes = [each for some in found for each in some]

    assert set(outcomes) == {"granted"}
    assert len(outcomes) == count
    await until(lambda: queue.service.queue(ME) == [])
    assert queue.client.held == 0
    await queue.leave()


async def test_a_tool_call_queued_again_is_never_ended_by_the_end_of_its_first_attempt() -> None:
    await queue_all_twice(60)


@pytest.mark.torture
async def test_a_thousand_tool_calls_queued_again_all_get_their_turn() -> None:
    await queue_all_twice(1000)
