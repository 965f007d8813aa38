"""Stored responses over HTTP, kept in a real context manager: found, followed, branched, forgotten."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from services.chassis.runtime.clock import SystemClock
from tests.fakes.context import context_service
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import SmallKernel, small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS
from tests.rpc.gateway.test_responses_door import events

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Client:
    """An agent at a kernel's door."""

    kernel: SmallKernel
    agent: str = "planner"
    url: str = ""
    """Of another door than the kernel's first."""

    @property
    def headers(self) -> dict[str, str]:
        """What its requests bear."""
        return {"authorization": f"Bearer {ISSUER_FOR_TESTS.token(self.agent)}"}

    async def asked(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request; return status and JSON body, events, or None."""
        async with (
            aiohttp.ClientSession(headers={**self.headers, **headers}) as client,
            client.request(method, f"{self.url or self.kernel.door}/v1/{path}", json=body) as answer,
        ):
            text = await answer.text()
            if answer.content_type == "application/json":
                return answer.status, json.loads(text)
            return answer.status, events(text) if text else None

    async def create(self, body: Any, **headers: str) -> Any:
        """Create a response that must come."""
        status, made = await self.asked("POST", "responses", body, **headers)
        assert status == 200, made
        return made

    async def ended(self, ident: str) -> Any:
        """Poll a response until it has ended."""
        async with asyncio.timeout(20):
            while True:
                _, told = await self.asked("GET", f"responses/{ident}")
                if told["status"] not in {"queued", "in_progress"}:
                    return told
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kernel() -> AsyncIterator[SmallKernel]:
    """One kernel for all tests that can do with it."""
    behaviour = Behaviour(tokens=4, token_delay=0.01, window=2048)
    async with small_kernel(behaviour, context=context_service(clock=SystemClock())) as made:
        yield made


@pytest.fixture
def me(kernel: SmallKernel, request: pytest.FixtureRequest) -> Client:
    """Return an agent of the test's own."""
    return Client(kernel, request.node.name.replace("_", "-")[:60])


def said(kernel: SmallKernel) -> str:
    """Return the last prompt that reached the model."""
    return str(kernel.tgi.seen.bodies[-1])


async def test_a_stored_response_is_found_followed_branched_and_forgotten(me: Client) -> None:
    first = await me.create({"input": "first words", "instructions": "be brief", "metadata": {"a": "b"}})
    _, found = await me.asked("GET", f"responses/{first['id']}")
    assert (first["store"], found) == (True, first)
    _, items = await me.asked("GET", f"responses/{first['id']}/input_items")
    assert [item["content"][0]["text"] for item in items["data"]] == ["first words"], items

    left = await me.create({"input": "left words", "previous_response_id": first["id"]})
    prompt = said(me.kernel)
    assert "first words" in prompt
    assert "left words" in prompt
    assert "be brief" not in prompt
    await me.create({"input": "right words", "previous_response_id": first["id"]})
    assert "first words" in said(me.kernel)
    assert "left words" not in said(me.kernel)

    assert await me.asked("DELETE", f"responses/{first['id']}") == (204, None)
    assert (await me.asked("GET", f"responses/{first['id']}"))[0] == 404
    assert (await me.asked("DELETE", f"responses/{first['id']}"))[0] == 404
    await me.create({"input": "on", "previous_response_id": left["id"]})
    assert "first words" in said(me.kernel)
    status, told = await me.asked("POST", "responses", {"input": "x", "previous_response_id": first["id"]})
    assert (status, told["error"]["code"]) == (400, "previous_response_not_found")


async def test_another_agents_responses_are_not_there_whatever_they_are(me: Client) -> None:
    mine = await me.create({"input": "mine"})
    going = await me.create({"input": "mine", "background": True})
    other = Client(me.kernel, "stranger")
    for ident in (mine["id"], going["id"], "resp_" + "0" * 32, "resp_nonsense", "..%2Fother"):
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
            status, told = await other.asked(method, f"responses/{ident}{path}")
            assert (status, told["error"]["code"]) == (404, "not_found"), (ident, method, path)
    status, _ = await other.asked("POST", "responses", {"input": "x", "previous_response_id": mine["id"]})
    assert status == 400
    await me.ended(going["id"])


async def test_the_same_request_under_one_key_is_one_response(me: Client) -> None:
    key, finished = {"idempotency-key": "one"}, me.kernel.tgi.seen.finished
    twins = await asyncio.gather(*(me.create({"input": "hello"}, **key) for _ in range(2)))
    await me.kernel.stop("gateway")  # which kept the generation for a while
    await me.kernel.start_gateway()
    await me.kernel.ready()
    later = await me.create({"input": "hello"}, **key)
    status, told = await me.asked("POST", "responses", {"input": "other"}, **key)

    assert twins[0]["id"] == twins[1]["id"] == later["id"]
    assert later["output"] == twins[0]["output"]
    assert (status, told["error"]["code"]) == (409, "idempotency_mismatch")
    assert me.kernel.tgi.seen.finished == finished + 1


async def test_a_stream_that_is_sent_again_under_its_key_is_told_from_what_was_kept(me: Client) -> None:
    key, body = {"idempotency-key": "stream"}, {"input": "hello", "stream": True}
    first, again = [await me.create(body, **key) for _ in range(2)]

    assert again[-1]["response"] == first[-1]["response"]
    assert {each["type"] for each in again} == {each["type"] for each in first}


async def test_a_key_that_began_a_conversation_begins_no_other_one(me: Client) -> None:
    body = {"items": [{"role": "user", "content": "first"}], "metadata": {"topic": "trip"}}
    once = {"Idempotency-Key": "begin"}
    _, made = await me.asked("POST", "conversations", body, **once)
    await me.asked("POST", f"conversations/{made['id']}", {"metadata": {"topic": "home"}})
    _, again = await me.asked("POST", "conversations", body, **once)
    status, told = await me.asked("POST", "conversations", {**body, "metadata": {}}, **once)

    assert again == {**made, "metadata": {"topic": "home"}}
    assert (status, told["error"]["code"]) == (409, "idempotency_mismatch")
    _, items = await me.asked("GET", f"conversations/{made['id']}/items")
    assert len(items["data"]) == 1


async def test_more_items_than_one_change_takes_are_refused_and_nothing_is_left_behind(me: Client) -> None:
    items = [{"role": "user", "content": "x"}] * 1001
    _, made = await me.asked("POST", "conversations", {})
    for path, body in (
        ("conversations", {"items": items}),
        (f"conversations/{made['id']}/items", {"items": items}),
        ("responses", {"input": items[1:], "conversation": made["id"]}),
    ):
        runs = len(me.kernel.tgi.seen.runs)
        status, told = await me.asked("POST", path, body, **{"Idempotency-Key": "many"})
        assert (status, told["error"]["param"]) == (400, "input" if path == "responses" else "items")
        assert len(me.kernel.tgi.seen.runs) == runs
    few = {"items": items[:1]}
    assert (await me.asked("POST", "conversations", few, **{"Idempotency-Key": "many"}))[0] == 200


async def test_a_conversation_has_an_id_of_its_own_and_grows(me: Client) -> None:
    first = {"type": "message", "role": "user", "content": "first words"}
    _, made = await me.asked("POST", "conversations", {"items": [first], "metadata": {"topic": "trip"}})
    path = f"conversations/{made['id']}"
    answer = await me.create({"input": "second words", "conversation": made["id"]})
    assert "first words" in said(me.kernel)
    assert answer["conversation"] == {"id": made["id"]}
    await me.create({"input": "third words", "conversation": {"id": made["id"]}, "store": False})
    assert "second words" in said(me.kernel)

    _, told = await me.asked("GET", f"{path}/items?order=asc&limit=2")
    _, rest = await me.asked("GET", f"{path}/items?order=asc&limit=10&after={told['last_id']}")
    _, back = await me.asked("GET", f"{path}/items?limit=1")
    assert [item["role"] for item in told["data"]] == ["user", "user"]
    assert (told["has_more"], rest["has_more"], back["has_more"]) == (True, False, True)
    assert [item["role"] for item in rest["data"]] == ["assistant", "user", "assistant"]
    assert back["data"] == rest["data"][-1:]
    assert await me.asked("GET", f"{path}/items/{told['last_id']}") == (200, told["data"][-1])
    assert (await me.asked("DELETE", f"{path}/items/{told['last_id']}"))[0] == 400
    _, added = await me.asked("POST", f"{path}/items", {"items": [first]})
    assert added["data"][0]["content"][0]["text"] == "first words"

    _, changed = await me.asked("POST", path, {"metadata": {"topic": "home"}})
    assert changed["metadata"] == {"topic": "home"}
    other = Client(me.kernel, "stranger")
    for method, where in (("GET", path), ("DELETE", path), ("GET", f"{path}/items"), ("POST", path)):
        assert (await other.asked(method, where, {} if method == "POST" else None))[0] == 404
    assert (await other.asked("POST", "responses", {"input": "x", "conversation": made["id"]}))[0] == 404
    assert (await me.asked("DELETE", path))[1]["deleted"] is True
    assert (await me.asked("GET", path))[0] == 404
    assert (await me.asked("GET", f"responses/{answer['id']}"))[0] == 200


async def test_an_input_is_counted_made_short_and_made_to_fit(me: Client) -> None:
    long = [{"role": "user", "content": f"fact {number} " + "word " * 60} for number in range(40)]
    _, short = await me.asked("POST", "responses/input_tokens", {"input": "hello"})
    _, counted = await me.asked("POST", "responses/input_tokens", {"input": long[:10]})
    assert counted["input_tokens"] > 100 > short["input_tokens"] > 0

    status, refused = await me.asked("POST", "responses", {"input": long})
    assert (status, refused["error"]["code"]) == (400, "context_length_exceeded")
    await me.create({"input": long, "truncation": "auto", "stream": True})
    assert "fact 39" in said(me.kernel)
    assert "fact 0 " not in said(me.kernel)

    _, compact = await me.asked("POST", "responses/compact", {"input": long[:20]})
    [item] = compact["output"]
    await me.create({"input": [item, {"role": "user", "content": "and now?"}]})
    assert "fact 19" in said(me.kernel)
    assert "and now?" in said(me.kernel)
    assert "fact 0 " not in said(me.kernel)


async def test_items_are_referred_to_by_their_ids_and_calls_are_answered(me: Client) -> None:
    first = await me.create({"input": "first words"})
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    await me.create({"input": [{"id": reference["id"]}, {"role": "user", "content": "on"}]})
    await me.create({"input": [reference, {"role": "user", "content": "on"}]})
    assert first["output"][0]["content"][0]["text"].strip() in said(me.kernel)
    unknown = {"type": "item_reference", "id": "msg_unknown"}
    assert (await me.asked("POST", "responses", {"input": [unknown]}))[0] == 404
