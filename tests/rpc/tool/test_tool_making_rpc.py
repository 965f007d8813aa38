"""Drafts, tests, sharing and versions over a real socket: shapes, errors, and who may."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from aios.api.tool.v1 import making_pb2 as pb
from aios.api.tool.v1 import resources_pb2, tool_pb2
from services.chassis.quotas import Cap
from services.tool.config import ToolConfig
from services.tool.model import DriverKind
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import reason
from tests.fakes.tool import tool_service, tool_stub
from tests.fakes.tool_making import FakePeople, FakePython

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

BOB = tokens.metadata("bob")
ALICE = tokens.metadata("alice")
ADMIN = tokens.metadata("root", kind="admin")
STRANGER = tokens.metadata("bob", tenant="other")
NAME = "agents/me/drafts/double"
FULL = "agents/bob/drafts/double"
SCHEMA = '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}'


@dataclass
class World:
    """A tool manager over a socket."""

    stub: ToolServiceAsyncStub
    people: FakePeople
    access: AllowOwner

    async def drafted(self, source: str = "# double", who: Any = BOB, **fields: Any) -> pb.ToolDraft:
        """Keep a draft."""
        request = pb.DraftToolRequest(draft=draft(source, **fields))
        return (await self.stub.DraftTool(request, metadata=who)).draft

    async def tested(self, name: str = NAME, who: Any = BOB) -> pb.ToolDraft:
        """Test a draft and take it into use."""
        request = pb.TestDraftRequest(name=name, own=True)
        return (await self.stub.TestDraft(request, metadata=who)).draft

    async def shared(self, source: str = "# double", **fields: Any) -> pb.ToolDraft:
        """Share a draft."""
        made = await self.drafted(source, **fields)
        await self.tested(made.name)
        asked = await self.stub.ShareDraft(pb.ShareDraftRequest(name=made.name), metadata=BOB)
        self.people.say(asked.draft.approval.removeprefix("approvals/"))
        return (await self.stub.ShareDraft(pb.ShareDraftRequest(name=made.name), metadata=BOB)).draft

    async def called(self, who: Any, tool: str = "tools/bob.double") -> Any:
        """Call a tool; return its last event."""
        request = tool_pb2.CallToolRequest(tool=tool, arguments_json='{"n": 4}')
        last: Any = None
        async for event in self.stub.CallTool(request, metadata=who):
            last = event
        return last


def draft(source: str = "# double", **fields: Any) -> pb.ToolDraft:
    chosen: dict[str, Any] = {
        "name": NAME,
        "description": "Double a number.",
        "parameters_schema_json": SCHEMA,
        "python": resources_pb2.PythonDriver(source=source, function="double"),
        "examples": [
            pb.ToolExample(arguments_json='{"n": 2}', result_json='{"result": 4}'),
            pb.ToolExample(arguments_json='{"n": 0}', result_schema_json='{"type": "object"}'),
        ],
        **fields,
    }
    return pb.ToolDraft(**chosen)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    people, access = FakePeople(), AllowOwner()
    service = tool_service(
        config=ToolConfig(quota_drafts=Cap.of(5)),
        sharing=people,
        drivers={DriverKind.PYTHON: FakePython()},
        authorizer=access,
    )
    async with tool_stub(service, authorizer=access) as stub:
        yield World(stub, people, access)


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return reason(error.value)


async def test_a_draft_is_shown_as_it_was_handed_in(world: World) -> None:
    made = await world.drafted(title="Twice", returns_untrusted=True)
    found = (await world.stub.GetDraft(pb.GetDraftRequest(name=NAME), metadata=BOB)).draft

    assert found == made
    assert (made.name, made.tool, made.etag) == (FULL, "tools/bob.double", "1")
    assert made.state == pb.DRAFT_STATE_DRAFT
    assert (made.python.source, made.python.memory_bytes) == ("# double", 256 * 2**20)
    assert (made.timeout.seconds, made.max_concurrency) == (10, 4)
    assert [one.WhichOneof("expected") for one in made.examples] == ["result_json", "result_schema_json"]
    assert made.effect == resources_pb2.TOOL_EFFECT_PURE
    assert not made.HasField("test")


async def test_a_draft_becomes_a_tool_of_its_owner_and_then_of_all(world: World) -> None:
    await world.drafted()
    own = await world.tested()
    assert (own.state, own.test.passed, own.test.sandbox) == (pb.DRAFT_STATE_OWN, True, "landlock")
    assert own.test.sha256 == own.sha256
    assert (await world.called(BOB)).result.result.value_json == '{"result": 8}'
    assert await refused(world.called(ALICE)) == "TOOL_NOT_FOUND"

    shared = await world.shared()
    assert (shared.state, shared.shared_version) == (pb.DRAFT_STATE_SHARED, 1)
    assert (await world.called(ALICE)).result.result.value_json == '{"result": 8}'
    seen = await world.stub.GetTool(tool_pb2.GetToolRequest(name="tools/bob.double"), metadata=ALICE)
    assert (seen.tool.python.source, seen.tool.owner) == ("", "agents/bob")


async def test_lists_leave_out_what_is_large(world: World) -> None:
    for name in ("a", "b", "c"):
        await world.drafted(name=f"agents/me/drafts/{name}")
    await world.tested("agents/me/drafts/a")

    def listing(token: str = "") -> Any:
        request = pb.ListDraftsRequest(parent="agents/me", page_size=2, page_token=token)
        return world.stub.ListDrafts(request, metadata=BOB)

    first = await listing()
    rest = await listing(first.next_page_token)
    names = [one.name.rpartition("/")[2] for one in [*first.drafts, *rest.drafts]]
    assert (names, rest.next_page_token) == (["a", "b", "c"], "")
    assert [one.state for one in first.drafts] == [pb.DRAFT_STATE_OWN, pb.DRAFT_STATE_DRAFT]
    for one in first.drafts:
        assert (one.python.source, list(one.examples), one.parameters_schema_json) == ("", [], "")
        assert not one.test.examples
    await refuses_forgeries(world.stub.ListDrafts, pb.ListDraftsRequest(parent="agents/me"), BOB)


async def test_versions_tell_what_differs(world: World) -> None:
    first = await world.shared()
    second = await world.shared("# double\nreturn 2", etag=first.etag)
    parent = pb.ListToolVersionsRequest(parent=FULL, page_size=1)
    found = await world.stub.ListToolVersions(parent, metadata=BOB)
    parent.page_token = found.next_page_token
    rest = await world.stub.ListToolVersions(parent, metadata=ADMIN)
    request = pb.GetToolVersionRequest(name=f"{FULL}/versions/2")
    version = (await world.stub.GetToolVersion(request, metadata=ADMIN)).version

    await refuses_forgeries(world.stub.ListToolVersions, pb.ListToolVersionsRequest(parent=FULL), BOB)

    assert [one.number for one in [*found.versions, *rest.versions]] == [2, 1]
    assert [one.current for one in [*found.versions, *rest.versions]] == [True, False]
    assert (found.versions[0].draft.python.source, rest.next_page_token) == ("", "")
    assert (version.sha256, version.draft.python.source) == (second.sha256, "# double\nreturn 2")
    assert "+return 2" in version.diff
    assert version.approval.startswith("approvals/")


async def test_an_administrator_rolls_back_and_revokes_and_the_owner_does_not(world: World) -> None:
    first = await world.shared()
    await world.shared("# double\nreturn 2", etag=first.etag)
    back = pb.RollBackToolRequest(name=f"{FULL}/versions/1", reason="it leaks", request_id="r1")
    for _ in range(2):
        done = await world.stub.RollBackTool(back, metadata=ADMIN)
        assert (done.version.number, done.version.current) == (1, True)
    revoke = pb.RevokeToolRequest(name=FULL, reason="it leaks", request_id="r2")
    for _ in range(2):
        assert (await world.stub.RevokeTool(revoke, metadata=ADMIN)).revoked_count == 2

    assert await refused(world.called(ALICE)) == "TOOL_NOT_FOUND"
    version = pb.GetToolVersionRequest(name=f"{FULL}/versions/1")
    found = (await world.stub.GetToolVersion(version, metadata=BOB)).version
    assert (found.revoke_reason, found.current) == ("it leaks", False)
    assert await refused(world.stub.RollBackTool(back.__class__(name=back.name), metadata=ADMIN)) == (
        "TOOL_NOT_FOUND"
    )


async def test_what_is_wrong_is_told_by_a_type(world: World) -> None:
    stub = world.stub
    made = await world.drafted()

    def keep(new: pb.ToolDraft, **more: Any) -> Any:
        return stub.DraftTool(pb.DraftToolRequest(draft=new, **more), metadata=BOB)

    assert await refused(keep(draft("# order"))) == "ALREADY_EXISTS"
    assert await refused(keep(draft("# order", etag="9"))) == "ETAG_MISMATCH"
    assert await refused(keep(draft(name="agents/me/drafts/x", etag="1"))) == "TOOL_NOT_FOUND"
    assert await refused(keep(draft(name="agents/me/drafts/a.b"))) == "INVALID_REQUEST"
    assert await refused(keep(draft(name="agents/me/drafts/X"))) == "INVALID_REQUEST"
    assert await refused(keep(draft(examples=[]))) == "INVALID_REQUEST"
    assert await refused(keep(draft(description=""))) == "INVALID_REQUEST"
    assert await refused(keep(draft("# double\0", etag=made.etag))) == "INVALID_REQUEST"
    assert await refused(keep(draft(parameters_schema_json="{", etag=made.etag))) == "TOOL_SCHEMA_INVALID"
    bad = [pb.ToolExample(arguments_json='{"n":"x"}', result_json="1")] * 2
    assert await refused(keep(draft(examples=bad, etag=made.etag))) == "TOOL_ARGUMENTS_INVALID"
    share = pb.ShareDraftRequest(name=NAME)
    assert await refused(stub.ShareDraft(share, metadata=BOB)) == "TOOL_NOT_TESTED"
    missing = "agents/me/drafts/none"
    for call in (
        stub.GetDraft(pb.GetDraftRequest(name=missing), metadata=BOB),
        stub.TestDraft(pb.TestDraftRequest(name=missing), metadata=BOB),
        stub.ShareDraft(pb.ShareDraftRequest(name=missing), metadata=BOB),
        stub.DeleteDraft(pb.DeleteDraftRequest(name=missing), metadata=BOB),
        stub.GetToolVersion(pb.GetToolVersionRequest(name=f"{missing}/versions/1"), metadata=BOB),
        stub.RevokeTool(pb.RevokeToolRequest(name=missing), metadata=ADMIN),
    ):
        assert await refused(call) == "TOOL_NOT_FOUND"
    gone = pb.DeleteDraftRequest(name=missing, allow_missing=True)
    await stub.DeleteDraft(gone, metadata=BOB)
    assert (
        await refused(stub.DeleteDraft(pb.DeleteDraftRequest(name=NAME, etag="7"), metadata=BOB))
        == "ETAG_MISMATCH"
    )


async def test_too_many_drafts_hit_the_quota_with_a_type(world: World) -> None:
    found = set()
    for number in range(20):
        made = draft(name=f"agents/me/drafts/d{number}")
        try:
            await world.stub.DraftTool(pb.DraftToolRequest(draft=made), metadata=BOB)
        except grpc.aio.AioRpcError as error:
            found.add(reason(error))

    assert found == {"QUOTA_EXCEEDED"}


async def test_another_agent_reaches_nothing_of_it(world: World) -> None:
    await world.drafted()
    await world.tested()
    stub = world.stub
    for call in (
        stub.DraftTool(pb.DraftToolRequest(draft=draft(name=FULL)), metadata=ALICE),
        stub.GetDraft(pb.GetDraftRequest(name=FULL), metadata=ALICE),
        stub.ListDrafts(pb.ListDraftsRequest(parent="agents/bob"), metadata=ALICE),
        stub.TestDraft(pb.TestDraftRequest(name=FULL), metadata=ALICE),
        stub.ShareDraft(pb.ShareDraftRequest(name=FULL), metadata=ALICE),
        stub.DeleteDraft(pb.DeleteDraftRequest(name=FULL), metadata=ALICE),
        stub.GetToolVersion(pb.GetToolVersionRequest(name=f"{FULL}/versions/1"), metadata=ALICE),
    ):
        assert await refused(call) == "PERMISSION_DENIED"
    namesake = stub.GetDraft(pb.GetDraftRequest(name=NAME), metadata=STRANGER)
    assert await refused(namesake) == "TOOL_NOT_FOUND"
    listed = await stub.ListTools(tool_pb2.ListToolsRequest(query="double"), metadata=ALICE)
    assert list(listed.tools) == []


async def test_what_a_marked_author_describes_marks_whoever_reads_it(world: World) -> None:
    world.access.marked["bob"] = "a web page"
    shared = await world.shared("# double")
    assert shared.untrusted
    await world.called(ALICE)

    assert "alice" in world.access.marked
