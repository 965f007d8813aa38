"""Responses that go on without a connection: polled, followed, cancelled, taken over from a dead gateway."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from gateway.http.responses.service.leases import LABEL
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.runtime.clock import SystemClock
from tests.fakes.access_manager import ADMIN, desk
from tests.fakes.context import context_service
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import small_kernel
from tests.fakes.stores.access import MemoryStore
from tests.fakes.tokens import ISSUER_FOR_TESTS
from tests.fakes.waiting import until
from tests.rpc.gateway.test_groups_rpc import register
from tests.rpc.gateway.test_responses_stored import Client, client

PLANNER = Scope("acme", "planner")
TOKEN = {"authorization": f"Bearer {ISSUER_FOR_TESTS.token('planner')}"}


def text_of(events: list[dict[str, Any]]) -> str:
    """Return the text that events tell."""
    return "".join(each["delta"] for each in events if each["type"] == "response.output_text.delta")


async def test_a_response_in_the_background_is_polled_to_its_end() -> None:
    async with client(Behaviour(tokens=8, token_delay=0.02)) as me:
        begun = await me.create({"input": "hello", "background": True})
        ended = await me.ended(begun["id"])
        _, told = await me.asked("GET", f"responses/{begun['id']}?stream=true")
        text = "".join(each["delta"] for each in told if each["type"] == "response.output_text.delta")
        middle = told[4]["sequence_number"] if len(told) > 6 else 5
        _, rest = await me.asked("GET", f"responses/{begun['id']}?stream=true&starting_after=6")

        assert (begun["status"], begun["output"]) == ("queued", [])
        assert (ended["status"], ended["id"]) == ("completed", begun["id"])
        assert text == ended["output"][0]["content"][0]["text"]
        assert middle > 3
        assert min(each["sequence_number"] for each in rest) > 6
        cut = "".join(each["delta"] for each in rest if each["type"] == "response.output_text.delta")
        assert cut == text[6 - 3 :]
        assert (await me.asked("POST", f"responses/{begun['id']}/cancel"))[1]["status"] == "completed"


async def test_a_response_in_the_background_is_cancelled() -> None:
    async with client(Behaviour(tokens=3000, token_delay=0.05)) as me:
        begun = await me.create({"input": "hello", "background": True})
        await until(lambda: me.kernel.tgi.seen.running == 1)
        _, told = await me.asked("POST", f"responses/{begun['id']}/cancel")
        await until(lambda: me.kernel.tgi.seen.running == 0)

        assert told["status"] == "cancelled"
        assert (await me.asked("GET", f"responses/{begun['id']}"))[1]["status"] == "cancelled"
        plain = await me.create({"input": "hi", "max_output_tokens": 2})
        assert (await me.asked("POST", f"responses/{plain['id']}/cancel"))[0] == 400


async def test_a_response_in_the_background_outlives_its_gateway() -> None:
    async with client(Behaviour(tokens=40, token_delay=0.05)) as me:  # with a lease of half a minute
        begun = await me.create({"input": "hello", "background": True})
        await until(lambda: me.kernel.tgi.seen.running == 1)
        await me.kernel.stop("gateway")
        await until(lambda: me.kernel.tgi.seen.running == 0)
        await me.kernel.start_gateway()
        await me.kernel.ready()
        ended = await me.ended(begun["id"])

        assert ended["status"] == "completed"
        assert ended["usage"]["output_tokens"] == 40


async def test_who_leaves_its_stream_leaves_the_response_going_and_reads_on_later() -> None:
    async with client(Behaviour(tokens=30, token_delay=0.05)) as me:
        seen: list[dict[str, Any]] = []
        body = {"input": "hello", "background": True, "stream": True}
        async with (
            aiohttp.ClientSession(headers=TOKEN) as session,
            session.post(f"{me.kernel.door}/v1/responses", json=body) as answer,
        ):
            while len(text_of(seen)) < 10:
                line = await answer.content.readline()
                if line.startswith(b"data: "):
                    seen.append(json.loads(line[6:]))
        ident = seen[0]["response"]["id"]
        after = max(each["sequence_number"] for each in seen)
        _, rest = await me.asked("GET", f"responses/{ident}?stream=true&starting_after={after}")

        assert rest[-1]["type"] == "response.completed"
        whole = rest[-1]["response"]["output"][0]["content"][0]["text"]
        assert text_of(seen) + text_of(rest) == whole
        assert (me.kernel.tgi.seen.finished, me.kernel.tgi.seen.dropped) == (1, 0)


async def test_two_gateways_that_are_polled_generate_a_response_once() -> None:
    async with client(Behaviour(tokens=30, token_delay=0.05), lease="0.6") as me:
        other = Client(me.kernel, url=await me.kernel.start_another_gateway(door_background_lease="0.6"))
        begun = await me.create({"input": "hello", "background": True})
        polls = [(await each.asked("GET", f"responses/{begun['id']}"))[1] for each in (other, me, other)]
        followed = asyncio.create_task(other.asked("GET", f"responses/{begun['id']}?stream=true"))
        ended = await asyncio.gather(me.ended(begun["id"]), other.ended(begun["id"]))
        _, told = await followed

        assert {poll["status"] for poll in polls} <= {"queued", "in_progress"}
        assert ended[0] == ended[1]
        assert told[-1]["response"] == ended[0]
        assert text_of(told) == ended[0]["output"][0]["content"][0]["text"]
        assert len(me.kernel.tgi.seen.runs) == 1


async def test_one_gateway_takes_over_what_a_dead_one_left_once_its_lease_is_over() -> None:
    contexts = context_service(clock=SystemClock())
    behaviour = Behaviour(tokens=40, token_delay=0.05)
    async with small_kernel(behaviour, context=contexts, checkpoint_tokens="4") as kernel:
        me = Client(kernel)
        begun = await me.create({"input": "hello", "background": True})
        await until(lambda: bool(kernel.tgi.seen.runs) and kernel.tgi.seen.runs[0].sent >= 20)
        await kernel.stop("gateway")
        await until(lambda: kernel.tgi.seen.running == 0)
        # A gateway that dies gives nothing back: its lease is still there.
        name = f"resp-{begun['id'].removeprefix('resp_')}-p"

        async def dead_until(moment: float) -> None:
            label = {LABEL: f"dead {moment:.3f} {name}"}
            by = RequestIdentity("planner", "UpdateContext")
            await contexts.conversations.update(PLANNER, by, name, {"labels": label}, "")

        await dead_until(time.time() + 3600)
        runs = len(kernel.tgi.seen.runs)
        await kernel.start_gateway()
        other = Client(kernel, url=await kernel.start_another_gateway())
        await kernel.ready()
        first = [(await each.asked("GET", f"responses/{begun['id']}"))[1] for each in (me, other)]
        assert [each["status"] for each in first] == ["in_progress", "in_progress"]
        assert len(kernel.tgi.seen.runs) == runs
        await dead_until(time.time())
        ended = await asyncio.gather(me.ended(begun["id"]), other.ended(begun["id"]))

        assert ended[0] == ended[1]
        assert ended[0]["usage"]["output_tokens"] == 40
        assert len(kernel.tgi.seen.runs) == runs + 1
        assert kernel.tgi.seen.runs[-1].first >= 8, "it goes on from a checkpoint"


async def test_cancelling_at_one_gateway_ends_what_another_one_runs() -> None:
    async with client(Behaviour(tokens=3000, token_delay=0.05), lease="0.6") as me:
        other = Client(me.kernel, url=await me.kernel.start_another_gateway(door_background_lease="0.6"))
        begun = await me.create({"input": "hello", "background": True})
        await until(lambda: me.kernel.tgi.seen.running == 1)
        _, told = await other.asked("POST", f"responses/{begun['id']}/cancel")
        await until(lambda: me.kernel.tgi.seen.running == 0)

        assert told["status"] == "cancelled"
        assert (await me.ended(begun["id"]))["status"] == "cancelled"


async def test_a_killed_agents_responses_end(tmp_path: Path) -> None:
    agents = (await asyncio.to_thread(desk, MemoryStore(), tmp_path)).manager.agents
    await register(agents, "planner")
    behaviour = Behaviour(tokens=3000, token_delay=0.05)
    async with small_kernel(behaviour, access=agents, context=context_service(clock=SystemClock())) as kernel:
        await Client(kernel).create({"input": "hello", "background": True})
        await until(lambda: kernel.tgi.seen.running == 1)
        await agents.kill(ADMIN, "planner", "enough")
        await until(lambda: kernel.tgi.seen.running == 0)


async def test_an_agent_has_a_bounded_number_in_the_background_and_must_store_them() -> None:
    contexts = context_service(clock=SystemClock())
    behaviour = Behaviour(tokens=3000, token_delay=0.05)
    async with small_kernel(behaviour, context=contexts, door_background_per_agent="1") as kernel:
        me = Client(kernel)
        begun = await me.create({"input": "hello", "background": True})
        status, told = await me.asked("POST", "responses", {"input": "more", "background": True})
        assert (status, told["error"]["code"]) == (429, "rate_limit_exceeded")
        await Client(kernel, "other").create({"input": "hello", "background": True})
        assert (await me.asked("DELETE", f"responses/{begun['id']}"))[0] == 204
        await me.create({"input": "more", "background": True})
        status, told = await me.asked("POST", "responses", {"input": "x", "background": True, "store": False})
        assert (status, told["error"]["param"]) == (400, "background")
