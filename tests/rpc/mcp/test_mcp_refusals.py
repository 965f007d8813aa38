"""What the MCP door refuses: strangers, floods, nonsense; and what ends when a credential does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from mcp.shared.exceptions import MCPError

import aios
from aios.errors import CredentialExpired
from gateway.http.config import DoorConfig
from tests.fakes.mcp_door import BEFORE, CURRENT, McpWorld, current, mcp_world, succeeded
from tests.fakes.waiting import until

both = pytest.mark.parametrize("mode", [CURRENT, BEFORE])

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "1"},
    },
}


@aios.tool
async def echo(text: str = "") -> str:
    """Say what it hears."""
    return text


@pytest.fixture
async def door() -> AsyncIterator[McpWorld]:
    async with mcp_world() as door:
        door.kernel.add_tool(echo)
        yield door


async def open_session(door: McpWorld, key: str) -> str:
    """Open a session of the older revision by hand and return its id."""
    async with door.post(key, INITIALIZE) as answer:
        await answer.read()
        assert answer.status == 200, await answer.text()
        return str(answer.headers["mcp-session-id"])


async def over(answer: aiohttp.ClientResponse) -> None:
    """Wait for the end of a stream, cut or told."""
    with contextlib.suppress(aiohttp.ClientError):
        async with asyncio.timeout(10):
            await answer.content.read()


async def test_without_a_key_nothing_is_answered_but_where_keys_come_from(door: McpWorld) -> None:
    body, headers = current("tools/list")
    async with door.post(None, body, **headers) as answer:
        assert answer.status == 401
        challenge = answer.headers["www-authenticate"]
        assert (await answer.json())["error"]["data"]["aios"]["reason"] == "CREDENTIAL_MISSING"
    where = challenge.partition('resource_metadata="')[2].rstrip('"')
    async with door.http.get(where) as answer:
        told = await answer.json()

    assert told["resource"] == door.url
    assert told["bearer_methods_supported"] == ["header"]
    assert "error=" not in challenge


async def test_a_wrong_key_is_told_to_be_wrong(door: McpWorld) -> None:
    async with door.post("nonsense", INITIALIZE) as answer:
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@both
async def test_another_agents_files_and_notes_are_not_to_be_seen(door: McpWorld, mode: str) -> None:
    mine, other = await door.key("a"), await door.key("b")
    async with door.as_agent(other) as kernel:
        await kernel.files.write("secret.txt", "b's")
        await kernel.memory.put("secret", "b's")
    async with door.client(mine, mode) as client:
        listed = (await client.list_resources()).resources
        for uri in (
            "aios://files/secret.txt",
            "aios://notes/secret",
            "aios://files/../../b/files/secret.txt",
            "aios://agents/b/files/secret.txt",
            "aios://files/%2e%2e/%2e%2e/b/files/secret.txt",
        ):
            with pytest.raises(MCPError):
                await client.read_resource(uri)
        read = await client.call_tool("_aios_read_file", {"path": "../../b/files/secret.txt"})

    assert listed == []
    assert read.is_error


async def test_each_caller_has_a_tool_list_of_its_own(door: McpWorld) -> None:
    mine, other = await door.key("a"), await door.key("b")
    original = door.tools.listing

    async def visible(request: Any, caller: Any) -> Any:
        page = await original(request, caller)
        kept = [tool for tool in page.tools if tool.name != "tools/echo" or caller.agent == "a"]
        return type(page)(tools=kept)

    door.tools.listing = visible
    async with door.client(mine) as client:
        seen = {tool.name for tool in (await client.list_tools()).tools}
    async with door.client(other) as client:
        other_seen = {tool.name for tool in (await client.list_tools()).tools}

    assert "echo" in seen
    assert "echo" not in other_seen


async def test_a_session_is_of_no_use_to_another_credential(door: McpWorld) -> None:
    session = await open_session(door, await door.key("a"))
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    headers = {"mcp_session_id": session, "mcp_protocol_version": "2025-11-25"}
    async with door.post(await door.key("b"), listing, **headers) as answer:
        assert answer.status == 404
    async with door.http.delete(
        door.url, headers={"authorization": f"Bearer {await door.key('c')}", "mcp-session-id": session}
    ) as answer:
        assert answer.status == 404
    assert door.mcp.sessions.open == 1


async def test_the_sessions_of_one_agent_are_bounded_and_leave_room_for_others() -> None:
    async with mcp_world(sessions_per_agent=3) as door:
        key = await door.key("a")
        first, *_ = [await open_session(door, key) for _ in range(3)]
        async with door.post(key, INITIALIZE) as answer:
            assert answer.status == 429
            assert "retry-after" in answer.headers
            assert (await answer.json())["error"]["data"]["aios"]["reason"] == "TOO_MANY_CALLS"
        await open_session(door, await door.key("b"))
        async with door.http.delete(
            door.url, headers={"authorization": f"Bearer {key}", "mcp-session-id": first}
        ) as answer:
            assert answer.status == 200
        await open_session(door, key)


async def test_what_opens_no_session_holds_no_place() -> None:
    async with mcp_world(sessions_per_agent=2) as door:
        key = await door.key("a")
        for _ in range(5):
            async with door.post(key, {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}) as answer:
                assert answer.status == 400
        await open_session(door, key)


async def test_a_session_that_broke_holds_no_place(door: McpWorld) -> None:
    key = await door.key("a")
    session = await open_session(door, key)
    transport = door.mcp._manager._server_instances[session]
    await transport.terminate()
    await until(lambda: session not in door.mcp._manager._server_instances)
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    async with door.post(key, listing, mcp_session_id=session) as answer:
        assert answer.status == 404

    assert door.mcp.sessions.open == 0


async def test_an_idle_session_ends() -> None:
    async with mcp_world(session_idle_seconds=timedelta(seconds=0.1)) as door:
        await open_session(door, await door.key("a"))
        await until(lambda: door.mcp.sessions.open == 0)


async def test_the_requests_of_one_agent_at_once_are_bounded() -> None:
    async with mcp_world(requests_per_agent=2) as door:
        key = await door.key("a")
        body, headers = current("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        async with door.post(key, body, **headers), door.post(key, body, **headers):
            listing, named = current("tools/list")
            async with door.post(key, listing, **named) as answer:
                assert answer.status == 429
            async with door.post(await door.key("b"), listing, **named) as answer:
                assert answer.status == 200


async def test_a_revoked_key_ends_streams_of_the_current_revision(door: McpWorld) -> None:
    key = await door.key("a")
    body, headers = current(
        "subscriptions/listen",
        {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["aios://files/a.txt"]}},
    )
    async with door.post(key, body, **headers) as answer:
        assert b"acknowledged" in await answer.content.readline() + await answer.content.readline()
        await until(lambda: door.files.watching == 1)
        door.revoke(key)
        await over(answer)
    await until(lambda: door.files.watching == 0)


async def test_a_revoked_key_ends_its_sessions_and_their_streams(door: McpWorld) -> None:
    key = await door.key("a")
    session = await open_session(door, key)
    headers = {
        "authorization": f"Bearer {key}",
        "mcp-session-id": session,
        "mcp-protocol-version": "2025-11-25",
        "accept": "text/event-stream",
    }
    async with door.http.get(door.url, headers=headers) as answer:
        assert answer.status == 200
        door.revoke(key)
        await over(answer)
    await until(lambda: door.mcp.sessions.open == 0)
    async with door.http.get(door.url, headers=headers) as answer:
        assert answer.status == 401


async def test_a_revoked_key_opens_no_session_although_it_was_good_a_moment_ago() -> None:
    async with mcp_world(check_seconds=timedelta(hours=1)) as door:
        key = await door.key("a")
        await open_session(door, key)
        door.revoke(key)
        async with door.post(key, INITIALIZE) as answer:
            assert answer.status == 401


@pytest.mark.parametrize("method", ["ListTools", "CallTool"])
async def test_a_call_whose_token_is_refused_is_made_once_more_with_a_fresh_one(
    door: McpWorld, method: str
) -> None:
    async with door.client(await door.key("a")) as client:
        await client.list_tools()
        door.kernel.fail_next(method, CredentialExpired("the token has expired"))
        tools = {tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools}
        result = await client.call_tool("echo", {"text": "x"})

    assert "echo" in tools
    assert not result.is_error


async def test_a_key_that_still_works_keeps_its_sessions(door: McpWorld) -> None:
    key, other = await door.key("a"), await door.key("b")
    await open_session(door, key)
    await open_session(door, other)
    door.revoke(other)
    await until(lambda: door.mcp.sessions.open == 1)
    await door.mcp.sessions.sweep()
    assert door.mcp.sessions.open == 1


@pytest.mark.parametrize("revision", [CURRENT, "2025-11-25"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":7}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud83d"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"\\u0000"}',
        b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}',
    ],
)
async def test_nonsense_is_refused_and_never_a_failure_of_the_door(
    door: McpWorld, revision: str, body: bytes
) -> None:
    key = await door.key("a")
    async with door.post(key, body, mcp_protocol_version=revision) as answer:
        text = await answer.text()

    assert 400 <= answer.status < 500, text
    assert "Traceback" not in text


ARGUMENTS = [
    {"text": "\ud83d"},
    {"text": float("nan")},
    {"text": 10**400},
    {"a": json.loads("[" * 200 + "]" * 200)},
    {"text": "x" * 400_000},
]


@pytest.mark.parametrize("tool", ["echo", "_aios_put_note", "_aios_write_file"])
@pytest.mark.parametrize("arguments", ARGUMENTS)
async def test_odd_arguments_end_with_a_reason(door: McpWorld, tool: str, arguments: dict[str, Any]) -> None:
    given = {"key": arguments.get("text"), "path": "x", "content": arguments.get("text"), **arguments}
    body, headers = current("tools/call", {"name": tool, "arguments": given}, mcp_name=tool)
    data = json.dumps(body).encode()
    async with door.post(await door.key("a"), data, **headers) as answer:
        text = await answer.text()

    assert answer.status < 500, text
    said = json.loads(text)
    assert "error" in said or said["result"]["isError"] or tool == "echo"


@pytest.mark.parametrize("filler", ["[],", '"",', "1,", '{"a":1},'])
async def test_a_body_of_too_many_values_is_refused_unparsed(door: McpWorld, filler: str) -> None:
    _, headers = current("tools/call", mcp_name="echo")
    body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":['
    text = body + filler * (1_500_000 // len(filler)) + "1]}}}"
    async with door.post(await door.key("a"), text.encode(), **headers) as answer:
        assert answer.status == 413
        assert "values" in (await answer.json())["error"]["message"]


async def test_bodies_count_for_the_memory_of_all_doors_and_no_longer_than_they_are_held() -> None:
    async with mcp_world(config=DoorConfig(bodies_bytes=1000)) as door:
        key = await door.key("a")
        async with door.post(key, b" " * 2000) as answer:
            assert answer.status == 429
        for _ in range(10):
            await open_session(door, key)


async def test_a_body_that_is_too_large_is_refused_before_it_is_read_whole(door: McpWorld) -> None:
    key = await door.key("a")
    async with door.post(key, b" " * (3 * 2**20)) as answer:
        assert answer.status == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 2**20

    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    headers["accept"] = "application/json, text/event-stream"
    try:
        async with door.http.post(door.url, data=endless(), headers=headers) as answer:
            assert answer.status == 413
    except aiohttp.ClientConnectionError:
        pass  # the door hung up in the middle of it


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://[", "http://localhost.evil.example"]
)
async def test_pages_of_strangers_may_not_call(door: McpWorld, origin: str) -> None:
    async with door.post(await door.key("a"), INITIALIZE, origin=origin) as answer:
        assert answer.status == 403


async def test_pages_on_this_machine_and_those_named_may() -> None:
    async with mcp_world(allowed_origins=("https://console.example",)) as door:
        key = await door.key("a")
        for origin in ("http://localhost:3000", "http://127.0.0.1", "https://console.example"):
            async with door.post(key, INITIALIZE, origin=origin) as answer:
                assert answer.status == 200


@both
@pytest.mark.parametrize("cursor", ["nonsense", "files", "secrets:1", "\x00"])
async def test_a_cursor_of_ones_own_making_is_refused(door: McpWorld, mode: str, cursor: str) -> None:
    async with door.client(await door.key("a"), mode) as client:
        with pytest.raises(MCPError):
            await client.list_resources(cursor=cursor)
        with pytest.raises(MCPError):
            await client.list_resource_templates(cursor=cursor)


async def test_a_gateway_that_drains_ends_streams_and_takes_nothing_new(door: McpWorld) -> None:
    key = await door.key("a")
    body, headers = current("subscriptions/listen", {"notifications": {"resourcesListChanged": True}})
    async with door.post(key, body, **headers) as answer:
        await until(lambda: door.files.watching == 1)
        await door.door.drain()
        await over(answer)
    await until(lambda: door.files.watching == 0)
    listing, named = current("tools/list")
    async with door.post(key, listing, **named) as answer:
        assert answer.status == 503


async def test_calls_under_way_outlast_the_tokens_they_began_with(door: McpWorld) -> None:
    async with door.client(await door.key("a")) as client, door.client(await door.key("b"), BEFORE) as older:
        for one in (client, older):
            assert not (await one.call_tool("echo", {"text": "x"})).is_error
        door.kernel.expire_tokens()
        for one in (client, older):
            result = await one.call_tool("echo", {"text": "again"})
            assert result.content[0].text == "again"
            assert (await one.list_resources()).resources == []


async def test_a_body_that_dribbles_in_is_cut_off() -> None:
    config = DoorConfig(read_seconds=timedelta(seconds=0.3))

    async def dribble() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    async with mcp_world(config=config) as door:
        headers = {"authorization": f"Bearer {await door.key('a')}", "content-type": "application/json"}
        headers["accept"] = "application/json, text/event-stream"
        with contextlib.suppress(aiohttp.ClientError):  # cut off, or told
            async with (
                asyncio.timeout(20),
                door.http.post(door.url, data=dribble(), headers=headers) as answer,
            ):
                assert answer.status >= 400
        await until(lambda: door.mcp.sessions.requests == 0)


async def test_headers_that_say_other_arguments_than_the_body_are_refused(door: McpWorld) -> None:
    schema = {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    }

    async def done(_request: Any) -> AsyncIterator[Any]:
        yield succeeded(value_json='"ok"')

    door.tools.script("route", done, parameters_schema_json=json.dumps(schema))
    body, headers = current("tools/call", {"name": "route", "arguments": {"region": "eu"}}, mcp_name="route")
    key = await door.key("a")
    async with door.post(key, body, **headers, mcp_param_region="us") as answer:
        assert answer.status == 400
    async with door.post(key, body, **headers, mcp_param_region="eu") as answer:
        assert (await answer.json())["result"]["content"][0]["text"] == "ok"


async def test_a_body_that_cannot_be_unpacked_is_refused_and_no_defect(door: McpWorld) -> None:
    async with door.post(await door.key("a"), INITIALIZE, content_encoding="gzip") as answer:
        told = await answer.json()

    assert (answer.status, told["error"]["data"]["aios"]["reason"]) == (400, "MALFORMED_REQUEST")
