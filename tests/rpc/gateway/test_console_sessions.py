"""Signing in to the console at a real access manager: what a session is, and what ends it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.access.service.tokens import Target
from services.chassis.auth.identity import Caller, Kind, Principal
from tests.fakes.access_manager import NEW, TENANT
from tests.fakes.console import WHO, Browser
from tests.fakes.console_world import World, console_world

AGENTS = {"name": "agents", "method": "agent/WatchAgents", "request": {}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with console_world(tmp_path) as made:
        yield made


async def test_a_key_becomes_a_session_of_its_own_that_calls_as_its_agent(world: World) -> None:
    key = await world.key("planner")
    status, told = await world.browser.sign_in(key)

    assert (status, told["principal"]["agent"]) == (200, "agents/planner")
    assert key not in world.browser.set_cookie
    port = world.door.port
    assert world.browser.set_cookie.startswith(f"aios_console_{port}=")
    for word in ("HttpOnly", "SameSite=Strict", "Path=/console/"):
        assert word in world.browser.set_cookie
    assert "Secure" not in world.browser.set_cookie
    status, who = await world.browser.ask("POST", WHO, {})
    assert (status, who["principal"]["agent"]) == (200, "agents/planner")
    assert world.journal.noted == [("planner", "sign_in")]
    assert world.counted("ok") == 1


async def test_signing_out_ends_the_session_and_not_the_token_that_was_shown(world: World) -> None:
    shown = world.admin_token
    await world.browser.sign_in(shown)
    replayed = world.browser.cookie
    status, _ = await world.browser.ask("DELETE", "session")

    assert status == 200
    assert "Max-Age=0" in world.browser.set_cookie
    world.browser.cookie = replayed
    status, told = await world.browser.ask("POST", WHO, {})
    assert (status, told["reason"]) == (401, "CREDENTIAL_REVOKED")
    assert (await world.desk.manager.tokens.by_renewal(shown, None)).principal.agent == "admin"
    assert world.journal.noted == [("admin", "sign_in"), ("admin", "sign_out")]


async def test_a_session_ends_with_the_token_that_it_was_begun_with(world: World) -> None:
    shown = world.admin_token
    await world.key("planner")
    await world.browser.sign_in(shown)
    session = world.desk.keys.verify(shown, now=world.desk.clock.now()).session_id
    admin = Caller(agent="admin", tenant=TENANT, kind=Kind.ADMIN, token=shown)
    async with world.browser.stream(AGENTS) as events:
        assert (await events.next())[0] == "batch"
        await world.desk.manager.tokens.revoke(admin, "", Target(token_id=session), NEW)
        async with asyncio.timeout(5):
            kind, told = await events.next()
            while kind == "batch":
                kind, told = await events.next()
    assert (kind, told["reason"]) == ("end", "CREDENTIAL_REVOKED")
    assert (await world.browser.ask("POST", WHO, {}))[0] == 401


async def test_signing_out_ends_the_sessions_streams_at_once(world: World) -> None:
    await world.browser.sign_in(await world.key("planner"))
    async with world.browser.stream(AGENTS) as events:
        assert (await events.next())[0] == "batch"
        await world.browser.ask("DELETE", "session")
        async with asyncio.timeout(3):
            kind, told = await events.next()
            assert (await events.next())[0] == "closed"
    assert (kind, told["reason"]) == ("end", "CREDENTIAL_REVOKED")


async def test_a_stream_ends_with_its_token_however_quiet_it_is(world: World) -> None:
    await world.browser.sign_in(await world.key("planner"))
    async with world.browser.stream(AGENTS) as events:
        assert (await events.next())[0] == "batch"
        world.desk.clock.advance(601)
        async with asyncio.timeout(5):
            kind, told = await events.next()
    assert kind == "end"
    assert told["reason"] in {"CREDENTIAL_EXPIRED", "RENEW"}


async def test_use_renews_a_session_up_to_an_end_that_no_use_puts_off(world: World) -> None:
    await world.browser.sign_in(await world.key("planner"))
    first = world.browser.cookie
    world.desk.clock.advance(300)
    await world.browser.ask("POST", WHO, {})
    assert world.browser.cookie == first
    world.desk.clock.advance(150)
    for _ in range(450, 8 * 3600, 450):
        assert (await world.browser.ask("POST", WHO, {}))[0] == 200
        world.desk.clock.advance(450)
    assert world.browser.cookie != first
    status, told = await world.browser.ask("POST", WHO, {})
    assert (status, told["reason"]) == (401, "CREDENTIAL_EXPIRED")


async def test_a_stream_renews_the_session_that_opens_it(world: World) -> None:
    await world.browser.sign_in(await world.key("planner"))
    first = world.browser.cookie
    world.desk.clock.advance(450)
    async with world.browser.stream(AGENTS) as events:
        assert (await events.next())[0] == "batch"
    assert world.browser.cookie != first
    assert "HttpOnly" in world.browser.set_cookie


async def test_a_cookie_that_was_not_sealed_here_is_none(world: World) -> None:
    await world.browser.sign_in(await world.key("planner"))
    name, _, value = world.browser.cookie.partition("=")
    began, mac, token = value.split(".", 2)
    for forged in (f"{int(began) + 999}.{mac}.{token}", f"{began}.{'0' * 64}.{token}", token, "", "x"):
        status, told = await Browser(world.browser.http, f"{name}={forged}").ask("POST", WHO, {})
        assert status == 401, told


async def test_wrong_credentials_are_counted_and_soon_not_heard_out(world: World) -> None:
    key = await world.key("planner")
    for _ in range(3):
        status, told = await world.browser.sign_in("aios_wrong")
        assert (status, told["reason"]) == (401, "CREDENTIAL_INVALID")
        assert "aios_wrong" not in str(told)
    status, told = await world.browser.sign_in(key)
    assert (status, told["reason"]) == (429, "TOO_MANY_CALLS")
    assert told["retry_seconds"] > 0
    assert world.counted("CREDENTIAL_INVALID") == 3
    world.desk.clock.advance(61)
    assert (await world.browser.sign_in(key))[0] == 200


@pytest.mark.parametrize(
    "body", [{}, [], {"credential": 1}, {"credential": "a", "code": "b"}, b"{", {"key": "x"}]
)
async def test_a_sign_in_that_makes_no_sense_is_refused(world: World, body: object) -> None:
    assert (await world.browser.ask("POST", "session", body))[0] == 400


async def test_a_process_of_the_kernel_does_not_sign_in(world: World) -> None:
    holder = Principal(agent="tool", tenant="kernel", kind=Kind.SERVICE)
    token = world.desk.keys.issue(
        holder, now=world.desk.clock.now(), after=None, lifetime=timedelta(minutes=9)
    ).text
    assert (await world.browser.sign_in(token))[0] == 401


async def test_a_code_signs_in_once_and_within_a_minute(world: World) -> None:
    bearer = {"authorization": f"Bearer {world.admin_token}"}
    status, told = await world.browser.ask("POST", "codes", **bearer)
    assert status == 200
    code = {"code": told["code"]}
    status, session = await world.browser.ask("POST", "session", code)
    assert (status, session["principal"]["kind"]) == (200, "PRINCIPAL_KIND_ADMIN")
    assert (await world.browser.ask("POST", WHO, {}))[0] == 200
    assert (await world.browser.ask("POST", "session", code))[0] == 401

    _, late = await world.browser.ask("POST", "codes", **bearer)
    world.desk.clock.advance(61)
    assert (await world.browser.ask("POST", "session", {"code": late["code"]}))[0] == 401


async def test_nobody_gets_a_code_without_a_credential(world: World) -> None:
    assert (await world.browser.ask("POST", "codes"))[0] in {400, 401}
    assert (await world.browser.ask("POST", "codes", authorization="Bearer aios_wrong"))[0] == 401


async def test_who_is_signed_in_is_told_and_that_nobody_is_too(world: World) -> None:
    assert await world.browser.ask("GET", "session") == (200, {"ended": "CREDENTIAL_MISSING"})
    await world.browser.sign_in(await world.key("planner"))
    status, told = await world.browser.ask("GET", "session")
    assert (status, told["principal"]["kind"]) == (200, "PRINCIPAL_KIND_AGENT")
    assert told["end_time"] > told["expire_time"]


async def test_streams_of_a_session_are_bounded(world: World) -> None:
    await world.browser.sign_in(await world.key("planner"))
    async with (
        world.browser.stream(AGENTS),
        world.browser.stream(AGENTS),
        world.browser.stream(AGENTS) as third,
    ):
        assert third.answer.status == 429
    async with world.browser.stream(AGENTS) as again:
        assert again.answer.status in {200, 429}


async def test_streams_end_with_a_time_to_come_again_when_the_process_stops(world: World) -> None:
    await world.browser.sign_in(await world.key("planner"))
    async with world.browser.stream(AGENTS) as events:
        assert (await events.next())[0] == "batch"
        await world.door.drain()
        kind, told = await events.next()
        assert (kind, told["reason"]) == ("end", "DRAINING")
        assert told["retry_seconds"] >= 1
    assert (await world.browser.ask("POST", WHO, {}))[0] == 503
