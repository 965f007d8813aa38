"""The contract as JSON: what pages may call, how they are refused, and the streams of a tab."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.http.console.core.allowed import ALLOWED
from gateway.http.console.transcoding import METHODS
from services.chassis.rpc.methods import Audience
from tests.fakes.console import WHO
from tests.fakes.console_world import World, console_world

AGENT = "api/aios.api.agent.v1.AgentService/"
ACCESS = "api/aios.api.access.v1.AccessService/"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with console_world(tmp_path) as made:
        await made.key("planner")
        await made.browser.sign_in(made.admin_token)
        yield made


def test_what_is_offered_is_in_the_contract_and_for_people() -> None:
    assert set(METHODS) == ALLOWED
    for path, method in METHODS.items():
        assert method.audience is Audience.AGENTS, path
        assert not method.client_streaming, path
    barred = ("IssueToken", "RevokeToken", "IssueAgentKey", "IssuePersonKey", "SetSecret", "RegisterAgent")
    assert not [path for path in ALLOWED if path.endswith(barred)]


async def test_fields_keep_their_names_and_what_is_zero_is_absent(world: World) -> None:
    status, told = await world.browser.ask("POST", AGENT + "GetAgent", {"name": "agents/planner"})

    assert status == 200
    assert told["agent"]["name"] == "agents/planner"
    assert told["agent"]["state"] == "AGENT_STATE_ACTIVE"
    assert "parent" not in told["agent"]
    assert told["agent"]["create_time"].endswith("Z")


async def test_nobody_calls_without_a_session(world: World) -> None:
    world.browser.cookie = ""
    status, told = await world.browser.ask("POST", WHO, {})
    assert (status, told["reason"], bool(told["hint"])) == (401, "CREDENTIAL_MISSING", True)
    assert (await world.browser.ask("POST", "stream", {"topics": []}))[0] == 401
    assert (await world.browser.ask("GET", "files/agents/planner/files/a"))[0] == 401


WRONG: list[tuple[str, Any, int, str]] = [
    (AGENT + "GetAgent", {"name": "agents/nobody"}, 404, "AGENT_NOT_FOUND"),
    (AGENT + "GetAgent", {"name": "agents/planner", "x": 1}, 400, "INVALID_REQUEST"),
    (AGENT + "GetAgent", {"name": 7}, 400, "INVALID_REQUEST"),
    (AGENT + "GetAgent", {"name": "no name"}, 400, "INVALID_REQUEST"),
    (AGENT + "GetAgent", [], 400, "INVALID_REQUEST"),
    (AGENT + "GetAgent", b"{", 400, "MALFORMED_REQUEST"),
    (AGENT + "GetAgent", b"\xff", 400, "MALFORMED_REQUEST"),
    (AGENT + "GetAgent", b"[" * 9000, 400, "MALFORMED_REQUEST"),
    (AGENT + "GetAgent", b" " * 999_999, 413, "REQUEST_TOO_LARGE"),
    (AGENT + "ListAgents", {"page_token": "x"}, 400, "INVALID_PAGE_TOKEN"),
    (AGENT + "ListAgents", {"page_size": 10**30}, 400, "INVALID_REQUEST"),
    (AGENT + "WatchAgents", {}, 501, "UNKNOWN_METHOD"),
    (AGENT + "RegisterAgent", {}, 501, "UNKNOWN_METHOD"),
    (ACCESS + "IssueToken", {}, 501, "UNKNOWN_METHOD"),
    (ACCESS + "Check", {}, 501, "UNKNOWN_METHOD"),
    ("api/nowhere", {}, 501, "UNKNOWN_METHOD"),
]


async def test_what_is_wrong_is_told_in_one_shape(world: World) -> None:
    for path, body, status, reason in WRONG:
        got, told = await world.browser.ask("POST", path, body)

        assert (got, told["reason"]) == (status, reason), (path, told)
        assert {"code", "reason", "message", "metadata", "violations", "hint"} <= set(told)


async def test_the_field_that_the_contract_does_not_have_is_named(world: World) -> None:
    _, told = await world.browser.ask("POST", AGENT + "GetAgent", {"name": "agents/planner", "frog": 1})
    assert [each["field"] for each in told["violations"]] == ["frog"]


async def test_an_agent_has_its_own_rights_and_no_more(world: World) -> None:
    await world.browser.sign_in(await world.key("other"))
    status, told = await world.browser.ask(
        "POST", AGENT + "KillAgent", {"name": "agents/planner", "reason": "spite"}
    )
    assert (status, told["reason"]) == (403, "PERMISSION_DENIED")
    assert told["metadata"]["action"]


async def test_a_click_that_is_sent_twice_counts_once(world: World) -> None:
    body = {"group": {"name": "groups/writers"}, "request_id": "click-1"}
    first = await world.browser.ask("POST", ACCESS + "CreateGroup", body)
    assert first[0] == 200, first
    assert await world.browser.ask("POST", ACCESS + "CreateGroup", body) == first
    other = {**body, "group": {"name": "groups/readers"}}
    status, told = await world.browser.ask("POST", ACCESS + "CreateGroup", other)
    assert (status, told["reason"]) == (409, "IDEMPOTENCY_MISMATCH")


async def test_one_stream_carries_all_topics_and_tells_how_each_ends(world: World) -> None:
    topics = (
        {"name": "agents", "method": "agent/WatchAgents", "request": {}},
        {"name": "again", "method": "aios.api.agent.v1.AgentService/WatchAgents"},
        {"name": "none", "method": "scheduler/WatchSchedule"},
    )
    seen: dict[str, list[Any]] = {}
    ended: dict[str, tuple[str, str, int]] = {}
    async with world.browser.stream(*topics) as events, asyncio.timeout(10):
        assert events.answer.headers["cache-control"] == "no-store"
        assert events.answer.headers["x-content-type-options"] == "nosniff"
        while len(seen) < 2 or not ended:
            kind, told = await events.next()
            if kind == "batch":
                for name, messages in told:
                    seen.setdefault(name, []).extend(messages)
            else:
                ended[told["topic"]] = (kind, told["reason"], told["status"])
    assert set(seen) == {"agents", "again"}
    assert seen["agents"] == seen["again"]
    assert ended == {"none": ("error", "UNKNOWN_METHOD", 501)}


async def test_a_change_is_seen_by_the_stream(world: World) -> None:
    async with (
        world.browser.stream({"name": "a", "method": "agent/WatchAgents"}) as events,
        asyncio.timeout(10),
    ):
        await events.next()
        await world.browser.ask("POST", AGENT + "SuspendAgent", {"name": "agents/planner"})
        while "SUSPENDED" not in str(await events.next()):
            pass


NONSENSE: list[Any] = [
    {},
    {"topics": []},
    {"topics": "agents"},
    {"topics": [{"name": "a", "method": "agent/WatchAgents"}] * 2},
    {"topics": [{"name": f"t{n}", "method": "agent/WatchAgents"} for n in range(17)]},
    {"topics": [{"name": "a b", "method": "agent/WatchAgents"}]},
    {"topics": [{"name": "a", "method": "agent/GetAgent"}]},
    {"topics": [{"name": "a", "method": 1}]},
    {"topics": [{"name": "a", "method": "agent/WatchAgents", "request": {"x": 1}}]},
    {"topics": [{"name": "a", "method": "agent/WatchAgents", "more": 1}]},
    {"topics": [7]},
]


async def test_a_stream_of_nonsense_is_refused_before_it_begins(world: World) -> None:
    for body in NONSENSE:
        status, told = await world.browser.ask("POST", "stream", body)
        assert (status, told["reason"]) == (400, "INVALID_REQUEST"), body
