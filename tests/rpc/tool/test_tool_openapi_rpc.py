"""OpenAPI documents over a real socket: registered, replaced, removed."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from aios.api.tool.v1 import openapi_pb2, resources_pb2, tool_pb2
from services.tool.adapters.openapi_reader import OpenApiReader
from services.tool.drivers.http import HttpDriver
from services.tool.model import DriverKind
from tests.fakes import tokens
from tests.fakes.rpc import reason
from tests.fakes.tool import tool_service, tool_stub
from tests.fakes.tool_drivers import OneSecret
from tests.fakes.waiting import until
from tests.fakes.web import Asked, Web, to, web

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

ADMIN: Final = tokens.metadata("root", kind="admin")
PLANNER: Final = tokens.metadata("planner")
CRITIC: Final = tokens.metadata("critic")
ADDED, CHANGED, REMOVED, UNCHANGED = (
    openapi_pb2.OPEN_API_CHANGE_KIND_ADDED,
    openapi_pb2.OPEN_API_CHANGE_KIND_CHANGED,
    openapi_pb2.OPEN_API_CHANGE_KIND_REMOVED,
    openapi_pb2.OPEN_API_CHANGE_KIND_UNCHANGED,
)
ID: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


@pytest.fixture
async def server() -> AsyncIterator[Web]:
    async with web() as made:
        yield made


@pytest.fixture
async def stub(server: Web) -> AsyncIterator[ToolServiceAsyncStub]:
    drivers = {DriverKind.HTTP: HttpDriver(to(server).guard, OneSecret(server.url("")))}
    async with tool_stub(tool_service(drivers=drivers)) as made:
        yield made


def document(**paths: Any) -> bytes:
    """Return a document; `getPet="Tells."` is an operation with that description."""
    made = {
        f"/pets/{{id}}/{name}": {"get": {"operationId": name, "description": text, "parameters": [ID]}}
        for name, text in paths.items()
    }
    servers = [{"url": "http://169.254.169.254/"}]
    return json.dumps({"openapi": "3.1.0", "servers": servers, "paths": made}).encode()


FIRST: Final = document(getPet="Tells.", oldPet="Tells.")


def registering(
    stub: ToolServiceAsyncStub, server: Web, text: bytes, who: Any = PLANNER, **fields: Any
) -> Any:
    fields = {"name": "tools/store", "base_url": server.url("/v1/"), **fields}
    return stub.RegisterOpenApi(openapi_pb2.RegisterOpenApiRequest(document=text, **fields), metadata=who)


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return reason(refusal.value)


async def names(stub: ToolServiceAsyncStub) -> list[str]:
    listed = await stub.ListTools(tool_pb2.ListToolsRequest(query="tells"), metadata=PLANNER)
    return [tool.name for tool in listed.tools if "store" in tool.name]


def kinds(response: openapi_pb2.RegisterOpenApiResponse) -> dict[str, int]:
    return {change.tool.removeprefix("tools/store."): change.kind for change in response.changes}


async def test_operations_become_tools_that_ask_the_operators_server(
    stub: ToolServiceAsyncStub, server: Web
) -> None:
    made = await registering(stub, server, FIRST, ADMIN, vouched=True)
    calling = stub.CallTool(
        tool_pb2.CallToolRequest(tool="tools/store.getPet", arguments_json='{"id": "a/b"}'), metadata=PLANNER
    )
    events = [event async for event in calling]

    assert kinds(made) == {"getPet": ADDED, "oldPet": ADDED}
    assert made.document_sha256 == hashlib.sha256(FIRST).hexdigest()
    assert list(made.proposed_servers) == ["http://169.254.169.254/"]
    assert [asked.target for asked in server.asked] == ["/v1/pets/a%2Fb/getPet"]
    assert events[-1].result.result.value_json == "{}"


async def test_without_an_administrators_word_every_operation_is_irreversible(
    stub: ToolServiceAsyncStub, server: Web
) -> None:
    await registering(stub, server, FIRST)

    tool = (await stub.GetTool(tool_pb2.GetToolRequest(name="tools/store.getPet"), metadata=PLANNER)).tool
    assert tool.effect == resources_pb2.TOOL_EFFECT_IRREVERSIBLE
    assert tool.returns_untrusted
    assert tool.http.document_sha256 == hashlib.sha256(FIRST).hexdigest()
    assert (
        await refused(registering(stub, server, FIRST, name="tools/other", vouched=True))
        == "PERMISSION_DENIED"
    )
    secret = registering(stub, server, FIRST, name="tools/other", secret_headers={"Authorization": "key"})
    assert await refused(secret) == "PERMISSION_DENIED"


async def test_a_dry_run_shows_what_would_change_and_changes_nothing(
    stub: ToolServiceAsyncStub, server: Web
) -> None:
    await registering(stub, server, FIRST)
    second = document(getPet="Tells more.", newPet="Tells.")

    shown = await registering(stub, server, second, dry_run=True)

    assert kinds(shown) == {"getPet": CHANGED, "newPet": ADDED, "oldPet": REMOVED}
    (changed,) = [one for one in shown.changes if one.kind == CHANGED]
    assert [(one.name, one.before, one.after) for one in changed.fields] == [
        ("description", "Tells.", "Tells more.")
    ]
    assert await names(stub) == ["tools/store.getPet", "tools/store.oldPet"]
    proposed = await registering(stub, server, second, dry_run=True, base_url="")
    assert list(proposed.proposed_servers) == ["http://169.254.169.254/"]


async def test_a_document_is_replaced_only_by_who_knows_the_one_before(
    stub: ToolServiceAsyncStub, server: Web
) -> None:
    sha256 = (await registering(stub, server, FIRST)).document_sha256
    second = document(getPet="Tells more.", newPet="Tells.")

    assert await refused(registering(stub, server, second)) == "ALREADY_EXISTS"
    assert await refused(registering(stub, server, second, replaces_sha256="0" * 64)) == "ETAG_MISMATCH"
    stranger = registering(stub, server, second, CRITIC, replaces_sha256=sha256)
    assert await refused(stranger) == "PERMISSION_DENIED"

    replaced = await registering(stub, server, second, replaces_sha256=sha256)

    assert kinds(replaced) == {"getPet": CHANGED, "newPet": ADDED, "oldPet": REMOVED}
    assert await names(stub) == ["tools/store.getPet", "tools/store.newPet"]
    again = await registering(stub, server, second, replaces_sha256=replaced.document_sha256)
    assert set(kinds(again).values()) == {UNCHANGED}
    fresh = registering(stub, server, second, name="tools/none", replaces_sha256=sha256)
    assert await refused(fresh) == "TOOL_NOT_FOUND"


async def test_a_tool_that_is_there_already_keeps_its_name(stub: ToolServiceAsyncStub, server: Web) -> None:
    tool = resources_pb2.Tool(
        name="tools/store.getPet", description="Tells.", provider=resources_pb2.ProviderDriver()
    )
    await stub.RegisterTool(tool_pb2.RegisterToolRequest(tool=tool), metadata=CRITIC)

    made = await registering(stub, server, FIRST)

    assert kinds(made) == {"oldPet": ADDED}
    assert [(one.operation, "another tool" in one.reason) for one in made.left_out] == [("getPet", True)]
    kept = (await stub.GetTool(tool_pb2.GetToolRequest(name="tools/store.getPet"), metadata=PLANNER)).tool
    assert kept.owner == "agents/critic"


async def test_only_wanted_operations_become_tools(stub: ToolServiceAsyncStub, server: Web) -> None:
    made = await registering(stub, server, FIRST, operations=["getPet", "nothing"])

    assert kinds(made) == {"getPet": ADDED}
    assert [one.operation for one in made.left_out] == ["nothing"]


async def test_an_api_is_removed_with_all_its_tools(stub: ToolServiceAsyncStub, server: Web) -> None:
    await registering(stub, server, FIRST)
    request = openapi_pb2.UnregisterOpenApiRequest(name="tools/store")

    assert await refused(stub.UnregisterOpenApi(request, metadata=CRITIC)) == "PERMISSION_DENIED"
    await stub.UnregisterOpenApi(request, metadata=PLANNER)

    assert await names(stub) == []
    assert await refused(stub.UnregisterOpenApi(request, metadata=PLANNER)) == "TOOL_NOT_FOUND"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"base_url": ""}, "INVALID_REQUEST"),
        ({"base_url": "http://10.0.0.1/"}, "EGRESS_DENIED"),
        ({"base_url": "http://127.1/"}, "EGRESS_DENIED"),
        ({"base_url": "https://api.example.com/?x="}, "INVALID_REQUEST"),
        ({"document": b"{}"}, "INVALID_REQUEST"),
        ({"document": b"a: &x [*x]"}, "INVALID_REQUEST"),
        ({"name": "tools/a.b"}, "INVALID_REQUEST"),
    ],
)
async def test_what_cannot_be_registered_is_refused(
    stub: ToolServiceAsyncStub, server: Web, fields: dict[str, Any], why: str
) -> None:
    text = fields.pop("document", FIRST)

    assert await refused(registering(stub, server, text, **fields)) == why


async def test_documents_are_read_in_a_process_of_their_own() -> None:
    reader = OpenApiReader()
    try:
        found = await reader.read("acme", FIRST)
        with pytest.raises(Exception, match="no OpenAPI"):
            await reader.read("acme", b"{}")
    finally:
        await reader.close()

    assert [operation.id for operation in found.operations] == ["getPet", "oldPet"]


async def test_a_tool_with_calls_under_way_does_not_break_with_what_it_was(
    stub: ToolServiceAsyncStub, server: Web
) -> None:
    async def hang(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    server.answers["/v1/pets/a/getPet"] = hang
    first = await registering(stub, server, FIRST, ADMIN, vouched=True)
    call = stub.CallTool(
        tool_pb2.CallToolRequest(tool="tools/store.getPet", arguments_json='{"id": "a"}'), metadata=PLANNER
    )
    await until(lambda: bool(server.open))
    narrower = json.loads(FIRST)
    narrower["paths"]["/pets/{id}/getPet"]["get"]["parameters"] = [{**ID, "schema": {"enum": ["b"]}}]
    breaking = json.dumps(narrower).encode()
    fields = {"vouched": True, "replaces_sha256": first.document_sha256}

    assert await refused(registering(stub, server, breaking, ADMIN, **fields)) == "TOOL_IN_USE"
    allowed = await registering(stub, server, breaking, ADMIN, allow_breaking=True, **fields)

    assert kinds(allowed)["getPet"] == CHANGED
    call.cancel()
    await until(lambda: not server.open)
