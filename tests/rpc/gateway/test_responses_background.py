"""Responses that go on without a connection: polled, followed, cancelled, taken over from a dead gateway."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from gateway.http.responses.service.claims import LABEL
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.runtime.clock import SystemClock
from tests.fakes.access_manager import ADMIN, desk
from tests.fakes.context import context_service
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import SmallKernel, small_kernel
from tests.fakes.stores.access import MemoryStore
from tests.fakes.waiting import until
from tests.rpc.gateway.test_groups_rpc import register
from tests.rpc.gateway.test_responses_stored import Client

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLANNER = Scope("acme", "planner")
ENDLESS = {"input": "hello", "background": True}
SHORT = {**ENDLESS, "max_output_tokens": 30}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors() -> AsyncIterator[tuple[SmallKernel, str]]:
    """One kernel with two gateways for all tests that stop none, and the second one's door."""
    contexts = context_service(clock=SystemClock())
    settings = {"door_background_claim": "0.6", "door_background_per_agent": "3"}
    behaviour = Behaviour(tokens=5000, token_delay=0.02, window=8192)
    async with small_kernel(
        behaviour, context=contexts, door_background_claim="0.6", door_background_per_agent="3"
    ) as kernel:
        yield kernel, await kernel.start_another_gateway(**settings)


@pytest.fixture
def me(doors: tuple[SmallKernel, str], request: pytest.FixtureRequest) -> Client:
    """Return an agent of the test's own, at the first door."""
    return Client(doors[0], request.node.name.replace("_", "-")[:60])


@pytest.fixture
def other(doors: tuple[SmallKernel, str], me: Client) -> Client:
    """Return the same agent at the second door."""
    return Client(me.kernel, me.agent, doors[1])


def text_of(events: list[dict[str, Any]]) -> str:
    """Return the text that events tell."""
    return "".join(each["delta"] for each in events if each["type"] == "response.output_text.delta")


def whole_text(response: Any) -> str:
    """Return the text of a response that has ended."""
    return str(response["output"][0]["content"][0]["text"])


async def test_a_response_is_polled_to_its_end_and_its_events_are_told_from_any_number_on(me: Client) -> None:
    begun = await me.create(SHORT)
    ended = await me.ended(begun["id"])
    _, told = await me.asked("GET", f"responses/{begun['id']}?stream=true")
    _, rest = await me.asked("GET", f"responses/{begun['id']}?stream=true&starting_after=6")

    assert (begun["status"], begun["output"]) == ("queued", [])
    assert (ended["status"], ended["id"]) == ("incomplete", begun["id"])
    assert text_of(told) == whole_text(ended)
    assert min(each["sequence_number"] for each in rest) > 6
    assert text_of(rest) == whole_text(ended)[6 - 3 :]
    assert (await me.asked("POST", f"responses/{begun['id']}/cancel"))[1] == ended


async def test_a_response_is_cancelled(me: Client) -> None:
    begun = await me.create(ENDLESS)
    await until(lambda: me.kernel.tgi.seen.running == 1)
    _, told = await me.asked("POST", f"responses/{begun['id']}/cancel")
    await until(lambda: me.kernel.tgi.seen.running == 0)

    assert told["status"] == "cancelled"
    assert (await me.asked("GET", f"responses/{begun['id']}"))[1]["status"] == "cancelled"
    plain = await me.create({"input": "hi", "max_output_tokens": 2})
    assert (await me.asked("POST", f"responses/{plain['id']}/cancel"))[0] == 400


async def test_who_leaves_its_stream_leaves_the_response_going_and_reads_on_later(me: Client) -> None:
    before = (len(me.kernel.tgi.seen.runs), me.kernel.tgi.seen.dropped)
    seen: list[dict[str, Any]] = []
    async with (
        aiohttp.ClientSession(headers=me.headers) as session,
        session.post(f"{me.kernel.door}/v1/responses", json={**SHORT, "stream": True}) as answer,
    ):
        while len(text_of(seen)) < 10:
            line = await answer.content.readline()
            if line.startswith(b"data: "):
                seen.append(json.loads(line[6:]))
    ident = seen[0]["response"]["id"]
    after = max(each["sequence_number"] for each in seen)
    _, rest = await me.asked("GET", f"responses/{ident}?stream=true&starting_after={after}")

    assert text_of(seen) + text_of(rest) == whole_text(rest[-1]["response"])
    assert (len(me.kernel.tgi.seen.runs), me.kernel.tgi.seen.dropped) == (before[0] + 1, before[1])


async def test_two_gateways_that_are_polled_generate_a_response_once(me: Client, other: Client) -> None:
    before = len(me.kernel.tgi.seen.runs)
    begun = await me.create(SHORT)
    polls = [(await each.asked("GET", f"responses/{begun['id']}"))[1] for each in (other, me, other)]
    followed = asyncio.create_task(other.asked("GET", f"responses/{begun['id']}?stream=true"))
    ended = await asyncio.gather(me.ended(begun["id"]), other.ended(begun["id"]))
    _, told = await followed

    assert {poll["status"] for poll in polls} <= {"queued", "in_progress"}
    assert ended[0] == ended[1] == told[-1]["response"]
    assert text_of(told) == whole_text(ended[0])
    assert len(me.kernel.tgi.seen.runs) == before + 1


async def test_cancelling_at_one_gateway_ends_what_another_one_runs(me: Client, other: Client) -> None:
    begun = await me.create(ENDLESS)
    await until(lambda: me.kernel.tgi.seen.running == 1)
    _, told = await other.asked("POST", f"responses/{begun['id']}/cancel")
    await until(lambda: me.kernel.tgi.seen.running == 0)

    assert told["status"] == "cancelled"
    assert (await me.ended(begun["id"]))["status"] == "cancelled"


async def test_an_agent_has_a_bounded_number_and_must_store_them(me: Client, other: Client) -> None:
    begun = [await me.create(ENDLESS) for _ in range(3)]
    status, told = await me.asked("POST", "responses", ENDLESS)
    assert (status, told["error"]["code"]) == (429, "rate_limit_exceeded")
    elsewhere = await other.create(ENDLESS)
    assert (await me.asked("GET", f"responses/{elsewhere['id']}"))[1]["status"] == "in_progress"
    await other.asked("DELETE", f"responses/{elsewhere['id']}")
    stranger = Client(me.kernel, "stranger")
    begun.append(await stranger.create(ENDLESS))
    assert (await me.asked("DELETE", f"responses/{begun[0]['id']}"))[0] == 204
    begun.append(await me.create(ENDLESS))
    for each in begun[1:]:
        await (stranger if each is begun[3] else me).asked("DELETE", f"responses/{each['id']}")

    status, told = await me.asked("POST", "responses", {**ENDLESS, "store": False})
    assert (status, told["error"]["param"]) == (400, "background")


async def test_a_response_outlives_its_gateway_whether_that_stops_or_dies() -> None:
    contexts = context_service(clock=SystemClock())
    behaviour = Behaviour(tokens=60, token_delay=0.02)
    async with small_kernel(
        behaviour, context=contexts, checkpoint_tokens="4", checkpoint_pause_seconds="0"
    ) as kernel:
        me, seen = Client(kernel), kernel.tgi.seen
        stopped, orphan = await me.create(ENDLESS), await me.create(ENDLESS)
        await until(lambda: len(seen.runs) == 2 and all(run.sent >= 20 for run in seen.runs))
        await kernel.stop("gateway")
        await until(lambda: seen.running == 0)
        # One that dies gives nothing back: its claim is still there.
        name = f"resp-{orphan['id'].removeprefix('resp_')}-p"

        async def dead_until(moment: float) -> None:
            label = {LABEL: f"dead {moment:.3f} {name}"}
            by = RequestIdentity("planner", "UpdateContext")
            await contexts.conversations.update(PLANNER, by, name, {"labels": label}, "")

        await dead_until(time.time() + 3600)
        await kernel.start_gateway()
        other = Client(kernel, url=await kernel.start_another_gateway())
        await kernel.ready()
        assert (await me.ended(stopped["id"]))["usage"]["output_tokens"] == 60
        first = [(await each.asked("GET", f"responses/{orphan['id']}"))[1] for each in (me, other)]
        assert [each["status"] for each in first] == ["in_progress", "in_progress"]
        assert len(seen.runs) == 3
        await dead_until(time.time())
        ended = await asyncio.gather(me.ended(orphan["id"]), other.ended(orphan["id"]))

        assert ended[0] == ended[1]
        assert ended[0]["usage"]["output_tokens"] == 60
        assert len(seen.runs) == 4
        assert all(run.first >= 8 for run in seen.runs[2:]), "they go on from checkpoints"


async def test_a_killed_agents_responses_end(tmp_path: Path) -> None:
    agents = (await asyncio.to_thread(desk, MemoryStore(), tmp_path)).manager.agents
    await register(agents, "planner")
    behaviour = Behaviour(tokens=3000, token_delay=0.05)
    async with small_kernel(behaviour, access=agents, context=context_service(clock=SystemClock())) as kernel:
        await Client(kernel).create(ENDLESS)
        await until(lambda: kernel.tgi.seen.running == 1)
        await agents.kill(ADMIN, "planner", "enough")
        await until(lambda: kernel.tgi.seen.running == 0)
