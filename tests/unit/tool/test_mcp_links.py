"""Connections to MCP servers: when they are made, compared, given up and made again."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.tool.core.mcp_servers import HttpServer, McpServer
from services.tool.drivers.mcp.link import Link, Links
from services.tool.errors import McpServerFailed
from tests.fakes.clock import FakeClock
from tests.fakes.mcp_servers import FakeDials, FakeServer, Shelf, shows


class World:
    """Links to three servers, on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.shelf = Shelf()
        self.servers = {name: FakeServer(shows()) for name in ("a", "b", "c")}
        self.dials = FakeDials(**self.servers)
        for name in self.servers:
            self.shelf.servers[name] = McpServer(id=name, http=HttpServer(url=f"https://{name}/mcp"))
        self.links = Links(self.dials, self.shelf, self.clock, most=2, most_of_tenant=2, idle_seconds=60.0)

    def link(self, name: str = "a") -> Link:
        """Return a link."""
        return self.links.of("acme", name)

    def lives(self, name: str = "a") -> list[bool]:
        """Tell of each session with a server whether it lives."""
        return [session.lives for session in self.servers[name].sessions]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_session_is_made_when_it_is_needed_and_used_again(world: World) -> None:
    one = await world.link().ready()
    other = await world.link().ready()

    assert one is other
    assert len(world.servers["a"].sessions) == 1


async def test_calls_that_come_at_once_share_one_session(world: World) -> None:
    await asyncio.gather(*(world.link().ready() for _ in range(8)))

    assert len(world.servers["a"].sessions) == 1


async def test_a_server_that_says_its_tools_changed_is_compared_before_the_next_call(world: World) -> None:
    opened = await world.link().ready()
    session = world.servers["a"].sessions[0]
    world.clock.advance(11.0)
    session.stale = True
    world.servers["a"].tools = [shows(description="Something else.")]

    again = await world.link().ready()

    assert again is opened
    assert session.listed == 2
    assert not again.accepts("hello", "of the first definition")


async def test_a_server_is_compared_anew_when_that_is_long_ago(world: World) -> None:
    await world.link().ready()
    world.clock.advance(301.0)
    await world.link().ready()

    assert world.servers["a"].sessions[0].listed == 2


async def test_a_server_that_cries_change_is_asked_no_more_than_once_in_ten_seconds(world: World) -> None:
    await world.link().ready()
    world.servers["a"].sessions[0].stale = True

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await world.link().ready()

    assert world.servers["a"].sessions[0].listed == 1


async def test_a_server_that_fails_is_tried_again_once_and_then_after_growing_pauses(world: World) -> None:
    world.servers["a"].fails = "it is out"
    for pause in (0.0, 0.0, 1.0, 2.0, 4.0):
        world.clock.advance(pause)
        with pytest.raises(McpServerFailed, match=r"it is out$"):
            await world.link().ready()
    with pytest.raises(McpServerFailed, match="tried again soon"):
        await world.link().ready()

    world.servers["a"].fails = ""
    world.clock.advance(60.0)
    await world.link().ready()
    assert world.link().problem == ""


async def test_idle_sessions_make_room_and_busy_ones_do_not(world: World) -> None:
    first, second = await world.link("a").ready(), await world.link("b").ready()
    busy = world.link("a").using(first), world.link("b").using(second)
    with busy[0], busy[1], pytest.raises(McpServerFailed, match="too many"):
        await world.link("c").ready()
    await world.link("c").ready()
    await world.links.stop()

    assert world.lives("a") == world.lives("b") == world.lives("c") == [False]


async def test_a_session_without_calls_is_closed_after_a_while(world: World) -> None:
    opened = await world.link().ready()
    with world.link().using(opened):
        world.clock.advance(120.0)
        await world.links.sweep()
        assert opened.usable
    world.clock.advance(61.0)
    await world.links.sweep()

    assert not opened.usable


async def test_a_session_that_would_not_stop_a_call_ends_with_the_last_call_that_it_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, opened = world.link(), await world.link().ready()
    session = world.servers["a"].sessions[0]

    async def deaf(_seconds: float) -> bool:
        return False

    monkeypatch.setattr(session, "obeyed", deaf)
    with link.using(opened):
        await link.abandon(opened, 0.0)
        assert session.lives
        fresh = await link.ready()
        assert fresh is not opened
    await asyncio.sleep(0)
    await world.links.stop()

    assert not session.lives


async def test_what_another_program_offers_is_not_accepted(world: World) -> None:
    opened = await world.link().ready()
    pinned: Mapping[str, Any] = opened.pins

    assert opened.accepts("hello", pinned["hello"])
    opened.server = replace(opened.server, pin="another")
    assert not opened.accepts("hello", pinned["hello"])
