"""Work beside the loop: few threads, one for a tree of agents, by turns."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest

from services.chassis.aside import THREADS, Aside
from services.chassis.gate import Visitor
from tests.fakes.waiting import until

MARK: ContextVar[str] = ContextVar("mark", default="")


def of(tree: str, tenant: str = "acme", agent: str = "") -> Visitor:
    """Return whose work it is."""
    return Visitor(agent=(tenant, agent or tree), tree=(tenant, tree))


@asynccontextmanager
async def held(beside: Aside, visitor: Visitor) -> AsyncIterator[None]:
    """Have work under way until the end."""
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(30)

    doing = asyncio.create_task(beside.run(work, visitor))
    await until(begun.is_set)
    try:
        yield
    finally:
        end.set()
        await doing


async def test_work_is_done_in_another_thread_in_the_callers_context() -> None:
    MARK.set("mine")

    where, mark = await Aside().run(lambda: (threading.get_ident(), MARK.get()), of("a"))

    assert where != threading.get_ident()
    assert mark == "mine"


async def test_what_the_work_raises_comes_back() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Aside().run(fail, of("a"))


async def test_a_tree_has_one_thread_and_another_tree_does_not_wait_for_it() -> None:
    beside = Aside()
    async with held(beside, of("a")):
        waiting = [asyncio.create_task(beside.run(int, of("a", agent=f"child{n}"))) for n in range(5)]
        other = await beside.run(lambda: "done", of("b"))
        meanwhile = beside.waiting
    await asyncio.gather(*waiting)

    assert (other, meanwhile) == ("done", 5)


async def test_a_tenant_leaves_a_thread_to_the_others() -> None:
    beside = Aside()
    async with held(beside, of("a")), held(beside, of("b")):
        third = asyncio.create_task(beside.run(int, of("c")))
        other = await beside.run(lambda: "done", of("a", tenant="globex"))
        meanwhile = beside.waiting
    await third

    assert THREADS > 2
    assert (other, meanwhile) == ("done", 1)


async def test_who_leaves_while_it_waits_is_not_worked_for() -> None:
    beside, ran = Aside(), list[str]()
    async with held(beside, of("a")):
        left = asyncio.create_task(beside.run(_noting(ran, "left"), of("a")))
        await until(lambda: beside.waiting == 1)
        left.cancel()
        await until(lambda: beside.waiting == 0)
    await beside.run(_noting(ran, "next"), of("a"))

    assert ran == ["next"]


async def test_work_that_was_left_keeps_its_place_until_it_has_ended() -> None:
    beside, begun, end = Aside(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(30)

    left = asyncio.create_task(beside.run(work, of("a")))
    await until(begun.is_set)
    left.cancel()
    following = asyncio.create_task(beside.run(int, of("a")))
    await until(lambda: beside.waiting == 1)
    end.set()

    assert await following == 0
    assert left.cancelled()


def _noting(seen: list[str], word: str) -> Callable[[], None]:
    return lambda: seen.append(word)
