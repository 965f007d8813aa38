"""The gRPC face of the tool manager: each method converts, calls a use case, converts back."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from aios.api.tool.v1 import (
    egress_pb2,
    making_pb2,
    mcp_pb2,
    openapi_pb2,
    secrets_pb2,
    tool_pb2,
    tool_pb2_grpc,
)
from services.chassis.auth.identity import Kind, current_caller
from services.chassis.rpc import paging
from services.chassis.rpc.wire import quota_usage, request_identity
from services.chassis.shares import Openings
from services.tool.service.facade import ToolService
from services.tool.service.sharing import TakenBack
from services.tool.wire import calls as call_wire
from services.tool.wire import common
from services.tool.wire import egress as egress_wire
from services.tool.wire import making as making_wire
from services.tool.wire import openapi as openapi_wire
from services.tool.wire import providers as provider_wire
from services.tool.wire import secrets as secret_wire
from services.tool.wire import servers as server_wire
from services.tool.wire import tools as tool_wire


class ToolServicer(tool_pb2_grpc.ToolServiceServicer):
    """Implements aios.api.tool.v1.ToolService. The proto says what each method promises."""

    def __init__(self, service: ToolService, openings: Openings | None = None) -> None:
        self._openings = openings
        self._registry = service.registry
        self._calls = service.calls
        self._providers = service.providers
        self._secrets = service.secrets
        self._egress = service.egress
        self._making = service.making
        self._sharing = service.sharing
        self._apis = service.apis
        self._servers = service.servers

    async def RegisterTool(
        self, request: tool_pb2.RegisterToolRequest, _context: object
    ) -> tool_pb2.RegisterToolResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "RegisterTool", request)
        tool = tool_wire.read(request.tool, caller)
        breaking = request.allow_breaking
        made = await self._registry.register(scope, actor, tool, request.tool.etag, allow_breaking=breaking)
        return tool_pb2.RegisterToolResponse(tool=tool_wire.write(made, caller))

    async def UnregisterTool(
        self, request: tool_pb2.UnregisterToolRequest, _context: object
    ) -> tool_pb2.UnregisterToolResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "UnregisterTool", request)
        id_, missing = common.tool_id(request.name), request.allow_missing
        await self._registry.unregister(scope, actor, id_, request.etag, allow_missing=missing)
        return tool_pb2.UnregisterToolResponse()

    async def ListTools(
        self, request: tool_pb2.ListToolsRequest, _context: object
    ) -> tool_pb2.ListToolsResponse:
        scope = current_caller().scope
        size = paging.page_size(request.page_size, default=tool_wire.PAGE, maximum=tool_wire.MOST)
        if request.search:
            best = await self._registry.search(scope, tool_wire.query(request), request.search, limit=size)
            return tool_wire.only_page(request, scope, best)
        after = tool_wire.position(request, scope)
        found = await self._registry.page(scope, tool_wire.query(request), after=after, limit=size + 1)
        return tool_wire.page(request, scope, found, size)

    async def GetTool(self, request: tool_pb2.GetToolRequest, _context: object) -> tool_pb2.GetToolResponse:
        caller = current_caller()
        shown = await self._registry.show(caller.scope, common.tool_id(request.name))
        return tool_pb2.GetToolResponse(tool=tool_wire.write(shown, caller))

    async def CallTool(
        self, request: tool_pb2.CallToolRequest, _context: object
    ) -> AsyncIterator[tool_pb2.CallToolResponse]:
        caller = current_caller()
        scope, sequence = common.own_scope(caller), 0
        async with aclosing(self._calls.call(scope, call_wire.call_request(request, caller))) as events:
            async for happened in events:
                sequence += 1
                yield call_wire.event(scope, request, sequence, happened)

    async def CancelCall(
        self, request: tool_pb2.CancelCallRequest, _context: object
    ) -> tool_pb2.CancelCallResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "CancelCall", request)
        ended = await self._calls.cancel(scope, actor, common.call_id(request.name, caller)[1])
        return tool_pb2.CancelCallResponse(call=call_wire.call(scope, ended))

    async def GetCall(self, request: tool_pb2.GetCallRequest, _context: object) -> tool_pb2.GetCallResponse:
        caller = current_caller()
        scope = caller.scope
        found = await self._calls.get(scope, common.call_id(request.name, caller)[1])
        return tool_pb2.GetCallResponse(call=call_wire.call(scope, found))

    async def ListCalls(
        self, request: tool_pb2.ListCallsRequest, _context: object
    ) -> tool_pb2.ListCallsResponse:
        caller = current_caller()
        scope = caller.scope
        size = paging.page_size(request.page_size, default=call_wire.PAGE, maximum=call_wire.MOST)
        if not request.parent and caller.kind is not Kind.AGENT:
            place, wanted = call_wire.place(request, scope.tenant), call_wire.query(request)
            rows = await self._calls.page_of_tenant(scope.tenant, wanted, before=place, limit=size + 1)
            return call_wire.page_of_tenant(request, scope.tenant, rows, size)
        before = call_wire.position(request, scope)
        found = await self._calls.page(scope, call_wire.query(request), before=before, limit=size + 1)
        return call_wire.page(request, scope, found, size)

    async def AddMcpServer(
        self, request: tool_pb2.AddMcpServerRequest, _context: object
    ) -> tool_pb2.AddMcpServerResponse:
        caller = current_caller()
        actor, server = (
            request_identity(caller, "AddMcpServer", request),
            server_wire.read(request.server, caller),
        )
        person, etag = server_wire.is_person(caller), request.server.etag
        shown, tools = await self._servers.add(caller.scope, actor, server, etag, person=person)
        return server_wire.added(shown, tools, caller)

    async def RemoveMcpServer(
        self, request: tool_pb2.RemoveMcpServerRequest, _context: object
    ) -> tool_pb2.RemoveMcpServerResponse:
        caller = current_caller()
        actor, id_ = request_identity(caller, "RemoveMcpServer", request), server_wire.server_id(request.name)
        missing, person = request.allow_missing, server_wire.is_person(caller)
        remove = self._servers.remove
        await remove(caller.scope, actor, id_, request.etag, allow_missing=missing, person=person)
        return tool_pb2.RemoveMcpServerResponse()

    async def ListMcpServers(
        self, request: tool_pb2.ListMcpServersRequest, _context: object
    ) -> tool_pb2.ListMcpServersResponse:
        caller = current_caller()
        size = paging.page_size(request.page_size, default=server_wire.PAGE, maximum=server_wire.MOST)
        after = server_wire.position(request, caller.scope)
        found = await self._servers.page(caller.scope, after=after, limit=size + 1)
        return server_wire.page(caller.scope, found, size, caller)

    async def ReviewMcpServer(
        self, request: mcp_pb2.ReviewMcpServerRequest, _context: object
    ) -> mcp_pb2.ReviewMcpServerResponse:
        caller = current_caller()
        found = await self._servers.review(caller.scope, server_wire.server_id(request.name))
        return server_wire.review(found, caller)

    async def AcceptMcpServer(
        self, request: mcp_pb2.AcceptMcpServerRequest, _context: object
    ) -> mcp_pb2.AcceptMcpServerResponse:
        caller = current_caller()
        server_wire.expect_person(caller)
        actor, id_ = request_identity(caller, "AcceptMcpServer", request), server_wire.server_id(request.name)
        found = await self._servers.accept(caller.scope, actor, id_, request.offered_sha256)
        return mcp_pb2.AcceptMcpServerResponse(server=server_wire.write(found.shown, caller))

    async def SetSecret(
        self, request: secrets_pb2.SetSecretRequest, _context: object
    ) -> secrets_pb2.SetSecretResponse:
        caller = current_caller()
        id_, actor = secret_wire.secret_id(request.name), secret_wire.setting(caller, request)
        kept = await self._secrets.set(caller.scope, actor, id_, request.value, request.bound_to)
        return secrets_pb2.SetSecretResponse(secret=secret_wire.write(kept))

    async def ListSecrets(
        self, request: secrets_pb2.ListSecretsRequest, _context: object
    ) -> secrets_pb2.ListSecretsResponse:
        caller = current_caller()
        size = paging.page_size(request.page_size, default=secret_wire.PAGE, maximum=secret_wire.MOST)
        after = secret_wire.position(request, caller.scope)
        found = await self._secrets.page(caller.scope, caller.principal, after=after, limit=size + 1)
        return secret_wire.page(caller.scope, found, size)

    async def DeleteSecret(
        self, request: secrets_pb2.DeleteSecretRequest, _context: object
    ) -> secrets_pb2.DeleteSecretResponse:
        caller = current_caller()
        actor, id_ = request_identity(caller, "DeleteSecret", request), secret_wire.secret_id(request.name)
        await self._secrets.delete(caller.scope, actor, id_, allow_missing=request.allow_missing)
        return secrets_pb2.DeleteSecretResponse()

    async def RegisterOpenApi(
        self, request: openapi_pb2.RegisterOpenApiRequest, _context: object
    ) -> openapi_pb2.RegisterOpenApiResponse:
        caller = current_caller()
        actor = request_identity(caller, "RegisterOpenApi", request)
        result = await self._apis.register(caller.scope, actor, openapi_wire.read(request, caller))
        return openapi_wire.write(result)

    async def UnregisterOpenApi(
        self, request: openapi_pb2.UnregisterOpenApiRequest, _context: object
    ) -> openapi_pb2.UnregisterOpenApiResponse:
        caller = current_caller()
        actor, api = request_identity(caller, "UnregisterOpenApi", request), common.tool_id(request.name)
        await self._apis.unregister(caller.scope, actor, api, allow_missing=request.allow_missing)
        return openapi_pb2.UnregisterOpenApiResponse()

    async def SetEgressPolicy(
        self, request: egress_pb2.SetEgressPolicyRequest, _context: object
    ) -> egress_pb2.SetEgressPolicyResponse:
        caller = current_caller()
        actor = request_identity(caller, "SetEgressPolicy", request)
        origins = egress_wire.origins(request.policy)
        kept = await self._egress.set(caller.scope, actor, origins, request.policy.etag)
        return egress_pb2.SetEgressPolicyResponse(policy=egress_wire.write(kept))

    async def GetEgressPolicy(
        self, _request: egress_pb2.GetEgressPolicyRequest, _context: object
    ) -> egress_pb2.GetEgressPolicyResponse:
        caller = current_caller()
        shown = await self._egress.get(caller.scope, admin=caller.kind is Kind.ADMIN)
        return egress_pb2.GetEgressPolicyResponse(policy=egress_wire.write(shown))

    async def DraftTool(
        self, request: making_pb2.DraftToolRequest, _context: object
    ) -> making_pb2.DraftToolResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "DraftTool", request)
        new = making_wire.read(request.draft, caller, self._making.now())
        kept = await self._making.draft(scope, actor, new, request.draft.etag)
        seen = await self._making.show(scope, kept)
        return making_pb2.DraftToolResponse(draft=making_wire.write(seen))

    async def GetDraft(
        self, request: making_pb2.GetDraftRequest, _context: object
    ) -> making_pb2.GetDraftResponse:
        caller = current_caller()
        found = await self._making.get(caller.scope, making_wire.draft_id(request.name, caller))
        seen = await self._making.show(caller.scope, found)
        return making_pb2.GetDraftResponse(draft=making_wire.write(seen))

    async def ListDrafts(
        self, request: making_pb2.ListDraftsRequest, _context: object
    ) -> making_pb2.ListDraftsResponse:
        scope = current_caller().scope
        size = paging.page_size(request.page_size, default=making_wire.PAGE, maximum=making_wire.MOST)
        after = making_wire.drafts_after(request, scope)
        found = await self._making.page(scope, after=after, limit=size + 1)
        return making_wire.drafts_page(scope, found, size)

    async def DeleteDraft(
        self, request: making_pb2.DeleteDraftRequest, _context: object
    ) -> making_pb2.DeleteDraftResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "DeleteDraft", request)
        name, missing = making_wire.draft_id(request.name, caller), request.allow_missing
        await self._making.delete(scope, actor, name, request.etag, allow_missing=missing)
        return making_pb2.DeleteDraftResponse()

    async def TestDraft(
        self, request: making_pb2.TestDraftRequest, _context: object
    ) -> making_pb2.TestDraftResponse:
        caller = current_caller()
        name = making_wire.draft_id(request.name, caller)
        tested = await self._making.test(caller.scope, name, request.etag, own=request.own)
        seen = await self._making.show(caller.scope, tested)
        return making_pb2.TestDraftResponse(draft=making_wire.write(seen))

    async def ShareDraft(
        self, request: making_pb2.ShareDraftRequest, _context: object
    ) -> making_pb2.ShareDraftResponse:
        caller = current_caller()
        name = making_wire.draft_id(request.name, caller)
        shared = await self._sharing.share(caller.scope, name, request.etag)
        seen = await self._making.show(caller.scope, shared)
        return making_pb2.ShareDraftResponse(draft=making_wire.write(seen))

    async def ListToolVersions(
        self, request: making_pb2.ListToolVersionsRequest, _context: object
    ) -> making_pb2.ListToolVersionsResponse:
        caller = current_caller()
        scope, name = caller.scope, making_wire.draft_id(request.parent, caller, "parent")
        size = paging.page_size(request.page_size, default=making_wire.PAGE, maximum=making_wire.MOST)
        before = making_wire.versions_before(request, scope)
        found = await self._making.versions(scope, name, before=before, limit=size + 1)
        current = await self._making.current(scope, name)
        return making_wire.versions_page(request, scope, found, current, size)

    async def GetToolVersion(
        self, request: making_pb2.GetToolVersionRequest, _context: object
    ) -> making_pb2.GetToolVersionResponse:
        caller = current_caller()
        name, number = making_wire.version_id(request.name, caller)
        version, diff = await self._making.version(caller.scope, name, number)
        current = await self._making.current(caller.scope, name)
        return making_pb2.GetToolVersionResponse(version=making_wire.write_version(version, current, diff))

    async def RollBackTool(
        self, request: making_pb2.RollBackToolRequest, _context: object
    ) -> making_pb2.RollBackToolResponse:
        caller = current_caller()
        by = TakenBack(request_identity(caller, "RollBackTool", request), request.reason)
        name, number = making_wire.version_id(request.name, caller)
        version = await self._sharing.roll_back(caller.scope, by, name, number)
        return making_pb2.RollBackToolResponse(version=making_wire.write_version(version, number))

    async def RevokeTool(
        self, request: making_pb2.RevokeToolRequest, _context: object
    ) -> making_pb2.RevokeToolResponse:
        caller = current_caller()
        by = TakenBack(request_identity(caller, "RevokeTool", request), request.reason)
        count = await self._sharing.revoke(caller.scope, by, making_wire.draft_id(request.name, caller))
        return making_pb2.RevokeToolResponse(revoked_count=count)

    async def GetUsage(
        self, _request: tool_pb2.GetUsageRequest, _context: object
    ) -> tool_pb2.GetUsageResponse:
        caller = current_caller()
        used = await self._calls.usage(caller.scope)
        return tool_pb2.GetUsageResponse(quotas=quota_usage(used, caller, self._openings))

    async def TakeCalls(
        self, request: tool_pb2.TakeCallsRequest, _context: object
    ) -> AsyncIterator[tool_pb2.TakeCallsResponse]:
        caller = current_caller()
        events = self._providers.take(
            caller.scope,
            [common.tool_id(name, "tools") for name in request.tools],
            capacity=request.capacity or 1,
            instance=request.instance,
            process=request.process_id,
            held=provider_wire.in_hand(request, caller),
        )
        async with aclosing(events):
            async for happened in events:
                yield provider_wire.event(happened)

    async def ReportCallProgress(
        self, request: tool_pb2.ReportCallProgressRequest, _context: object
    ) -> tool_pb2.ReportCallProgressResponse:
        caller = current_caller()
        held = provider_wire.held(request.call, request.lease_id, caller)
        progress = call_wire.progress(request.progress, caller) if request.HasField("progress") else None
        return provider_wire.prolonged(self._providers.report(common.own_scope(caller), held, progress))

    async def CompleteCall(
        self, request: tool_pb2.CompleteCallRequest, _context: object
    ) -> tool_pb2.CompleteCallResponse:
        caller = current_caller()
        held = provider_wire.held(request.call, request.lease_id, caller)
        outcome = call_wire.outcome(request, caller)
        state = await self._providers.complete(common.own_scope(caller), held, outcome)
        return tool_pb2.CompleteCallResponse(state=call_wire.STATES_BACK[state])
