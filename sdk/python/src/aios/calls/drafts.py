"""`kernel.drafts`: make tools, test them, share them once a person has approved."""

import json
import uuid
from collections.abc import Sequence

from aios._paging import pages
from aios._transport import Transport
from aios._wire import drafts as wire
from aios._wire.common import agent_name, duration
from aios.api.tool.v1 import making_pb2 as pb
from aios.api.tool.v1 import resources_pb2 as res
from aios.types.drafts import DraftInfo, Example, VersionInfo
from aios.types.llm import ToolSpec


class Drafts:
    """The tools that agents make. A draft is named by its id, the caller's own then, or by its whole name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def put(
        self,
        spec: ToolSpec,
        source: str,
        examples: Sequence[Example],
        *,
        function: str = "",
        title: str = "",
        run_timeout: float | None = None,
        max_concurrency: int = 0,
        returns_untrusted: bool = False,
        etag: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> DraftInfo:
        """Keep a draft, or with an etag replace it. It cannot be called before it was tested.

        `source` is a module, `function` the name in it, by default the draft's; `examples` are at least two.
        Raises AlreadyExists, EtagMismatch, InvalidRequest, ToolArgumentsInvalid, QuotaExceeded.
        """
        name = spec.name.rpartition("/")[2]
        draft = pb.ToolDraft(
            name=wire.draft_name(spec.name),
            title=title,
            description=spec.description,
            parameters_schema_json=json.dumps(dict(spec.parameters)) if spec.parameters else "",
            python=res.PythonDriver(source=source, function=function or name.replace("-", "_")),
            examples=[wire.example(one) for one in examples],
            timeout=duration(run_timeout),
            max_concurrency=max_concurrency,
            returns_untrusted=returns_untrusted,
            etag=etag,
        )
        request = pb.DraftToolRequest(draft=draft, request_id=request_id or uuid.uuid4().hex)
        return wire.draft((await self._transport.call(request, pb.DraftToolResponse, timeout=timeout)).draft)

    async def get(self, draft: str, *, timeout: float | None = None) -> DraftInfo:
        """Return a draft with its source. Raises NotFound, PermissionDenied."""
        request = pb.GetDraftRequest(name=wire.draft_name(draft))
        return wire.draft((await self._transport.call(request, pb.GetDraftResponse, timeout=timeout)).draft)

    async def list(self, *, agent: str = "me", timeout: float | None = None) -> list[DraftInfo]:
        """Return an agent's drafts by name, without their sources. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[DraftInfo], str]:
            request = pb.ListDraftsRequest(parent=agent_name(agent), page_size=200, page_token=token)
            response = await self._transport.call(request, pb.ListDraftsResponse, timeout=timeout)
            return [wire.draft(one) for one in response.drafts], response.next_page_token

        return await pages(page, None)

    async def delete(self, draft: str, *, missing_ok: bool = False, timeout: float | None = None) -> None:
        """Forget a draft; what is shared of it stays. Raises NotFound unless `missing_ok`."""
        request = pb.DeleteDraftRequest(name=wire.draft_name(draft), allow_missing=missing_ok)
        await self._transport.call(request, pb.DeleteDraftResponse, timeout=timeout)

    async def test(self, draft: str, *, own: bool = True, timeout: float | None = None) -> DraftInfo:
        """Run a draft's examples in the sandbox; `own`: the caller may call it once they have passed.

        What went wrong stands in the draft's `test`. Raises NotFound, EtagMismatch when it changed meanwhile,
        PreconditionFailed without a sandbox, QuotaExceeded.
        """
        request = pb.TestDraftRequest(name=wire.draft_name(draft), own=own)
        return wire.draft((await self._transport.call(request, pb.TestDraftResponse, timeout=timeout)).draft)

    async def share(self, draft: str, *, timeout: float | None = None) -> DraftInfo:
        """Let everybody call a draft that was tested, or ask a person for that: then `approval` is set.

        Call it again once that was approved. Raises NotFound, PreconditionFailed when it has not passed its
        test as it is, ApprovalRequired, AlreadyExists.
        """
        request = pb.ShareDraftRequest(name=wire.draft_name(draft))
        return wire.draft((await self._transport.call(request, pb.ShareDraftResponse, timeout=timeout)).draft)

    async def versions(self, draft: str, *, timeout: float | None = None) -> Sequence[VersionInfo]:
        """Return what was shared of a draft, newest first. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[VersionInfo], str]:
            parent = wire.draft_name(draft)
            request = pb.ListToolVersionsRequest(parent=parent, page_size=200, page_token=token)
            response = await self._transport.call(request, pb.ListToolVersionsResponse, timeout=timeout)
            return [wire.version(one) for one in response.versions], response.next_page_token

        return await pages(page, None)

    async def version(self, draft: str, number: int, *, timeout: float | None = None) -> VersionInfo:
        """Return a version with its source and what differs from the one before. Raises NotFound."""
        request = pb.GetToolVersionRequest(name=f"{wire.draft_name(draft)}/versions/{number}")
        response = await self._transport.call(request, pb.GetToolVersionResponse, timeout=timeout)
        return wire.version(response.version)

    async def roll_back(
        self, draft: str, number: int, *, reason: str = "", timeout: float | None = None
    ) -> VersionInfo:
        """Make a version what everybody calls. For persons and administrators. Raises NotFound."""
        request = pb.RollBackToolRequest(
            name=f"{wire.draft_name(draft)}/versions/{number}", reason=reason, request_id=uuid.uuid4().hex
        )
        response = await self._transport.call(request, pb.RollBackToolResponse, timeout=timeout)
        return wire.version(response.version)

    async def revoke(self, draft: str, *, reason: str = "", timeout: float | None = None) -> int:
        """Take a shared tool away from everybody, for good; return how many versions it had.

        Calls that run are stopped. For persons and administrators. Raises NotFound.
        """
        request = pb.RevokeToolRequest(
            name=wire.draft_name(draft), reason=reason, request_id=uuid.uuid4().hex
        )
        response = await self._transport.call(request, pb.RevokeToolResponse, timeout=timeout)
        return response.revoked_count
