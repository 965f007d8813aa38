"""Where tools may send to, and HTTP tools, over a real socket."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from aios.api.tool.v1 import egress_pb2, resources_pb2, tool_pb2
from services.tool.config import ToolConfig
from services.tool.drivers.http import HttpDriver
from services.tool.model import DriverKind
from tests.fakes import tokens
from tests.fakes.rpc import reason
from tests.fakes.tool import FakeAudit, tool_service, tool_stub
from tests.fakes.tool_drivers import OneSecret
from tests.fakes.web import way_out

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

ADMIN: Final = tokens.metadata("root", kind="admin")
ELSEWHERE: Final = tokens.metadata("root", kind="admin", tenant="other")
PLANNER: Final = tokens.metadata("planner")
ALLOWED: Final = "https://*.example.com"
INSIDE: Final = "http://wiki.internal:8080"


@pytest.fixture
def audit() -> FakeAudit:
    return FakeAudit()


@pytest.fixture
async def stub(audit: FakeAudit) -> AsyncIterator[ToolServiceAsyncStub]:
    config = ToolConfig(egress_allow=(ALLOWED,), egress_internal=(f"{INSIDE} 10.1.0.0/16 acme",))
    drivers = {DriverKind.HTTP: HttpDriver(way_out([ALLOWED]).guard, OneSecret("https://api.example.com"))}
    async with tool_stub(tool_service(config=config, audit=audit, drivers=drivers)) as made:
        yield made


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return reason(refusal.value)


def setting(stub: ToolServiceAsyncStub, who: Any = ADMIN, request_id: str = "", **fields: Any) -> Any:
    policy = egress_pb2.EgressPolicy(**fields)
    request = egress_pb2.SetEgressPolicyRequest(policy=policy, request_id=request_id)
    return stub.SetEgressPolicy(request, metadata=who)


async def shown(stub: ToolServiceAsyncStub, who: Any = ADMIN) -> egress_pb2.EgressPolicy:
    return (await stub.GetEgressPolicy(egress_pb2.GetEgressPolicyRequest(), metadata=who)).policy


async def test_a_policy_is_set_and_shown_with_what_the_operator_allows(
    stub: ToolServiceAsyncStub, audit: FakeAudit
) -> None:
    first = await shown(stub)
    kept = (await setting(stub, narrowed=True, origins=["HTTPS://API.example.com:443"])).policy

    assert (first.narrowed, list(first.allowed), first.etag) == (False, [ALLOWED, INSIDE], "")
    assert (kept.narrowed, list(kept.origins), kept.etag) == (True, ["https://api.example.com"], "1")
    assert await shown(stub) == kept
    assert not (await shown(stub, ELSEWHERE)).narrowed
    assert list((await shown(stub, ELSEWHERE)).allowed) == [ALLOWED]
    assert "SetEgressPolicy" in repr(audit.noted)


async def test_a_policy_is_replaced_only_as_it_was_read_and_once(stub: ToolServiceAsyncStub) -> None:
    await setting(stub, narrowed=True, request_id="r1")
    again = (await setting(stub, narrowed=True, request_id="r1")).policy

    assert again.etag == "1"
    assert await refused(setting(stub, etag="7")) == "ETAG_MISMATCH"
    assert (await setting(stub, etag="1")).policy.etag == "2"
    assert not (await shown(stub)).narrowed


@pytest.mark.parametrize(
    "origin", ["example.com", "ftp://a.example.com", "https://127.1", "https://a.example.com/x"]
)
async def test_what_is_no_origin_is_refused(stub: ToolServiceAsyncStub, origin: str) -> None:
    assert await refused(setting(stub, narrowed=True, origins=[origin])) == "INVALID_REQUEST"


async def test_origins_that_would_not_hold_are_refused(stub: ToolServiceAsyncStub) -> None:
    assert await refused(setting(stub, origins=["https://a.example.com"])) == "INVALID_REQUEST"


async def test_agents_neither_set_nor_see_where_tools_send_to(stub: ToolServiceAsyncStub) -> None:
    assert await refused(setting(stub, PLANNER, narrowed=False)) == "PERMISSION_DENIED"
    assert await refused(shown(stub, PLANNER)) == "PERMISSION_DENIED"


def http_tool(url: str, **fields: Any) -> resources_pb2.Tool:
    return resources_pb2.Tool(
        name="tools/items",
        description="Tells an item.",
        parameters_schema_json='{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}',
        http=resources_pb2.HttpDriver(url=url, **fields),
    )


def registering(stub: ToolServiceAsyncStub, tool: resources_pb2.Tool, who: Any = PLANNER) -> Any:
    return stub.RegisterTool(tool_pb2.RegisterToolRequest(tool=tool), metadata=who)


async def test_an_http_tool_is_kept_as_it_was_registered(stub: ToolServiceAsyncStub) -> None:
    placed = resources_pb2.HttpArgument(argument="id", place=resources_pb2.HTTP_PLACE_QUERY, name="item")
    tool = http_tool("https://api.example.com/items", arguments=[placed], headers={"X-A": "b"})

    made = (await registering(stub, tool)).tool

    assert made.http.arguments[0] == placed
    assert made.http.headers == {"X-A": "b"}
    assert made.returns_untrusted
    shown_to_others = await stub.GetTool(
        tool_pb2.GetToolRequest(name="tools/items"), metadata=tokens.metadata("critic")
    )
    assert not shown_to_others.tool.http.headers


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://other.org/{id}", "EGRESS_DENIED"),
        ("http://169.254.169.254/{id}", "EGRESS_DENIED"),
        ("https://api.example.com/{other}", "INVALID_REQUEST"),
    ],
)
async def test_an_http_tool_that_cannot_work_is_refused(
    stub: ToolServiceAsyncStub, url: str, why: str
) -> None:
    assert await refused(registering(stub, http_tool(url))) == why


async def test_only_administrators_send_secrets_with_calls(stub: ToolServiceAsyncStub) -> None:
    tool = http_tool("https://api.example.com/{id}", secret_headers={"Authorization": "key"})

    assert await refused(registering(stub, tool)) == "PERMISSION_DENIED"
    assert (await registering(stub, tool, ADMIN)).tool.http.url.endswith("{id}")
