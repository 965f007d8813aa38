"""The gRPC face of the context manager: each method converts, calls a use case, converts back."""

from aios.api.context.v1 import context_pb2, context_pb2_grpc
from services.chassis.auth.identity import Caller, current_caller
from services.chassis.rpc import names, paging
from services.chassis.rpc.wire import quota_usage, request_identity
from services.chassis.shares import Openings
from services.context.service.facade import ContextService
from services.context.wire import common
from services.context.wire import contexts as wire
from services.context.wire import snapshots as snapshot_wire


class ContextServicer(context_pb2_grpc.ContextServiceServicer):
    """Implements aios.api.context.v1.ContextService. The proto says what each method promises."""

    def __init__(self, service: ContextService, openings: Openings | None = None) -> None:
        self._openings = openings
        self._conversations = service.conversations
        self._windows = service.windows
        self._snapshots = service.snapshots

    async def CreateContext(
        self, request: context_pb2.CreateContextRequest, _context: object
    ) -> context_pb2.CreateContextResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "CreateContext", request)
        id_ = common.id_in(request.context.name, wire.CONTEXTS, caller, "context.name")
        drafts = wire.drafts(request.messages)
        made = await self._conversations.create(scope, actor, id_, wire.settings(request.context), drafts)
        return context_pb2.CreateContextResponse(context=wire.context(scope, made))

    async def GetContext(
        self, request: context_pb2.GetContextRequest, _context: object
    ) -> context_pb2.GetContextResponse:
        caller = current_caller()
        scope = caller.scope
        found = await self._conversations.get(scope, _context_id(request.name, caller))
        return context_pb2.GetContextResponse(context=wire.context(scope, found))

    async def UpdateContext(
        self, request: context_pb2.UpdateContextRequest, _context: object
    ) -> context_pb2.UpdateContextResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "UpdateContext", request)
        id_ = common.id_in(request.context.name, wire.CONTEXTS, caller, "context.name")
        etag = request.context.etag
        made = await self._conversations.update(scope, actor, id_, wire.changes(request), etag)
        return context_pb2.UpdateContextResponse(context=wire.context(scope, made))

    async def AppendMessages(
        self, request: context_pb2.AppendMessagesRequest, _context: object
    ) -> context_pb2.AppendMessagesResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "AppendMessages", request)
        id_, drafts = _context_id(request.name, caller), wire.drafts(request.messages)
        done = await self._conversations.append(scope, actor, id_, drafts, request.etag)
        return context_pb2.AppendMessagesResponse(
            context=wire.context(scope, done.context), first_position=done.first_position
        )

    async def ListMessages(
        self, request: context_pb2.ListMessagesRequest, _context: object
    ) -> context_pb2.ListMessagesResponse:
        caller = current_caller()
        scope = caller.scope
        size = paging.page_size(request.page_size, default=wire.MESSAGES_PAGE, maximum=wire.MESSAGES_MOST)
        last, newest = wire.message_position(request, scope), request.newest_first
        found = await self._conversations.messages(
            scope,
            _context_id(request.name, caller),
            after=request.after_position if newest else max(request.after_position, last),
            before=last if newest else 0,
            limit=size + 1,
            newest_first=newest,
        )
        return wire.message_page(request, scope, found, size)

    async def PinMessage(
        self, request: context_pb2.PinMessageRequest, _context: object
    ) -> context_pb2.PinMessageResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "PinMessage", request)
        id_ = _context_id(request.name, caller)
        done = await self._conversations.pin(
            scope, actor, id_, request.position, request.etag, pinned=request.pinned
        )
        message = wire.message(done.message, pinned=done.pinned)
        return context_pb2.PinMessageResponse(message=message, untrusted=done.untrusted)

    async def AssembleWindow(
        self, request: context_pb2.AssembleWindowRequest, _context: object
    ) -> context_pb2.AssembleWindowResponse:
        caller = current_caller()
        id_, own = _context_id(request.name, caller), caller.owner == caller.agent
        return wire.window(
            await self._windows.assemble(caller.scope, id_, wire.window_request(request), own=own)
        )

    async def ForkContext(
        self, request: context_pb2.ForkContextRequest, _context: object
    ) -> context_pb2.ForkContextResponse:
        caller = current_caller()
        scope, actor = caller.scope, request_identity(caller, "ForkContext", request)
        source = names.parse_in(request.source, wire.CONTEXTS, me=caller.agent, field="source")
        made = await self._conversations.fork(
            scope,
            actor,
            _context_id(request.name, caller),
            (source.owner, source.id),
            request.at_position,
        )
        return context_pb2.ForkContextResponse(context=wire.context(scope, made))

    async def ListContexts(
        self, request: context_pb2.ListContextsRequest, _context: object
    ) -> context_pb2.ListContextsResponse:
        scope = current_caller().scope
        size = paging.page_size(request.page_size, default=wire.PAGE, maximum=wire.MOST)
        after = wire.context_position(request, scope)
        found = await self._conversations.page(
            scope, labels=dict(request.labels), after=after, limit=size + 1
        )
        return wire.context_page(request, scope, found, size)

    async def DeleteContext(
        self, request: context_pb2.DeleteContextRequest, _context: object
    ) -> context_pb2.DeleteContextResponse:
        caller = current_caller()
        actor = request_identity(caller, "DeleteContext", request)
        id_ = _context_id(request.name, caller)
        missing = request.allow_missing
        await self._conversations.delete(caller.scope, actor, id_, request.etag, allow_missing=missing)
        return context_pb2.DeleteContextResponse()

    async def SaveSnapshot(
        self, request: context_pb2.SaveSnapshotRequest, _context: object
    ) -> context_pb2.SaveSnapshotResponse:
        caller = current_caller()
        save = snapshot_wire.save(request, caller)
        return snapshot_wire.saved(await self._snapshots.save(caller.scope, save))

    async def LoadSnapshot(
        self, request: context_pb2.LoadSnapshotRequest, _context: object
    ) -> context_pb2.LoadSnapshotResponse:
        caller = current_caller()
        scope = caller.scope
        found = await self._snapshots.load(scope, _generation(request.name, caller))
        return context_pb2.LoadSnapshotResponse(snapshot=snapshot_wire.snapshot(scope, found))

    async def ClaimSnapshot(
        self, request: context_pb2.ClaimSnapshotRequest, _context: object
    ) -> context_pb2.ClaimSnapshotResponse:
        caller = current_caller()
        scope, generation = caller.scope, _generation(request.name, caller)
        found = await self._snapshots.claim(scope, generation, request.owner, request.expected_epoch)
        return context_pb2.ClaimSnapshotResponse(snapshot=snapshot_wire.snapshot(scope, found))

    async def ListSnapshots(
        self, request: context_pb2.ListSnapshotsRequest, _context: object
    ) -> context_pb2.ListSnapshotsResponse:
        scope = current_caller().scope
        size = paging.page_size(request.page_size, default=snapshot_wire.PAGE, maximum=snapshot_wire.MOST)
        before = snapshot_wire.position(request, scope)
        found = await self._snapshots.page(
            scope, before=before, unfinished=request.unfinished_only, limit=size + 1
        )
        return snapshot_wire.page(request, scope, found, size)

    async def DeleteSnapshot(
        self, request: context_pb2.DeleteSnapshotRequest, _context: object
    ) -> context_pb2.DeleteSnapshotResponse:
        caller = current_caller()
        actor = request_identity(caller, "DeleteSnapshot", request)
        generation = _generation(request.name, caller)
        await self._snapshots.delete(caller.scope, actor, generation, request.epoch)
        return context_pb2.DeleteSnapshotResponse()

    async def GetUsage(
        self, _request: context_pb2.GetUsageRequest, _context: object
    ) -> context_pb2.GetUsageResponse:
        caller = current_caller()
        used = await self._conversations.quotas(caller.scope)
        return context_pb2.GetUsageResponse(quotas=quota_usage(used, caller, self._openings))


def _context_id(name: str, caller: Caller) -> str:
    return common.id_in(name, wire.CONTEXTS, caller)


def _generation(name: str, caller: Caller) -> str:
    return common.id_in(name, snapshot_wire.GENERATIONS, caller)
