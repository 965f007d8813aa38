"""Drafts of a fake kernel: kept, tested by nothing but their number of examples, shared when asked twice."""

from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.tool.v1 import making_pb2 as pb
from aios.api.tool.v1 import resources_pb2 as res
from aios.errors import AlreadyExists, NotFound, PermissionDenied, PreconditionFailed
from aios.testing.caller import ADMIN, Caller


class FakeDrafts:
    """Answers the RPCs about drafts. A source that holds `raise` fails its examples."""

    _tools: dict[str, res.Tool]

    def __init__(self) -> None:
        self._drafts: dict[str, pb.ToolDraft] = {}
        self._versions: dict[str, list[pb.ToolVersion]] = {}

    async def draft_tool(self, request: pb.DraftToolRequest, caller: Caller) -> pb.DraftToolResponse:
        """DraftTool."""
        draft = pb.ToolDraft()
        draft.CopyFrom(request.draft)
        draft.name = caller.resolve(draft.name)
        known = self._drafts.get(draft.name)
        if known is not None and not draft.etag:
            raise AlreadyExists(f"{draft.name} exists already")
        _, owner, _, name = draft.name.split("/")
        draft.state = pb.DRAFT_STATE_DRAFT
        draft.tool = f"tools/{owner}.{name}"
        draft.effect = res.TOOL_EFFECT_PURE
        draft.etag = str(int(known.etag) + 1 if known is not None else 1)
        draft.update_time.CopyFrom(_now())
        self._drafts[draft.name] = draft
        return pb.DraftToolResponse(draft=draft)

    async def get_draft(self, request: pb.GetDraftRequest, caller: Caller) -> pb.GetDraftResponse:
        """GetDraft."""
        return pb.GetDraftResponse(draft=self._draft(request.name, caller))

    async def list_drafts(self, request: pb.ListDraftsRequest, caller: Caller) -> pb.ListDraftsResponse:
        """ListDrafts, in one page."""
        parent = caller.resolve(request.parent)
        found = [one for name, one in sorted(self._drafts.items()) if name.startswith(f"{parent}/")]
        return pb.ListDraftsResponse(drafts=found)

    async def delete_draft(self, request: pb.DeleteDraftRequest, caller: Caller) -> pb.DeleteDraftResponse:
        """DeleteDraft."""
        if self._drafts.pop(caller.resolve(request.name), None) is None and not request.allow_missing:
            raise _missing(request.name)
        return pb.DeleteDraftResponse()

    async def test_draft(self, request: pb.TestDraftRequest, caller: Caller) -> pb.TestDraftResponse:
        """TestDraft."""
        draft = self._draft(request.name, caller)
        passed = "raise" not in draft.python.source
        ends = [
            pb.ToolExampleResult(passed=passed, problem="" if passed else "TOOL_FAILED: it raised")
            for _ in draft.examples
        ]
        draft.test.CopyFrom(pb.ToolTest(passed=passed, sandbox="fake", examples=ends, test_time=_now()))
        if passed:
            draft.state = pb.DRAFT_STATE_OWN if request.own else pb.DRAFT_STATE_TESTED
            self._offer(draft)
        return pb.TestDraftResponse(draft=draft)

    async def share_draft(self, request: pb.ShareDraftRequest, caller: Caller) -> pb.ShareDraftResponse:
        """ShareDraft: the second time a person has approved it."""
        draft = self._draft(request.name, caller)
        if not draft.test.passed:
            raise PreconditionFailed("the draft has to pass its examples", reason="TOOL_NOT_TESTED")
        if not draft.approval:
            draft.approval = f"approvals/share-{draft.etag}"
            return pb.ShareDraftResponse(draft=draft)
        kept = self._versions.setdefault(draft.name, [])
        draft.state, draft.shared_version = pb.DRAFT_STATE_SHARED, len(kept) + 1
        version = pb.ToolVersion(
            name=f"{draft.name}/versions/{draft.shared_version}",
            draft=draft,
            number=draft.shared_version,
            approval=draft.approval,
            current=True,
            share_time=_now(),
        )
        for one in kept:
            one.current = False
        kept.append(version)
        draft.approval = ""
        self._offer(draft)
        return pb.ShareDraftResponse(draft=draft)

    async def list_tool_versions(
        self, request: pb.ListToolVersionsRequest, caller: Caller
    ) -> pb.ListToolVersionsResponse:
        """ListToolVersions, newest first, in one page."""
        kept = self._versions.get(caller.resolve(request.parent), [])
        return pb.ListToolVersionsResponse(versions=reversed(kept))

    async def get_tool_version(
        self, request: pb.GetToolVersionRequest, caller: Caller
    ) -> pb.GetToolVersionResponse:
        """GetToolVersion."""
        return pb.GetToolVersionResponse(version=self._version(request.name, caller))

    async def roll_back_tool(
        self, request: pb.RollBackToolRequest, caller: Caller
    ) -> pb.RollBackToolResponse:
        """RollBackTool."""
        _administers(caller)
        wanted = self._version(request.name, caller)
        for one in self._versions[wanted.draft.name]:
            one.current = one is wanted
        return pb.RollBackToolResponse(version=wanted)

    async def revoke_tool(self, request: pb.RevokeToolRequest, caller: Caller) -> pb.RevokeToolResponse:
        """RevokeTool."""
        _administers(caller)
        kept = self._versions.get(caller.resolve(request.name), [])
        if not kept:
            raise _missing(request.name)
        for one in kept:
            one.current, one.revoke_reason = False, request.reason
            one.revoke_time.CopyFrom(_now())
        self._tools.pop(kept[-1].draft.tool, None)
        return pb.RevokeToolResponse(revoked_count=len(kept))

    def _offer(self, draft: pb.ToolDraft) -> None:
        self._tools[draft.tool] = res.Tool(
            name=draft.tool,
            description=draft.description,
            parameters_schema_json=draft.parameters_schema_json,
            effect=draft.effect,
            owner=draft.name.partition("/drafts/")[0],
            python=res.PythonDriver(function=draft.python.function),
            available=True,
            etag=draft.etag,
        )

    def _draft(self, name: str, caller: Caller) -> pb.ToolDraft:
        found = self._drafts.get(caller.resolve(name))
        if found is None:
            raise _missing(name)
        return found

    def _version(self, name: str, caller: Caller) -> pb.ToolVersion:
        draft, _, number = caller.resolve(name).partition("/versions/")
        kept = self._versions.get(draft, [])
        if not 0 < int(number) <= len(kept):
            raise _missing(name)
        return kept[int(number) - 1]


def _administers(caller: Caller) -> None:
    if caller.agent != ADMIN:
        raise PermissionDenied("persons and administrators take versions back")


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no {name}", reason="TOOL_NOT_FOUND", metadata={"draft": name})


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
