"""What one call makes the kernel say, save and open: counts, which no machine changes."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from aios.api.inference.v1 import inference_pb2 as pb
from aios.api.scheduler.v1 import dispatch_pb2
from services.chassis.dispatch.client import DispatchClient
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import SmallKernel, chat, small_kernel
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

TOKENS = 170
REPORT_SECONDS = 0.5
SAVE_SECONDS = 0.5
QUANTUM_SECONDS = 0.02


class Counts:
    """Messages on the stream to the scheduler, by kind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: Counter[str] = Counter()
        self.heard: Counter[str] = Counter()
        send, submit, take = DispatchClient.send, DispatchClient.submit, DispatchClient._take

        def sending(client: DispatchClient, message: dispatch_pb2.DispatchRequest) -> None:
            self.said[message.WhichOneof("message") or ""] += 1
            send(client, message)

        def submitting(client: DispatchClient, call: Any) -> Any:
            self.said["submit"] += 1
            return submit(client, call)

        def taking(client: DispatchClient, message: dispatch_pb2.DispatchResponse) -> None:
            self.heard[message.WhichOneof("message") or ""] += 1
            take(client, message)

        monkeypatch.setattr(DispatchClient, "send", sending)
        monkeypatch.setattr(DispatchClient, "submit", submitting)
        monkeypatch.setattr(DispatchClient, "_take", taking)

    def clear(self) -> None:
        """Begin anew."""
        self.said.clear()
        self.heard.clear()

    def of_calls(self) -> dict[str, int]:
        """Return what was said and heard about calls."""
        return {
            kind: count
            for kind, count in (self.said + self.heard).items()
            if kind not in {"replica", "welcome"}
        }


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Count from here on."""
    return Counts(monkeypatch)


async def answered(stub: Any, tokens: int, name: str) -> int:
    """Stream one answer; return how many messages the caller got."""
    request = pb.StreamGenerateRequest(generation=chat(name, max_tokens=tokens))
    events = [
        each.event async for each in stub.StreamGenerate(request, metadata=metadata("planner"), timeout=120)
    ]
    assert events[-1].finished.usage.completion_tokens == tokens
    return len(events)


async def quiet(kernel: SmallKernel, counts: Counts) -> None:
    """Wait until the first calls have come to an end."""
    await until(lambda: kernel.tgi.seen.running == 0)
    await asyncio.sleep(0.05)
    counts.clear()


async def test_a_burst_costs_three_messages_no_save_and_no_new_connection(counts: Counts) -> None:
    calls = 5
    async with small_kernel(Behaviour(tokens=TOKENS)) as kernel, kernel.inference() as stub:
        await answered(stub, TOKENS, "first")
        await quiet(kernel, counts)
        connections = len(kernel.tgi.seen.connections)

        slow = 0
        for number in range(calls):
            began = time.monotonic()
            events = await answered(stub, TOKENS, f"again {number}")
            slow += time.monotonic() - began >= QUANTUM_SECONDS  # the machine stood still: no burst any more
            assert events <= 2 + TOKENS / 16 + 1

        said = counts.of_calls()
        assert said.pop("progress", 0) <= slow
        assert said == {"submit": calls, "grant": calls, "ended": calls}
        assert kernel.snapshots.saves == 0
        assert len(kernel.tgi.seen.connections) == connections


async def test_a_call_at_a_pace_is_reported_and_saved_by_time(counts: Counts) -> None:
    async with small_kernel(Behaviour(tokens=TOKENS, token_delay=0.01)) as kernel, kernel.inference() as stub:
        began = time.monotonic()
        await answered(stub, TOKENS, "slow")
        took = time.monotonic() - began

        said = counts.of_calls()
        assert said.pop("progress") <= took / REPORT_SECONDS + 1  # and one when its quantum was used up
        assert said == {"submit": 1, "grant": 1, "ended": 1}
        assert kernel.snapshots.saves <= took / SAVE_SECONDS


async def test_a_preemption_costs_four_messages_and_a_save(counts: Counts) -> None:
    behaviour = Behaviour(tokens=60, token_delay=0.005, slots=1)
    turns = {"policy": "rr", "quantum_tokens": "16"}
    async with small_kernel(behaviour, scheduler=turns) as kernel, kernel.inference() as stub:
        began = time.monotonic()
        await asyncio.gather(*(answered(stub, 60, f"turn {number}") for number in range(2)))
        took = time.monotonic() - began

        said = counts.of_calls()
        preempted = said["preempt"]
        assert preempted
        assert (said["submit"], said["ended"], said["grant"]) == (2, 2, 2 + said["yielded"])
        assert (
            preempted - 2 <= said["yielded"] <= preempted
        )  # one that ends before it has to stop does not yield
        assert said["progress"] <= said["grant"] + 2 * took / REPORT_SECONDS
        assert kernel.snapshots.saves <= said["yielded"] + 2 * took / SAVE_SECONDS


async def test_a_long_answer_is_saved_once_and_not_again_with_each_save(counts: Counts) -> None:
    tokens = 20_000
    behaviour = Behaviour(tokens=tokens, window=2 * tokens)
    async with small_kernel(behaviour, checkpoint_pause_seconds="0.01") as kernel, kernel.inference() as stub:
        sent: list[int] = []
        save = kernel.snapshots.SaveSnapshot

        async def noting(request: Any, context: Any) -> Any:
            sent.append(len(request.snapshot.emitted_token_ids))
            return await save(request, context)

        kernel.snapshots.SaveSnapshot = noting  # type: ignore[method-assign]
        began = time.monotonic()
        await answered(stub, tokens, "long")
        took = time.monotonic() - began

        assert counts.of_calls().get("progress", 0) <= took / REPORT_SECONDS + 1
        assert sum(sent) <= tokens
