"""Calls that take several rounds: what a client carries in between, and who may come back with it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from aios.errors import PreconditionFailed
from tests.fakes.mcp_door import SETTINGS, McpWorld, current, mcp_world


@pytest.fixture
async def door() -> AsyncIterator[McpWorld]:
    async with mcp_world() as door:
        yield door


async def in_rounds(
    door: McpWorld, key: str, state: str, *, url: str = "", tool: str = "wipe", asks: Any = None
) -> tuple[dict[str, Any], str]:
    """Send a call that needs an approval, or its next round. Returns the answer and the state it carries."""
    params: dict[str, Any] = {"name": tool, "arguments": {}}
    if state:
        answer = {"action": "accept", "content": {"try_again": True}}
        params |= {"requestState": state, "inputResponses": {"approval": answer}}
    body, headers = current("tools/call", params, mcp_name=tool)
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": asks or {}}
    async with door.post(key, body, url=url, **headers) as answered:
        said = await answered.json()
    return said, said.get("result", {}).get("requestState", "")


async def wait_for_approval(request: Any) -> AsyncIterator[Any]:
    raise PreconditionFailed(
        f"{request.approval or 'approvals/1'} must be approved first",
        reason="APPROVAL_REQUIRED",
        metadata={"approval": "approvals/1"},
    )
    yield


@pytest.mark.parametrize(
    ("asks", "asked"),
    [({}, True), ({"form": {}}, True), ({"url": {}}, False), ({"url": {}, "form": {}}, True)],
)
async def test_only_a_client_that_shows_forms_is_asked(door: McpWorld, asks: Any, asked: bool) -> None:  # noqa: FBT001
    door.tools.script("wipe", wait_for_approval)
    said, state = await in_rounds(door, await door.key("a"), "", asks=asks)

    assert bool(state) is asked
    assert said["result"].get("isError", False) is not asked


async def test_a_round_may_come_to_another_gateway_with_the_same_key() -> None:
    keys = ("one key that all gateways share, really",)
    async with mcp_world(state_keys=keys) as door, door.listener(replace(SETTINGS, state_keys=keys)) as other:
        door.tools.script("wipe", wait_for_approval)
        key = await door.key("a")
        _, state = await in_rounds(door, key, "")
        said, again = await in_rounds(door, key, state, url=f"{other[0]}/mcp")

    assert said["result"]["resultType"] == "input_required"
    assert again


async def test_a_round_that_another_key_sealed_is_refused_and_so_is_another_agents() -> None:
    async with mcp_world() as door, door.listener(SETTINGS) as other:
        door.tools.script("wipe", wait_for_approval)
        door.tools.script("burn", wait_for_approval)
        key, stranger = await door.key("a"), await door.key("b")
        _, state = await in_rounds(door, key, "")
        elsewhere, _ = await in_rounds(door, key, state, url=f"{other[0]}/mcp")
        stolen, _ = await in_rounds(door, stranger, state)
        turned, _ = await in_rounds(door, key, state, tool="burn")

    assert {said["error"]["data"]["reason"] for said in (elsewhere, stolen, turned)} == {
        "invalid_request_state"
    }


async def test_sealed_state_of_ones_own_making_is_refused(door: McpWorld) -> None:
    body, headers = current(
        "tools/call",
        {"name": "echo", "arguments": {}, "requestState": '{"call": "x", "approval": "approvals/1"}'},
        mcp_name="echo",
    )
    async with door.post(await door.key("a"), body, **headers) as answer:
        said = await answer.json()

    assert said["error"]["data"] == {"reason": "invalid_request_state"}
