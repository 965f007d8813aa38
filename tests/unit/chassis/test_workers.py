"""Worker processes: what ends one costs one call, twice makes poison, and nobody else notices."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.worker_process import MIB
from services.chassis.runtime.workers import (
    ENDS_OF_ONE,
    Poisoned,
    WorkerDied,
    WorkerFailed,
    WorkerOverran,
    WorkerPool,
    WorkersBusy,
    WorkerSpec,
    WorkersUnavailable,
)
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import until

SPEC = WorkerSpec(
    name="obedient",
    target="tests.fakes.worker_handlers:obedient",
    args=("ok",),
    memory=64 * MIB,
    cpu=30.0,
    wall=30.0,
    site=False,
)
ENDS: list[tuple[str, str]] = []


def pool_of(spec: WorkerSpec = SPEC, **fields: Any) -> WorkerPool:
    ENDS.clear()
    fields.setdefault("poison", PoisonList())
    return WorkerPool(spec, told=lambda name, cause: ENDS.append((name, cause)), **fields)


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    made = pool_of(size=2)
    yield made
    await made.close()


async def pid(pool: WorkerPool) -> int:
    return int(await pool.call(b"pid"))


@pytest.mark.parametrize(
    ("order", "cause"),
    [(b"segfault", "fault"), (b"leave", "exit"), (b"spin", "cpu"), (b"hoard %d", "memory")],
)
async def test_what_ends_its_worker_costs_one_call(pool: WorkerPool, order: bytes, cause: str) -> None:
    order = order % (2 << 30) if b"%" in order else order
    slow = asyncio.create_task(pool.call(b"sleep 0.1"))
    await asyncio.sleep(0)
    with pytest.raises(WorkerDied):
        await pool.call(order, cpu=0.05)

    assert await pool.call(b"echo one") == b"ok one"
    assert await slow == b"ok 0.1"
    assert [("obedient", cause)] == ENDS


async def test_a_request_that_ended_two_workers_is_refused_and_others_are_not(pool: WorkerPool) -> None:
    for _ in range(2):
        with pytest.raises(WorkerDied):
            await pool.call(b"segfault now", source="mal")
    started = pool.started
    with pytest.raises(Poisoned):
        await pool.call(b"segfault now", source="mal")
    with pytest.raises(Poisoned):
        await pool.call(b"segfault now", source="another")

    assert await pool.call(b"echo fine", source="mal") == b"ok fine"
    assert pool.started <= started + 2


@pytest.mark.torture
async def test_several_pools_share_one_list_of_poison() -> None:
    poison = PoisonList()
    one, two = pool_of(poison=poison), pool_of(poison=poison)
    try:
        for pool in (one, two):
            with pytest.raises(WorkerDied):
                await pool.call(b"segfault", digest=b"d")
        with pytest.raises(Poisoned):
            await one.call(b"echo", digest=b"d")
    finally:
        await one.close()
        await two.close()


@pytest.mark.torture
async def test_what_ended_a_worker_by_chance_is_forgiven_once_it_succeeds(pool: WorkerPool) -> None:
    for order in (b"segfault", b"echo x", b"segfault"):
        if order == b"segfault":
            with pytest.raises(WorkerDied):
                await pool.call(order, digest=b"d")
        else:
            await pool.call(order, digest=b"d")

    assert await pool.call(b"echo y", digest=b"d") == b"ok y"


@pytest.mark.torture
async def test_a_source_that_ends_one_worker_after_the_other_waits_and_others_do_not() -> None:
    clock = FakeClock()
    pool = pool_of(clock=clock.monotonic)
    try:
        for n in range(ENDS_OF_ONE):
            with pytest.raises(WorkerDied):
                await pool.call(b"leave %d" % n, source="mal")
        with pytest.raises(WorkersBusy):
            await pool.call(b"echo", source="mal")
        assert await pool.call(b"echo a", source="good") == b"ok a"
        clock.advance(60)
        assert await pool.call(b"echo b", source="mal") == b"ok b"
    finally:
        await pool.close()


async def test_a_call_that_takes_too_long_is_cut_off_and_is_no_poison(pool: WorkerPool) -> None:
    for _ in range(3):
        with pytest.raises(WorkerOverran):
            await pool.call(b"sleep 60", wall=0.01)

    assert await pool.call(b"echo") == b"ok "
    assert {cause for _, cause in ENDS} == {"wall"}


async def test_an_answer_that_is_too_long_ends_its_worker_and_nothing_of_it_stays(pool: WorkerPool) -> None:
    chatty = pool_of(replace(SPEC, longest_answer=1_000))
    try:
        with pytest.raises(WorkerDied):
            await chatty.call(b"echo " + b"x" * 500_000)
        assert await chatty.call(b"echo y") == b"ok y"
        assert await pool.call(b"echo z") == b"ok z"
    finally:
        await chatty.close()


async def test_an_error_of_the_handler_is_told_by_its_name_alone_and_ends_nothing(pool: WorkerPool) -> None:
    before = await pid(pool)
    with pytest.raises(WorkerFailed, match=r"^ValueError$"):
        await pool.call(b"raise")

    assert await pid(pool) == before


async def test_a_worker_gets_no_environment_no_files_and_writes_none(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOS_SECRET", "secret")
    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)  # noqa: FBT003 - the only argument
        environment = await pool.call(b"environ")
        files = await pool.call(b"files")
    with pytest.raises((WorkerDied, WorkerFailed)):
        await pool.call(b"write " + str(tmp_path / "made").encode())

    assert b"secret" not in environment
    assert len(files.split()) <= 6
    assert not (tmp_path / "made").exists() or not (tmp_path / "made").read_text()


async def test_what_a_library_prints_garbles_no_answer(pool: WorkerPool) -> None:
    assert await pool.call(b"print x") == b"ok x"


async def test_a_caller_who_leaves_ends_the_work_or_lets_a_short_one_finish() -> None:
    for grace, same in ((0.0, False), (5.0, True)):
        spec = WorkerSpec(
            **{name: getattr(SPEC, name) for name in SPEC.__slots__ if name != "grace"}, grace=grace
        )
        pool = pool_of(spec)
        try:
            before = await pid(pool)
            call = asyncio.create_task(pool.call(b"sleep 0.05"))
            await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await pid(pool) == before) is same
            assert ENDS == []
        finally:
            await pool.close()


async def test_turns_go_by_source_and_no_line_is_longer_than_it_may_be() -> None:
    pool = pool_of(most_of_one=3, most_waiting=5)
    order: list[str] = []

    async def ask(source: str, number: int) -> None:
        await pool.call(b"echo", source=source)
        order.append(f"{source}{number}")

    try:
        await pool.warm()
        holding = asyncio.create_task(pool.call(b"sleep 0.2", source="held"))
        await until(lambda: not pool._idle)
        flood = [asyncio.create_task(ask("mal", n)) for n in range(4)]
        await until(lambda: pool.waiting == 3)
        good = asyncio.create_task(ask("good", 0))
        await asyncio.gather(holding, good, *flood[:3])
        with pytest.raises(WorkersBusy):
            await flood[3]
    finally:
        await pool.close()

    assert order == ["mal0", "good0", "mal1", "mal2"]


async def test_a_caller_who_leaves_the_line_takes_nothing_with_it() -> None:
    pool = pool_of()
    try:
        await pool.warm()
        holding = asyncio.create_task(pool.call(b"sleep 0.1"))
        await until(lambda: not pool._idle)
        leaving, staying = (asyncio.create_task(pool.call(b"echo s")) for _ in range(2))
        await until(lambda: pool.waiting == 2)
        leaving.cancel()
        assert await staying == b"ok s"
        await holding
        assert await pool.call(b"echo t") == b"ok t"
    finally:
        await pool.close()


async def test_a_worker_that_is_killed_while_idle_is_replaced_before_anybody_asks() -> None:
    pool = pool_of()
    try:
        before = await pid(pool)
        os.kill(before, 9)
        await until(lambda: pool.started == 2 and bool(pool._idle))
        assert await pid(pool) != before
        assert ENDS == [("obedient", "killed")]
    finally:
        await pool.close()


@pytest.mark.torture
async def test_a_worker_that_does_not_start_is_told_as_such_and_is_not_tried_without_pause() -> None:
    spec = WorkerSpec(name="no", target="tests.fakes.worker_handlers:broken", memory=MIB, cpu=1.0, wall=5.0)
    pool = pool_of(spec)
    try:
        with pytest.raises(WorkersUnavailable):
            await pool.call(b"x")
        assert pool.started == 1
    finally:
        await pool.close()
    with pytest.raises(WorkersUnavailable):
        await pool.call(b"x")


def test_poison_is_bounded_and_forgotten_in_time() -> None:
    poison = PoisonList(most=2, seconds=10.0)

    assert not poison.blame(b"a", 0.0)
    assert poison.blame(b"a", 9.0)
    assert poison.holds(b"a", 19.0)
    assert not poison.holds(b"a", 19.1)
    for name in (b"a", b"b", b"c"):
        poison.blame(name, 20.0)
    assert len(poison) == 2
    assert not poison.blame(b"a", 20.0)
