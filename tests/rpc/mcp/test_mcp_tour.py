"""A stock MCP client walks through the door, in the current revision and the one before."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import mcp_types as types
import pytest
from mcp.client.subscriptions import ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPError

import aios
from aios.api.tool.v1 import resources_pb2, tool_pb2
from aios.errors import InvalidRequest, PermissionDenied, PreconditionFailed, ResourceExhausted
from tests.fakes.mcp_door import BEFORE, CURRENT, McpWorld, mcp_world, succeeded
from tests.fakes.waiting import until

both = pytest.mark.parametrize("mode", [CURRENT, BEFORE])


@aios.tool
async def add(a: int, b: int) -> dict[str, int]:
    """Add two numbers."""
    return {"sum": a + b}


@aios.tool
async def fail() -> str:
    """Fail."""
    raise RuntimeError("the disk is on fire")


@pytest.fixture
async def door() -> AsyncIterator[McpWorld]:
    async with mcp_world() as door:
        door.kernel.add_tool(add)
        door.kernel.add_tool(fail)
        yield door


@both
async def test_tools_are_listed_with_their_schemas_and_called(door: McpWorld, mode: str) -> None:
    async with door.client(await door.key("a"), mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await client.call_tool("add", {"a": 2, "b": 3})

    assert tools["add"].input_schema["properties"]["a"] == {"type": "integer"}
    assert tools["add"].meta is not None
    assert tools["add"].meta["aios"]["effect"] == "pure"
    assert "_aios_put_note" in tools
    assert json.loads(result.content[0].text) == {"sum": 5}
    assert result.structured_content == {"sum": 5}


@both
async def test_an_error_of_the_tool_is_a_result_that_says_so(door: McpWorld, mode: str) -> None:
    async with door.client(await door.key("a"), mode) as client:
        result = await client.call_tool("fail", {})

    assert result.is_error
    assert result.content[0].text == "the disk is on fire"
    assert result.meta["aios"]["reason"] == "TOOL_FAILED"


@both
@pytest.mark.parametrize(
    "error",
    [
        PermissionDenied("no policy permits it", reason="PERMISSION_DENIED"),
        ResourceExhausted("8 calls run", reason="TOOL_BUSY", retry_after=1.5),
    ],
)
async def test_what_the_kernel_refuses_is_a_result_too_with_its_reason(
    door: McpWorld, mode: str, error: aios.errors.AiosError
) -> None:
    async with door.client(await door.key("a"), mode) as client:
        door.kernel.fail_next("CallTool", error)
        refused = await client.call_tool("add", {"a": 2, "b": 3})
        missing = await client.call_tool("nothing", {})

    assert refused.is_error
    assert refused.content[0].text == f"{error.reason}: {error.message}"
    assert refused.meta["aios"]["reason"] == error.reason
    assert missing.is_error
    assert missing.meta["aios"]["reason"] == "TOOL_NOT_FOUND"


@both
async def test_a_name_that_no_tool_can_have_is_a_malformed_request(door: McpWorld, mode: str) -> None:
    async with door.client(await door.key("a"), mode) as client:
        door.kernel.fail_next("CallTool", InvalidRequest("tool: no name"), after=0)
        with pytest.raises(MCPError) as caught:
            await client.call_tool("a/b", {})

    assert caught.value.code == types.INVALID_PARAMS


async def progressing(_request: tool_pb2.CallToolRequest) -> AsyncIterator[tool_pb2.CallToolResponse]:
    for value in (1, 5, 2, 9):  # 2: another attempt began anew
        event = tool_pb2.CallProgress(progress=value, total=10, message=f"at {value}")
        yield tool_pb2.CallToolResponse(sequence=value, progress=event)
    yield succeeded(value_json='"done"')


@both
async def test_progress_is_told_as_long_as_it_grows(door: McpWorld, mode: str) -> None:
    door.tools.script("slow", progressing)
    told: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with door.client(await door.key("a"), mode) as client:
        result = await client.call_tool("slow", {}, progress_callback=note)
        await until(lambda: len(told) == 3)

    assert told == [(1, 10, "at 1"), (5, 10, "at 5"), (9, 10, "at 9")]
    assert result.content[0].text == "done"


@both
async def test_cancelling_reaches_the_tool(door: McpWorld, mode: str) -> None:
    running, stopped = asyncio.Event(), asyncio.Event()

    async def hanging(_request: tool_pb2.CallToolRequest) -> AsyncIterator[tool_pb2.CallToolResponse]:
        try:
            running.set()
            await asyncio.Event().wait()
            yield succeeded()
        finally:
            stopped.set()

    door.tools.script("hang", hanging)
    async with door.client(await door.key("a"), mode) as client:
        call = asyncio.create_task(client.call_tool("hang", {}))
        await running.wait()
        call.cancel()
        await asyncio.wait({call})
        async with asyncio.timeout(10):
            await stopped.wait()


@both
async def test_pieces_of_a_result_keep_their_kind_and_untrusted_text_is_marked(
    door: McpWorld, mode: str
) -> None:
    pieces = [
        resources_pb2.Content(text="plain"),
        resources_pb2.Content(data=b"\x89PNG", media_type="image/png"),
        resources_pb2.Content(data=b"RIFF", media_type="audio/wav"),
        resources_pb2.Content(data=b"%PDF", media_type="application/pdf"),
        resources_pb2.Content(text="<p>", media_type="text/html"),
        resources_pb2.Content(uri="https://example.com/x", media_type="text/html"),
    ]

    async def mixed(_request: tool_pb2.CallToolRequest) -> AsyncIterator[tool_pb2.CallToolResponse]:
        yield succeeded(value_json="null", content=pieces, untrusted=True)

    door.tools.script("mixed", mixed, returns_untrusted=True)
    async with door.client(await door.key("a"), mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await client.call_tool("mixed", {})

    kinds = [piece.type for piece in result.content]
    assert kinds == ["text", "image", "audio", "resource", "resource", "resource_link"]
    assert result.meta["aios"]["untrusted"] is True
    assert tools["mixed"].annotations.open_world_hint is True
    assert tools["mixed"].meta["aios"]["returnsUntrusted"] is True


def until_approved(approved: asyncio.Event, seen: list[tool_pb2.CallToolRequest]) -> Any:
    async def risky(request: tool_pb2.CallToolRequest) -> AsyncIterator[tool_pb2.CallToolResponse]:
        seen.append(request)
        if not approved.is_set():
            raise PreconditionFailed(
                "approvals/51c0 must be approved first",
                reason="APPROVAL_REQUIRED",
                metadata={"approval": "approvals/51c0"},
            )
        yield succeeded(value_json='"wiped"')

    return risky


async def test_a_call_that_needs_approval_asks_to_be_tried_again_and_runs_once_a_person_decided(
    door: McpWorld,
) -> None:
    approved, seen, asked = asyncio.Event(), list[tool_pb2.CallToolRequest](), list[str]()
    door.tools.script("wipe", until_approved(approved, seen))

    async def answer(_context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        if len(asked) == 2:
            approved.set()  # the person, in the kernel
        return types.ElicitResult(action="accept", content={"try_again": True})

    async with door.client(await door.key("a"), elicitation_callback=answer) as client:
        result = await client.call_tool("wipe", {"disk": 1})

    assert result.content[0].text == "wiped"
    assert "approvals/51c0" in asked[0]
    assert len(asked) == 2, "the first answer alone approved nothing"
    assert len({request.request_id for request in seen}) == 1
    assert seen[0].request_id, "the rounds are one call"
    assert [request.approval for request in seen] == ["", "approvals/51c0", "approvals/51c0"]


async def test_who_declines_to_try_again_is_told_that_nothing_ran(door: McpWorld) -> None:
    seen: list[tool_pb2.CallToolRequest] = []
    door.tools.script("wipe", until_approved(asyncio.Event(), seen))

    async def answer(_context: Any, _params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="decline")

    async with door.client(await door.key("a"), elicitation_callback=answer) as client:
        result = await client.call_tool("wipe", {})

    assert result.is_error
    assert "not run" in result.content[0].text
    assert len(seen) == 1


@both
async def test_a_client_that_cannot_be_asked_gets_the_approvals_name(door: McpWorld, mode: str) -> None:
    door.tools.script("wipe", until_approved(asyncio.Event(), []))
    async with door.client(await door.key("a"), mode) as client:
        result = await client.call_tool("wipe", {})

    assert result.is_error
    assert result.meta["aios"] == {
        "reason": "APPROVAL_REQUIRED",
        "metadata": {"approval": "approvals/51c0"},
    }
    assert "approvals/51c0" in result.content[0].text


@both
async def test_files_notes_and_conversations_are_resources(door: McpWorld, mode: str) -> None:
    key = await door.key("a")
    async with door.as_agent(key) as kernel:
        await kernel.files.write("reports/m a y?.md", "sun")
        await kernel.files.write("pixel.png", b"\x89PNG\x00\xff")
        await kernel.memory.put("trip/budget", "300 francs")
        await kernel.contexts.create("trip")
        await kernel.contexts.append("trip", "Where to?")
    async with door.client(key, mode) as client:
        listed: list[Any] = []
        cursor = None
        while True:
            page = await client.list_resources(cursor=cursor)
            listed += page.resources
            cursor = page.next_cursor
            if not cursor:
                break
        read = {resource.uri: (await client.read_resource(resource.uri)).contents[0] for resource in listed}
        templates = (await client.list_resource_templates()).resource_templates
        first = (await client.list_resources()).resources

    assert first == listed, "a client that reads the first page alone sees all that it has room for"
    assert read["aios://files/reports/m%20a%20y%3F.md"].text == "sun"
    assert read["aios://files/pixel.png"].blob == "iVBORwD/"
    assert read["aios://notes/trip/budget"].text == "300 francs"
    conversation = json.loads(read["aios://contexts/trip"].text)
    assert conversation["messages"][0]["content"] == "Where to?"
    assert conversation["complete"] is True
    assert "aios://files/{+path}" in {template.uri_template for template in templates}


@both
@pytest.mark.parametrize(
    "uri",
    [
        "aios://files/nothing.txt",
        "aios://secrets/key",
        "https://example.com/",
        "aios://files/%ff",
        "aios://files/a?b#c",
        "nonsense",
    ],
)
async def test_a_resource_that_is_not_there_is_not_found(door: McpWorld, mode: str, uri: str) -> None:
    async with door.client(await door.key("a"), mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)

    assert caught.value.code == (types.INVALID_PARAMS if mode == CURRENT else -32002)


async def test_a_file_too_large_to_read_whole_is_read_in_parts_with_a_tool(door: McpWorld) -> None:
    key = await door.key("a")
    async with mcp_world(read_bytes=1000) as small:
        key = await small.key("a")
        async with small.as_agent(key) as kernel:
            await kernel.files.write("long.txt", "x" * 1500)
        async with small.client(key) as client:
            with pytest.raises(MCPError) as caught:
                await client.read_resource("aios://files/long.txt")
            part = await client.call_tool("_aios_read_file", {"path": "long.txt", "offset": 900})

    assert "1500 bytes" in caught.value.message
    assert part.content[0].text == "x" * 600
    assert part.structured_content["size"] == 1500


@both
async def test_the_doors_own_tools_work_on_notes_and_files(door: McpWorld, mode: str) -> None:
    async with door.client(await door.key("a"), mode) as client:

        async def call(name: str, **arguments: Any) -> Any:
            result = await client.call_tool(f"_aios_{name}", arguments)
            assert not result.is_error, result.content
            return result

        put = await call("put_note", key="trip", content="300 francs", tags=["money"])
        got = await call("get_note", key="trip")
        found = await call("search_notes", query="francs")
        written = await call("write_file", path="a/b.txt", content="hello")
        await call("write_file", path="a/b.txt", content=" world", append=True)
        read = await call("read_file", path="a/b.txt")
        listed = await call("list_files", path="a")
        hits = await call("search_files", query="world")

    assert put.structured_content["created"] is True
    assert got.content[0].text == "300 francs"
    assert found.structured_content["hits"][0]["key"] == "trip"
    assert written.structured_content["uri"] == "aios://files/a/b.txt"
    assert read.content[0].text == "hello world"
    assert [file["path"] for file in listed.structured_content["files"]] == ["a/b.txt"]
    assert hits.structured_content["hits"][0]["path"] == "a/b.txt"


@both
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("put_note", {"key": "x"}),
        ("put_note", {"key": 1, "content": "x"}),
        ("read_file", {"path": "x", "more": 1}),
        ("nothing", {}),
    ],
)
async def test_bad_arguments_of_an_own_tool_are_a_result_that_says_what_is_wrong(
    door: McpWorld, mode: str, name: str, arguments: dict[str, Any]
) -> None:
    async with door.client(await door.key("a"), mode) as client:
        result = await client.call_tool(f"_aios_{name}", arguments)

    assert result.is_error
    assert result.meta["aios"]["reason"] in ("TOOL_ARGUMENTS_INVALID", "TOOL_NOT_FOUND")


async def test_a_listener_hears_of_files_it_subscribed_to_and_of_tools(door: McpWorld) -> None:
    key = await door.key("a")
    async with door.as_agent(key) as kernel, door.client(key) as client:
        uris = ["aios://files/a.txt"]
        async with client.listen(resource_subscriptions=uris, tools_list_changed=True) as stream:
            events = aiter(stream)
            looks = sum(call.method == "ListTools" for call in door.kernel.calls)
            await until(lambda: sum(call.method == "ListTools" for call in door.kernel.calls) > looks + 2)
            await kernel.files.write("b.txt", "not this one")
            await kernel.files.write("a.txt", "this one")
            assert await anext(events) == ResourceUpdated(uri="aios://files/a.txt")
            door.tools.script("new", progressing)
            assert isinstance(await anext(events), ToolsListChanged)
        await until(lambda: door.files.watching == 0)


old_ways = pytest.mark.filterwarnings("ignore:resources/:mcp.MCPDeprecationWarning")


@old_ways
async def test_a_session_hears_of_files_it_subscribed_to(door: McpWorld) -> None:
    key, heard = await door.key("a"), list[str]()

    async def note(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.append(message.params.uri)

    async with door.as_agent(key) as kernel:
        async with door.client(key, BEFORE, message_handler=note) as client:
            await client.subscribe_resource("aios://files/a.txt")
            await client.subscribe_resource("aios://files/b.txt")
            await kernel.files.write("a.txt", "1")
            await until(lambda: heard == ["aios://files/a.txt"])
            await client.unsubscribe_resource("aios://files/a.txt")
            await kernel.files.write("a.txt", "2")
            await kernel.files.write("b.txt", "1")
            await until(lambda: heard == ["aios://files/a.txt", "aios://files/b.txt"])
            assert door.files.opened == 1, "one watch of the kernel serves all subscriptions"
        await until(lambda: door.files.watching == 0)


@old_ways
async def test_only_files_can_be_subscribed_to(door: McpWorld) -> None:
    async with door.client(await door.key("a"), BEFORE) as client:
        with pytest.raises(MCPError) as caught:
            await client.subscribe_resource("aios://notes/x")

    assert caught.value.code == types.INVALID_PARAMS


async def test_requests_are_counted_by_method_and_outcome(door: McpWorld) -> None:
    async with door.client(await door.key("a")) as client:
        await client.call_tool("add", {"a": 1, "b": 1})
        await client.call_tool("fail", {})
        with pytest.raises(MCPError):
            await client.read_resource("nonsense")

    assert door.counted("tools/call", "ok") == 1
    assert door.counted("tools/call", "failed") == 1
    assert door.counted("resources/read", "error") == 1
