"""`kernel.web`: tools of HTTP APIs, and where tools may send to."""

import uuid
from collections.abc import Mapping, Sequence

from aios._transport import Transport
from aios._wire import web as wire
from aios._wire.common import duration
from aios.api.tool.v1 import egress_pb2, openapi_pb2
from aios.types.web import ApiResult, EgressInfo


class Web:
    """HTTP APIs as tools. An API is named by the prefix of its tools, `petstore` or `tools/petstore`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def register_api(
        self,
        api: str,
        document: bytes | str,
        *,
        base_url: str = "",
        operations: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, str] | None = None,
        vouched: bool = False,
        replaces: str = "",
        allow_breaking: bool = False,
        dry_run: bool = False,
        call_timeout: float | None = None,
        max_response_bytes: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ApiResult:
        """Make tools of the operations of an OpenAPI document (3.0 or 3.1, JSON or YAML); tell what changes.

        Calls go to `base_url`; the servers that the document names are only told, by `dry_run`, which changes
        nothing. `replaces` is the SHA-256 of the document before. `operations`: ids, by default all. For
        administrators: `secret_headers`, header to secret, and `vouched`, by which GET is idempotent and
        results are trusted. Units of `call_timeout`: seconds. Raises InvalidRequest, AlreadyExists, NotFound,
        Conflict, PermissionDenied, QuotaExceeded, PreconditionFailed while calls need what changes.
        """
        request = openapi_pb2.RegisterOpenApiRequest(
            name=wire.api_name(api),
            document=document.encode() if isinstance(document, str) else document,
            base_url=base_url,
            operations=operations,
            headers=headers or {},
            secret_headers=secret_headers or {},
            vouched=vouched,
            replaces_sha256=replaces,
            allow_breaking=allow_breaking,
            dry_run=dry_run,
            timeout=None if call_timeout is None else duration(call_timeout),
            max_response_bytes=max_response_bytes,
            request_id=request_id or uuid.uuid4().hex,
        )
        response = await self._transport.call(request, openapi_pb2.RegisterOpenApiResponse, timeout=timeout)
        return wire.result(response)

    async def unregister_api(
        self, api: str, *, missing_ok: bool = False, timeout: float | None = None
    ) -> None:
        """Remove all tools of an API. Raises NotFound unless `missing_ok`, PermissionDenied."""
        request = openapi_pb2.UnregisterOpenApiRequest(name=wire.api_name(api), allow_missing=missing_ok)
        await self._transport.call(request, openapi_pb2.UnregisterOpenApiResponse, timeout=timeout)

    async def egress(self, *, timeout: float | None = None) -> EgressInfo:
        """Return where the tenant's tools may send to. For administrators. Raises PermissionDenied."""
        request = egress_pb2.GetEgressPolicyRequest()
        response = await self._transport.call(request, egress_pb2.GetEgressPolicyResponse, timeout=timeout)
        return wire.egress(response.policy)

    async def set_egress(
        self,
        origins: Sequence[str] | None,
        *,
        etag: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> EgressInfo:
        """Say which of the origins that the operator allows tools may reach. For administrators.

        None: all of them; an empty sequence: nothing. `https://*.example.com` is every name below that one,
        `https://*` every host. Raises InvalidRequest, Conflict for another `etag`, PermissionDenied.
        """
        policy = egress_pb2.EgressPolicy(narrowed=origins is not None, origins=origins or (), etag=etag)
        request = egress_pb2.SetEgressPolicyRequest(policy=policy, request_id=request_id or uuid.uuid4().hex)
        response = await self._transport.call(request, egress_pb2.SetEgressPolicyResponse, timeout=timeout)
        return wire.egress(response.policy)
