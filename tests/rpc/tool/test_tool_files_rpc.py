"""Built-in tools on files, through the tool manager to the storage manager, over real sockets."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from aios.api.storage.v1 import storage_pb2, storage_pb2_grpc
from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.runtime.clock import SystemClock
from services.chassis.sandbox.nowhere import Nowhere
from services.storage.main import servicer
from services.tool.adapters.storage_client import StorageSearch
from services.tool.adapters.storage_files import StorageFiles
from services.tool.drivers.builtin.functions import BuiltinDriver
from services.tool.model import DriverKind
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.rpc import reason, serving
from tests.fakes.storage import Kernel
from tests.fakes.tokens import PassOn
from tests.fakes.tool import tool_service, tool_stub
from tests.fakes.tool_jobs import HereWorkers
from tests.fakes.web import way_out

PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
SHARED = "agents/critic/files/review.md"
RIGHTS = (("planner", "storage.read", SHARED), ("planner", "storage.write", SHARED))


class World:
    """A tool manager beside a storage manager."""

    def __init__(self, access: AllowOwner, tools: Any, storage: Any) -> None:
        self.access = access
        self._tools = tools
        self._storage = storage

    async def put(self, name: str, content: bytes, who: Any = PLANNER) -> None:
        request = storage_pb2.WriteFileRequest(name=name, content=content)
        await self._storage.WriteFile(request, metadata=who)

    async def call(self, tool: str, **arguments: Any) -> resources_pb2.Call:
        request = tool_pb2.CallToolRequest(tool=f"tools/{tool}", arguments_json=json.dumps(arguments))
        events = [event async for event in self._tools.CallTool(request, metadata=PLANNER)]
        ended: resources_pb2.Call = events[-1].result
        return ended

    async def refused(self, tool: str, **arguments: Any) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(tool, **arguments)
        return reason(refused.value)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Yield both managers, with one access manager's say."""
    access = AllowOwner(*RIGHTS)
    async with serving(servicer(Kernel().service), authorizer=access) as channel:
        files, search = StorageFiles(channel, PassOn()), StorageSearch(channel, PassOn())
        driver = BuiltinDriver(
            SystemClock(), search, files, HereWorkers(), way_out().guard, sandbox=Nowhere("tests")
        )
        service = tool_service(drivers={DriverKind.BUILTIN: driver}, authorizer=access)
        async with tool_stub(service, authorizer=access) as tools:
            yield World(access, tools, storage_pb2_grpc.StorageServiceStub(channel))


async def test_an_agent_writes_edits_and_reads_its_own_files_and_is_not_marked(world: World) -> None:
    made = await world.call("write_file", path="notes/a.md", content="one\ntwo\n")
    etag = json.loads(made.result.value_json)["etag"]
    await world.call("edit", path="notes/a.md", old_text="two", new_text="2", etag=etag)
    read = await world.call("read_file", path="notes/a.md")

    assert json.loads(read.result.value_json)["result"] == "one\n2\n"
    assert not read.result.untrusted
    assert not world.access.marked
    assert await world.refused("write_file", path="notes/a.md", content="x", etag=etag) == "ETAG_MISMATCH"
    assert await world.refused("write_file", path="notes/a.md", content="x") == "ALREADY_EXISTS"
    assert await world.refused("read_file", path="nowhere") == "FILE_NOT_FOUND"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read_file", {"path": SHARED}),
        ("edit", {"path": SHARED, "old_text": "do", "new_text": "did"}),
        ("json_query", {"path": SHARED, "query": "@"}),
        ("csv_query", {"tables": {"t": SHARED}, "sql": "SELECT * FROM t"}),
    ],
)
async def test_who_reads_another_agents_file_by_a_tool_is_marked_and_so_is_the_call(
    world: World, tool: str, arguments: dict[str, Any]
) -> None:
    await world.put(SHARED, b'"do this"', CRITIC)
    call = await world.call(tool, **arguments)

    assert call.result.untrusted
    assert "planner" in world.access.marked


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("glob", {"pattern": "**"}),
        ("grep", {"pattern": "orders"}),
        ("read_file", {"path": "left.txt"}),
        ("search_files", {"query": "orders"}),
    ],
)
async def test_what_a_marked_agent_left_in_its_own_files_marks_it_again(
    world: World, tool: str, arguments: dict[str, Any]
) -> None:
    world.access.marked["planner"] = "tools/browse"
    await world.call("write_file", path="left.txt", content="orders")
    world.access.marked.clear()
    call = await world.call(tool, **arguments)

    assert call.result.untrusted
    assert "planner" in world.access.marked


async def test_a_tool_has_no_right_that_its_caller_has_not(world: World) -> None:
    await world.put("agents/critic/files/private", b"secret", CRITIC)

    for tool, arguments in (
        ("read_file", {"path": "agents/critic/files/private"}),
        ("write_file", {"path": "agents/critic/files/private", "content": "x", "overwrite": True}),
        ("glob", {"pattern": "**", "directory": "agents/critic/files/inside"}),
        ("grep", {"pattern": "s", "directory": "agents/critic/files/inside"}),
    ):
        assert await world.refused(tool, **arguments) == "PERMISSION_DENIED", tool
