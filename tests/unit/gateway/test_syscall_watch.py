"""Who watches syscalls is told of those of its agent, and of those below if it wants; nobody else's."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway.syscalls import MOST_BEHIND, SyscallWatch, Told
from services.chassis.rpc.observer import SeenCall
from tests.fakes.clock import FakeClock

ABOVE = {"child": ("root",), "grandchild": ("root", "child")}


def watch() -> SyscallWatch:
    return SyscallWatch(lambda _tenant, agent: ABOVE.get(agent, ()), FakeClock())


def call(agent: str, method: str = "m", tenant: str = "t") -> SeenCall:
    return SeenCall(tenant, agent, "s1", method, "", 0, 0.5, "OK")


async def opened(
    source: SyscallWatch, agent: str, *, descendants: bool, tenant: str = "t"
) -> AsyncGenerator[Told | None, None]:
    events = source.watch(tenant, agent, descendants=descendants)
    assert await anext(events) is None
    return events


async def next_of(events: AsyncGenerator[Told | None, None]) -> Told:
    async with asyncio.timeout(5):
        told = await anext(events)
    assert told is not None
    return told


async def test_an_agent_s_own_calls_are_told_and_those_of_others_are_not() -> None:
    source = watch()
    own = await opened(source, "root", descendants=False)
    for each in (call("child"), call("other"), call("root", tenant="rival"), call("root", "mine")):
        source.saw(each)

    assert (await next_of(own)).call.method == "mine"
    await own.aclose()


async def test_calls_of_those_below_are_told_at_every_height_when_they_are_wanted() -> None:
    source = watch()
    tree = await opened(source, "root", descendants=True)
    middle = await opened(source, "child", descendants=True)
    for agent in ("root", "child", "grandchild"):
        source.saw(call(agent))

    assert [(await next_of(tree)).call.agent for _ in range(3)] == ["root", "child", "grandchild"]
    assert [(await next_of(middle)).call.agent for _ in range(2)] == ["child", "grandchild"]
    await tree.aclose()
    await middle.aclose()


async def test_a_slow_reader_loses_the_oldest_and_is_told_how_many() -> None:
    source = watch()
    slow = await opened(source, "root", descendants=False)
    for number in range(MOST_BEHIND + 3):
        source.saw(call("root", str(number)))

    first, second = await next_of(slow), await next_of(slow)
    assert (first.call.method, first.lost) == ("3", 3)
    assert (second.call.method, second.lost) == ("4", 0)
    await slow.aclose()


async def test_nothing_is_kept_once_nobody_watches() -> None:
    source = watch()
    assert not source.watched
    events = await opened(source, "root", descendants=False)
    assert source.watched

    await events.aclose()
    assert not source.watched
    source.saw(call("root"))


@pytest.mark.parametrize("descendants", [False, True])
async def test_two_who_watch_the_same_agent_are_both_told(*, descendants: bool) -> None:
    source = watch()
    both = [await opened(source, "root", descendants=descendants) for _ in range(2)]
    source.saw(call("root", "shared"))

    assert [(await next_of(each)).call.method for each in both] == ["shared", "shared"]
    for each in both:
        await each.aclose()
