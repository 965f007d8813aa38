"""Requests that end their server: found out, refused, and those beside them lose nothing but time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from gateway.inference.core.culprits import Work
from gateway.inference.errors import BackendGone, BackendUnavailable
from gateway.inference.model import BackendRequest, CountSpec, StreamItem
from gateway.inference.service import trials
from services.chassis.auth.identity import Caller
from services.chassis.chat import ChatMessage, Role
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc.errors import RequestPoisoned
from services.chassis.runtime.clock import SystemClock
from tests.fakes.backend import PLAIN, FakeBackend
from tests.fakes.inference import Desk, Follower, ask, inference
from tests.fakes.stepping import PIECES, WHOLE
from tests.fakes.waiting import until

MARK = "kill"


class Mortal(FakeBackend):
    """A server that dies of a prompt with the mark, with all its runs, and is started again at once."""

    def __init__(self, name: str = "r0", *, at: int = 0, **fields: Any) -> None:
        super().__init__(name, pieces=PIECES, **fields)
        self.deaths = 0
        self.at = at
        """After how many tokens it dies."""
        self.beside: list[int] = []
        """What ran beside each marked run when that began."""
        self.dead = asyncio.Event()

    async def stream(self, job: BackendRequest) -> AsyncGenerator[StreamItem, None]:
        marked, given, dead = MARK in job.prompt.text, 0, self.dead
        if marked:
            self.beside.append(self.running)
        items = super().stream(job)
        while True:
            if marked and given >= self.at:
                self.running += 1
                await asyncio.sleep(0.002)
                self.running -= 1
                self.die()
            item = None if dead.is_set() else await anext(items, None)
            if dead.is_set():
                await items.aclose()
                raise BackendUnavailable("the connection failed")
            if item is None:
                return
            yield item
            given += 1
            await asyncio.sleep(0)

    def die(self) -> None:
        self.deaths += 1
        self.details = replace(self.details, instance=f"i{self.deaths}")
        self.dead.set()
        for stopping in self._suspending.values():
            stopping.set()
        self.dead = asyncio.Event()


def kill(name: str = "k", agent: str = "mal", text: str = MARK) -> dict[str, Any]:
    return {"request_id": name, "agent": agent, "messages": (ChatMessage(Role.USER, text),)}


def mortal(name: str = "r0", **fields: Any) -> Mortal:
    return Mortal(name, info=replace(PLAIN, instance="i0"), **fields)


async def refused(follower: Follower) -> BaseException:
    with pytest.raises((RequestPoisoned, TooManyCalls)) as error:
        await follower.task
    return error.value


@pytest.mark.parametrize("at", [0, 5])
async def test_a_request_that_ends_its_server_twice_is_refused_from_then_on(at: int) -> None:
    server = mortal(at=at)
    async with inference(server) as desk:
        first = desk.start(**kill())
        assert isinstance(await refused(first), RequestPoisoned)
        again = desk.start(**kill("other-name"))
        await refused(again)
        good = desk.start("g")
        await good.task

        assert server.deaths == 2
        assert len(server.beside) == 2
        assert good.text == WHOLE


async def test_those_at_work_beside_it_go_on_and_lose_nothing() -> None:
    server = mortal()
    async with inference(server) as desk:
        server.permits = asyncio.Semaphore(12)
        good = [desk.start(f"g{n}", agent=f"bob{n}", stop=(f"x{n}",)) for n in range(3)]
        await until(lambda: server.running == 3)
        killer = desk.start(**kill())
        await until(lambda: server.deaths == 1)
        server.permits = None
        await refused(killer)
        await asyncio.gather(*(each.task for each in good))

        assert server.deaths == 2
        assert server.beside == [3, 0]
        assert [each.text for each in good] == [WHOLE] * 3


async def test_it_is_refused_on_every_replica_and_ends_no_third() -> None:
    servers = [mortal(name) for name in ("r0", "r1")]
    async with inference(*servers) as desk:
        await refused(desk.start(**kill()))
        desk.dispatcher.replica = "r1"
        await refused(desk.start(**kill("again", agent="child")))

        assert [each.deaths for each in servers] == [2, 0]


async def test_another_tenant_s_same_words_are_not_refused() -> None:
    server = mortal()
    async with inference(server) as desk:
        await refused(desk.start(**kill()))
        other = Follower(desk, ask(messages=(ChatMessage(Role.USER, MARK),)), "k", Caller("eve", "umbrella"))
        await refused(other)

        assert server.deaths == 4


async def test_a_tree_that_goes_on_with_other_words_is_refused_for_a_while_and_nobody_else_is() -> None:
    server = mortal()
    async with inference(server) as desk:
        ends = [await refused(desk.start(**kill(f"k{n}", text=f"{MARK} {n}"))) for n in range(5)]
        good = desk.start("g")
        await good.task

        assert [type(each) for each in ends] == [RequestPoisoned] * 3 + [TooManyCalls] * 2
        assert server.deaths == 6
        assert good.text == WHOLE


async def test_connections_that_merely_break_convict_nobody() -> None:
    server = mortal()
    server.faults = [(at, BackendUnavailable("the connection failed")) for at in (2, 3, 4, 2)]
    async with inference(server) as desk:
        follower = desk.start()
        await follower.task
        again = desk.start("g2")
        await again.task

        assert follower.text == again.text == WHOLE


async def test_a_call_that_is_cancelled_before_its_server_dies_is_suspected_too() -> None:
    server = mortal(at=1000)
    server.permits = asyncio.Semaphore(0)
    async with inference(server) as desk:
        good = desk.start("g")
        await until(lambda: server.running == 1)
        for number in range(2):
            killer = desk.start(**kill(f"k{number}"))
            await until(partial(_runs, server, 2 - number))
            await killer.leave()
            await until(partial(_runs, server, 1 - number))
            if not number:
                server.die()
                server.permits = asyncio.Semaphore(1000)
                await good.task
                server.permits = asyncio.Semaphore(0)
        server.broken = BackendGone("the backend cannot be reached")
        desk.pool._doubts.notify("r0")
        await until(lambda: not desk.pool.live())
        server.broken = None
        await until(lambda: bool(desk.pool.live()))
        await refused(desk.start(**kill("k9")))

        assert good.text == WHOLE


@pytest.mark.parametrize("count", [2, 3])
async def test_a_prompt_that_ends_the_server_that_reads_it_ends_two_and_no_third(count: int) -> None:
    servers = [mortal(f"r{number}") for number in range(count)]
    for server in servers:
        server.measure = server.render = _dying(server)  # type: ignore[method-assign]
    async with inference(*servers) as desk:
        caller = Caller("mal", "acme")
        for _ in range(2):
            with pytest.raises(RequestPoisoned):
                await desk.use_cases.count(caller, CountSpec(texts=(MARK,)))
            assert sum(each.deaths for each in servers) == 2
        await refused(desk.start(**kill()))

        assert sum(each.deaths for each in servers) == 4


async def test_one_death_counts_once_however_late_a_connection_tells_of_it() -> None:
    async def fallen(_replica: str, _instance: str) -> bool:
        return True

    known = trials.Trials(SystemClock(), fallen)
    works = [Work(bytes([number]), ("acme", f"a{number}")) for number in range(2)]
    tell = [asyncio.Event() for _ in works]

    async def at_work(number: int) -> None:
        with suppress(BackendUnavailable):
            async with known.at_work("r0", "i0", works[number]):
                await tell[number].wait()
                raise BackendUnavailable("the connection failed")

    runs = [asyncio.create_task(at_work(number)) for number in range(len(works))]
    await asyncio.sleep(0)
    for number, run in enumerate(runs):
        tell[number].set()
        await run
        await known.look("r0")

    for work in works:
        known.check(work)


def _runs(server: Mortal, count: int) -> bool:
    return server.running == count


def _dying(server: Mortal) -> Any:
    async def ask_of(*_args: Any, **_fields: Any) -> Any:
        server.die()
        raise BackendUnavailable("the connection failed")

    return ask_of


async def test_others_wait_while_a_suspect_is_tried_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "TRIAL_SECONDS", 3600.0)
    server = mortal(at=1000)
    server.permits = asyncio.Semaphore(0)
    async with inference(server) as desk:
        suspect = desk.start(**kill())
        await until(lambda: server.running == 1)
        server.die()
        server.permits.release()
        await until(lambda: len(server.jobs) == 2 and server.running == 1)
        good = desk.start("g")
        await _settled(desk)
        assert server.running == 1
        for _ in range(2):  # so many are reported, and prove that the server lives
            server.permits.release()
        await until(lambda: server.running == 2)
        server.permits = None
        await suspect.leave()
        await good.leave()


async def _settled(desk: Desk) -> None:
    """Give a call that is not held the time to get to its server."""
    await asyncio.sleep(0.1)
    assert desk.use_cases.running == 2
