"""Where the tools of a fake kernel may send to, and APIs whose documents it does not read."""

import hashlib

from aios.api.tool.v1 import egress_pb2, openapi_pb2
from aios.errors import AlreadyExists, NotFound, PermissionDenied
from aios.testing.caller import ADMIN, Caller


class FakeWeb:
    """Answers the RPCs about APIs and egress. Of a document it keeps only the SHA-256."""

    def __init__(self) -> None:
        self._egress = egress_pb2.EgressPolicy(allowed=["https://*"])
        self._apis: dict[str, str] = {}

    async def register_open_api(
        self, request: openapi_pb2.RegisterOpenApiRequest, caller: Caller
    ) -> openapi_pb2.RegisterOpenApiResponse:
        """RegisterOpenApi: each wanted operation becomes a tool that is told and cannot be called."""
        del caller
        if request.name in self._apis and not (request.dry_run or request.replaces_sha256):
            raise AlreadyExists(f"tools of {request.name} are there already", reason="ALREADY_EXISTS")
        digest = hashlib.sha256(request.document).hexdigest()
        if not request.dry_run:
            self._apis[request.name] = digest
        kind = openapi_pb2.OPEN_API_CHANGE_KIND_ADDED
        changes = [
            openapi_pb2.OpenApiChange(tool=f"{request.name}.{one}", kind=kind) for one in request.operations
        ]
        return openapi_pb2.RegisterOpenApiResponse(document_sha256=digest, changes=changes)

    async def unregister_open_api(
        self, request: openapi_pb2.UnregisterOpenApiRequest, caller: Caller
    ) -> openapi_pb2.UnregisterOpenApiResponse:
        """UnregisterOpenApi."""
        del caller
        if self._apis.pop(request.name, None) is None and not request.allow_missing:
            raise NotFound(f"there are no tools of {request.name}", reason="TOOL_NOT_FOUND")
        return openapi_pb2.UnregisterOpenApiResponse()

    async def get_egress_policy(
        self, request: egress_pb2.GetEgressPolicyRequest, caller: Caller
    ) -> egress_pb2.GetEgressPolicyResponse:
        """GetEgressPolicy."""
        del request
        _administers(caller)
        return egress_pb2.GetEgressPolicyResponse(policy=self._egress)

    async def set_egress_policy(
        self, request: egress_pb2.SetEgressPolicyRequest, caller: Caller
    ) -> egress_pb2.SetEgressPolicyResponse:
        """SetEgressPolicy."""
        _administers(caller)
        kept = egress_pb2.EgressPolicy(
            narrowed=request.policy.narrowed,
            origins=request.policy.origins,
            etag=str(int(self._egress.etag or "0") + 1),
            allowed=self._egress.allowed,
        )
        self._egress = kept
        return egress_pb2.SetEgressPolicyResponse(policy=kept)


def _administers(caller: Caller) -> None:
    if caller.agent != ADMIN:
        raise PermissionDenied("where tools send to is for administrators")
