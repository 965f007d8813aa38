"""Checkpoints in a real context service: small, exact, and safe from a gateway that was replaced."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gateway.inference.adapters.checkpoints import ContextCheckpoints
from gateway.inference.model import Alternative, Checkpoint, KvState, Place, Prompt
from services.chassis.auth.identity import Caller, Scope
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import ServiceUnavailable
from services.context.config import ContextConfig
from tests.fakes.context import context_service, context_stub
from tests.fakes.meters import RecordingMeter
from tests.fakes.stores.context import InMemoryStore
from tests.fakes.tokens import ISSUER_FOR_TESTS, PassOn

if TYPE_CHECKING:
    from aios.api.context.v1.context_pb2_grpc import ContextServiceAsyncStub

STEP = 32
PLANNER = Scope("acme", "planner")


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


class Saves(RecordingMeter):
    """Remembers each save: whether it was whole, and its bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[tuple[bool, int]] = []

    def saved(self, *, whole: bool, size: int) -> None:
        self.saves.append((whole, size))


@pytest.fixture
def meter() -> Saves:
    return Saves()


@pytest.fixture
async def stub(store: InMemoryStore, meter: Saves) -> AsyncIterator[ContextServiceAsyncStub]:
    async with context_stub(context_service(store=store, meter=meter)) as stub:
        yield stub


def gateway(stub: ContextServiceAsyncStub) -> ContextCheckpoints:
    """Build what one generation of the planner saves through."""
    caller = Caller("planner", "acme", token=ISSUER_FOR_TESTS.token("planner"), trace_id="0" * 32)
    return ContextCheckpoints(stub, caller, PassOn())


PROMPT = Prompt("Count to a million.", 5)


def place(number: int) -> Place:
    """Tell likeliest tokens at every second place, and the chosen token at every third."""
    chosen = Alternative(number, f"n{number} ", -0.5)
    likeliest = (chosen, Alternative(1, "x", -2.0)) if number % 2 else ()
    return Place(number, likeliest, None if number % 3 else chosen)


def at(tokens: int, *, kv: KvState | None = None) -> Checkpoint:
    """Build the checkpoint of one generation after so many tokens."""
    numbers = range(1, tokens + 1)
    return Checkpoint(
        call="g1",
        model="demo",
        digest="0" * 64,
        prompt=PROMPT,
        prompt_ids=(1, 2, 3, 4, 5),
        pieces=tuple(f"n{number} " for number in numbers),
        token_ids=tuple(numbers),
        seed=7,
        kv=kv,
        places=tuple(place(n) for n in numbers),
    )


async def test_a_checkpoint_is_loaded_as_it_was_saved(stub: ContextServiceAsyncStub) -> None:
    first = gateway(stub)
    for tokens in (STEP, 2 * STEP, 2 * STEP + 3):
        await first.save(at(tokens, kv=KvState("kv-1", "r0") if tokens > 2 * STEP else None))

    assert await gateway(stub).load("g1") == at(2 * STEP + 3, kv=KvState("kv-1", "r0"))


async def test_the_first_save_is_whole_and_the_next_bring_what_came_since(
    stub: ContextServiceAsyncStub, meter: Saves
) -> None:
    """So the bytes of an answer's saves grow with its length, and not with its square."""
    checkpoints = gateway(stub)
    for tokens in range(STEP, 100 * STEP + 1, STEP):
        await checkpoints.save(at(tokens))

    sizes = [size for whole, size in meter.saves if not whole]
    assert [whole for whole, _ in meter.saves] == [True] + [False] * 99
    assert max(sizes) < 2 * min(sizes)


async def test_a_service_that_lost_the_snapshot_gets_it_whole(
    stub: ContextServiceAsyncStub, store: InMemoryStore
) -> None:
    checkpoints = gateway(stub)
    await checkpoints.save(at(STEP))
    await store.write(PLANNER, lambda tx: tx.drop_snapshot("g1"))
    await checkpoints.save(at(2 * STEP))

    assert await gateway(stub).load("g1") == at(2 * STEP)


async def test_a_save_whose_answer_was_lost_is_made_up_for(stub: ContextServiceAsyncStub) -> None:
    """The service stands further than this gateway knows; it says so and gets the checkpoint whole."""
    checkpoints = gateway(stub)
    await checkpoints.save(at(STEP))
    known = checkpoints._stored["g1"]
    await checkpoints.save(at(2 * STEP))
    checkpoints._stored["g1"] = known
    await checkpoints.save(at(3 * STEP))

    assert await gateway(stub).load("g1") == at(3 * STEP)


async def test_a_prompt_that_became_known_later_is_saved(stub: ContextServiceAsyncStub) -> None:
    checkpoints = gateway(stub)
    await checkpoints.save(replace(at(STEP), prompt_ids=()))
    await checkpoints.save(at(2 * STEP))

    assert await gateway(stub).load("g1") == at(2 * STEP)


async def test_a_checkpoint_without_room_is_not_sent_again_and_again() -> None:
    """The agent's other snapshots may take the room that there is; tries get rarer as the answer grows."""
    limits = ContextConfig(quota_snapshots=Cap.of(1))
    store, kept = InMemoryStore(), 0
    async with context_stub(context_service(store=store, config=limits)) as stub:
        await gateway(stub).save(replace(at(STEP), call="other"))
        checkpoints = gateway(stub)
        for tokens in range(STEP, 20 * STEP, STEP):
            if tokens == 10 * STEP:
                await gateway(stub).delete("other")
            try:
                await checkpoints.save(at(tokens))
            except ServiceUnavailable:
                assert tokens < 16 * STEP
            else:
                kept += 1

    assert kept == 4


async def test_a_gateway_that_was_replaced_saves_no_more(stub: ContextServiceAsyncStub, meter: Saves) -> None:
    old, new = gateway(stub), gateway(stub)
    await old.save(at(STEP))
    assert await new.load("g1") == at(STEP)
    with pytest.raises(ServiceUnavailable):
        await old.save(at(2 * STEP))
    await new.save(at(STEP + 1))

    assert await gateway(stub).load("g1") == at(STEP + 1)
    assert meter.counts["fenced"] == 1
