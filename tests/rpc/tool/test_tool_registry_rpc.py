"""The registry over a real socket."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.auth.authz_client import Permission, PermissionCheck
from services.chassis.auth.identity import Scope
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import PermissionDenied
from services.chassis.runtime.clock import SystemClock
from services.tool.config import ToolConfig
from services.tool.drivers.builtin.catalog import TOOLS
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import reason
from tests.fakes.tool import Gate, ScriptedBuiltins, tool_service, tool_stub
from tests.fakes.waiting import until

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
ADMIN = tokens.metadata("root", kind="admin")
GIVEN = sorted(given.id for given in TOOLS)
CODE = {"python", "shell"}
"""Those that need a sandbox, which there is none of here."""
STRANGER = tokens.metadata("planner", tenant="other")
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 2**60}}}


class Forbidding(AllowOwner):
    """Forbids everybody to call one tool."""

    async def authorize(self, question: PermissionCheck) -> Permission:
        """Return the permission."""
        if (question.action, question.resource) == ("tool.call", "tools/clock"):
            raise PermissionDenied("no clocks here")
        return await super().authorize(question)


@pytest.fixture
async def stub() -> AsyncIterator[ToolServiceAsyncStub]:
    async with tool_stub(tool_service(config=ToolConfig(quota_tools=Cap.of(3)))) as stub:
        yield stub


def tool(name: str = "send", **fields: Any) -> resources_pb2.Tool:
    chosen: dict[str, Any] = {
        "name": f"tools/{name}",
        "description": "Send a letter.",
        "effect": resources_pb2.TOOL_EFFECT_REVERSIBLE,
        "provider": resources_pb2.ProviderDriver(),
        **fields,
    }
    return resources_pb2.Tool(**{key: value for key, value in chosen.items() if value is not None})


async def register(
    stub: ToolServiceAsyncStub, given: resources_pb2.Tool, who: Any = PLANNER, request_id: str = ""
) -> resources_pb2.Tool:
    request = tool_pb2.RegisterToolRequest(tool=given, request_id=request_id)
    return (await stub.RegisterTool(request, metadata=who)).tool


async def refusal(stub: ToolServiceAsyncStub, given: resources_pb2.Tool, who: Any = PLANNER) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await register(stub, given, who)
    return reason(refused.value)


async def listed(stub: ToolServiceAsyncStub, who: Any = PLANNER, **query: Any) -> list[str]:
    response = await stub.ListTools(tool_pb2.ListToolsRequest(**query), metadata=who)
    return [found.name.removeprefix("tools/") for found in response.tools]


async def test_a_tool_is_shown_as_it_was_registered(stub: ToolServiceAsyncStub) -> None:
    made = await register(
        stub, tool(parameters_schema_json=json.dumps(SCHEMA), locks=["post"], labels={"kind": "mail"})
    )
    found = await stub.GetTool(tool_pb2.GetToolRequest(name="tools/send"), metadata=CRITIC)

    assert found.tool == made
    assert (made.owner, made.max_concurrency, made.timeout.seconds) == ("agents/planner", 8, 60)
    assert json.loads(made.parameters_schema_json) == SCHEMA
    assert made.parameters_schema.fields["type"].string_value == "object"
    assert made.provider.lease.seconds == 60
    assert (made.available, made.unavailable_reason) == (False, "TOOL_PROVIDER_LOST")


async def test_a_schema_may_come_as_a_struct(stub: ToolServiceAsyncStub) -> None:
    given = tool()
    given.parameters_schema.update({"type": "object", "properties": {"n": {"maximum": 3}}})
    made = await register(stub, given)

    assert json.loads(made.parameters_schema_json) == {
        "type": "object",
        "properties": {"n": {"maximum": 3}},
    }


async def test_a_name_is_taken_once_and_changed_only_with_its_etag(stub: ToolServiceAsyncStub) -> None:
    made = await register(stub, tool())
    taken = await refusal(stub, tool(), CRITIC)
    changed = await register(stub, tool(title="Letters", etag=made.etag))
    stale = await refusal(stub, tool(etag=made.etag))
    foreign = await refusal(stub, tool(etag=changed.etag), CRITIC)
    missing = await refusal(stub, tool("unheard-of", etag="1"))
    by_admin = await register(stub, tool(etag=changed.etag), ADMIN)

    assert (taken, stale, foreign, missing) == (
        "ALREADY_EXISTS",
        "ETAG_MISMATCH",
        "PERMISSION_DENIED",
        "TOOL_NOT_FOUND",
    )
    assert changed.title == "Letters"
    assert by_admin.owner == "agents/planner"


async def test_a_repeated_registration_has_one_effect(stub: ToolServiceAsyncStub) -> None:
    first = await register(stub, tool(), request_id="r1")
    again = await register(stub, tool(), request_id="r1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await register(stub, tool(title="Other"), request_id="r1")

    assert first == again
    assert reason(refused.value) == "IDEMPOTENCY_MISMATCH"


async def test_the_kernels_own_tools_stay_what_they_are(stub: ToolServiceAsyncStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as removed:
        await stub.UnregisterTool(tool_pb2.UnregisterToolRequest(name="tools/clock"), metadata=ADMIN)

    assert await refusal(stub, tool("clock"), ADMIN) == "ALREADY_EXISTS"
    assert reason(removed.value) == "PERMISSION_DENIED"


async def test_an_agent_registers_a_bounded_number_of_tools(stub: ToolServiceAsyncStub) -> None:
    for number in range(3):
        await register(stub, tool(f"t{number}"))

    assert await refusal(stub, tool("t4")) == "QUOTA_EXCEEDED"
    assert (await register(stub, tool("t4"), CRITIC)).name == "tools/t4"


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "[]",
        '{"type": "array"}',
        '{"type": "nonsense"}',
        '{"$ref": "https://example.org/schema"}',
        '{"allOf": [{"$ref": "#"}]}',
        '{"properties": {"a": {"pattern": "("}}}',
        '{"a":' * 20 + "1" + "}" * 20,
        json.dumps({"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
                    | {"d40": {}}, "$ref": "#/$defs/d0"}),
        json.dumps({"properties": {"a": {"pattern": "a" * 1_000}}}),
        '{"properties": {"a": {"type": "array", "maxItems": 1000000000}}}',
        '{"properties": {"a": {"items": {"items": {"maxItems": 99}, "maxItems": 99}, "maxItems": 99}}}',
        '{"properties": {"a": {"maxItems": 1e308}}}',
        '{"properties": {"a": {"minLength": true}}}',
        '{"properties": {"a": {"pattern": "((a{100}){100}){100}"}}}',
        '{"properties": {"a": {"pattern": "(?=a)"}}}',
        '{"properties": {"a": {"type": "string", "type": "integer"}}}',
        json.dumps({"$defs": {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(1_500)} | {"d1500": {}},
                    "properties": {"a": {"$ref": "#/$defs/d0"}}}),
    ],
)  # fmt: skip
async def test_a_schema_that_is_broken_or_costly_is_refused(stub: ToolServiceAsyncStub, schema: str) -> None:
    assert await refusal(stub, tool(parameters_schema_json=schema)) == "TOOL_SCHEMA_INVALID"


@pytest.mark.parametrize(
    "driver",
    [
        {"python": resources_pb2.PythonDriver(source="def f(): pass", function="f")},
        {"http": resources_pb2.HttpDriver(url="https://example.org")},
        {"mcp": resources_pb2.McpDriver(server="mcpservers/x", tool="t")},
        {"builtin": resources_pb2.BuiltinDriver(function="unheard-of")},
    ],
)
async def test_what_this_kernel_cannot_run_is_refused_with_a_type(
    stub: ToolServiceAsyncStub, driver: dict[str, Any]
) -> None:
    assert await refusal(stub, tool(provider=None, **driver), ADMIN) == "CAPABILITY_MISSING"


async def test_mcp_servers_are_refused_and_there_are_none(stub: ToolServiceAsyncStub) -> None:
    server = resources_pb2.McpServer(name="mcpservers/x", stdio=resources_pb2.McpStdio(command=["x"]))
    with pytest.raises(grpc.aio.AioRpcError) as added:
        await stub.AddMcpServer(tool_pb2.AddMcpServerRequest(server=server), metadata=ADMIN)
    with pytest.raises(grpc.aio.AioRpcError) as removed:
        await stub.RemoveMcpServer(tool_pb2.RemoveMcpServerRequest(name="mcpservers/x"), metadata=ADMIN)
    found = await stub.ListMcpServers(tool_pb2.ListMcpServersRequest(), metadata=PLANNER)

    assert added.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert reason(added.value) == "CAPABILITY_MISSING"
    assert reason(removed.value) == "MCP_SERVER_NOT_FOUND"
    assert not found.servers


async def test_tools_are_found_by_name_label_word_and_page(stub: ToolServiceAsyncStub) -> None:
    await register(stub, tool("send", labels={"kind": "mail"}))
    await register(stub, tool("letters", description="Fetch letters.", labels={"kind": "mail", "x": "y"}))

    everything = sorted([*GIVEN, "letters", "send"])
    assert await listed(stub) == everything
    assert await listed(stub, names=["tools/send", "tools/clock"]) == ["clock", "send"]
    assert await listed(stub, labels={"kind": "mail"}) == ["letters", "send"]
    assert await listed(stub, query="FETCH letters") == ["letters"]
    assert await listed(stub, available_only=True) == [name for name in GIVEN if name not in CODE]
    assert await listed(stub, STRANGER, query="letter") == []
    first = await stub.ListTools(tool_pb2.ListToolsRequest(page_size=4), metadata=PLANNER)
    rest = await listed(stub, page_size=100, page_token=first.next_page_token)
    assert [found.name.removeprefix("tools/") for found in first.tools] + rest == everything
    await refuses_forgeries(stub.ListTools, tool_pb2.ListToolsRequest(), PLANNER)


async def test_tools_are_ranked_by_how_well_they_fit_some_words() -> None:
    authorizer = Forbidding()
    async with tool_stub(tool_service(authorizer=authorizer), authorizer=authorizer) as stub:
        await register(stub, tool("send_mail", description="Send a letter to somebody."))
        await register(stub, tool("noise", description="letter " * 500))
        await register(stub, tool("archive", description="Keep what came. " + "x " * 600 + "mail"))
        request = tool_pb2.ListToolsRequest(
            search="mail a letter", page_size=2, view=tool_pb2.TOOL_VIEW_BASIC
        )
        found = await stub.ListTools(request, metadata=PLANNER)

        assert [one.name for one in found.tools] == ["tools/send_mail", "tools/noise"]
        assert not found.next_page_token
        assert await listed(stub, search="ISO 8601") == [], "the clock may not be called"
        assert "archive" not in await listed(stub, search="mail")
        assert await listed(stub, search="...") == []
        assert (await listed(stub, search="read file lines"))[0] == "read_file"
        assert await listed(stub, search="letter", available_only=True) == []
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await listed(stub, search="mail", page_token="x")
        assert reason(refused.value) == "INVALID_PAGE_TOKEN"


async def test_a_short_view_leaves_schemas_and_driver_out(stub: ToolServiceAsyncStub) -> None:
    request = tool_pb2.ListToolsRequest(view=tool_pb2.TOOL_VIEW_BASIC, names=["tools/calculator"])
    (found,) = (await stub.ListTools(request, metadata=PLANNER)).tools

    assert found.description.startswith("Evaluate an arithmetic expression.")
    assert found.available
    assert not found.parameters_schema_json
    assert found.WhichOneof("driver") is None


async def test_tools_that_the_caller_may_not_call_are_not_listed() -> None:
    authorizer = Forbidding()
    async with tool_stub(tool_service(authorizer=authorizer), authorizer=authorizer) as stub:
        assert await listed(stub) == [name for name in GIVEN if name != "clock"]


async def test_a_removed_tool_is_gone(stub: ToolServiceAsyncStub) -> None:
    made = await register(stub, tool())
    request = tool_pb2.UnregisterToolRequest(name="tools/send", etag="stale")
    with pytest.raises(grpc.aio.AioRpcError) as stale:
        await stub.UnregisterTool(request, metadata=PLANNER)
    request.etag = made.etag
    with pytest.raises(grpc.aio.AioRpcError) as foreign:
        await stub.UnregisterTool(request, metadata=CRITIC)
    await stub.UnregisterTool(request, metadata=PLANNER)
    with pytest.raises(grpc.aio.AioRpcError) as gone:
        await stub.UnregisterTool(request, metadata=PLANNER)
    request.allow_missing = True
    await stub.UnregisterTool(request, metadata=PLANNER)

    assert reason(stale.value) == "ETAG_MISMATCH"
    assert reason(foreign.value) == "PERMISSION_DENIED"
    assert reason(gone.value) == "TOOL_NOT_FOUND"


async def test_calls_that_wait_for_a_removed_tool_fail_and_those_that_run_go_on() -> None:
    gate = Gate()
    service = tool_service(builtins=ScriptedBuiltins(SystemClock(), slow=gate))
    builtin = resources_pb2.BuiltinDriver(function="slow")
    async with tool_stub(service) as stub:
        await register(stub, tool("job", provider=None, builtin=builtin, max_concurrency=1))

        async def call() -> str:
            try:
                async for event in stub.CallTool(
                    tool_pb2.CallToolRequest(tool="tools/job"), metadata=PLANNER
                ):
                    kind = event.WhichOneof("event")
            except grpc.aio.AioRpcError as failure:
                return reason(failure)
            return str(kind)

        running = asyncio.create_task(call())
        await gate.entered.wait()
        waiting = asyncio.create_task(call())
        await until(lambda: service.calls.under_way(Scope("acme", "planner")) == 2)
        await stub.UnregisterTool(tool_pb2.UnregisterToolRequest(name="tools/job"), metadata=PLANNER)
        ended = await waiting
        gate.opened.set()

        assert ended == "TOOL_NOT_FOUND"
        assert await running == "result"
