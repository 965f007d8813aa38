"""The access manager as storage sees it; grants are given and taken with the caller's own token."""

from collections.abc import Awaitable
from datetime import UTC
from typing import Final, TypedDict, TypeVar

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.auth.authz_client import Authorizer, PermissionCheck
from services.chassis.auth.identity import Kind, current_caller
from services.chassis.auth.processes import ACCESS
from services.chassis.rpc import client
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import ServiceUnavailable
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.status import peer_error
from services.storage.model import ShareGrant

T = TypeVar("T")

_SECONDS: Final = 5.0
_PAGE: Final = 1000
_MOST_PAGES: Final = 20


class AccessClient:
    """The Access port over gRPC."""

    def __init__(self, channel: grpc.aio.Channel, authorizer: Authorizer, exchange: TokenExchange) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._authorizer = authorizer
        self._exchange = exchange

    async def require(self, action: str, resource: str) -> None:
        """Check that the running call's caller may act on a resource."""
        principal = current_caller().principal
        await self._authorizer.authorize(PermissionCheck(principal, action, resource, read=True))

    async def give(self, grant: ShareGrant, *, request_id: str) -> ShareGrant:
        """Create a grant."""
        message = resources_pb2.Grant(
            grantee=grant.grantee, resource=grant.resource, prefix=grant.prefix, actions=grant.actions
        )
        if grant.expires_at is not None:
            message.expire_time.FromDatetime(grant.expires_at)
        request = access_pb2.CreateGrantRequest(grant=message, request_id=request_id)
        response = await _answer(self._stub.CreateGrant(request, **await self._options()))
        return _grant(response.grant)

    async def revoke(self, grant_name: str) -> None:
        """Take a grant back."""
        request = access_pb2.RevokeGrantRequest(name=grant_name)
        try:
            await self._stub.RevokeGrant(request, **await self._options())
        except grpc.aio.AioRpcError as failure:
            error = peer_error(failure)
            if error.code is not Code.NOT_FOUND:
                raise error from failure

    async def grants(self, *, resource: str = "", grantee: str = "") -> list[ShareGrant]:
        """List grants in force that the caller may see."""
        found: list[ShareGrant] = []
        token = ""
        for _ in range(_MOST_PAGES):
            request = access_pb2.ListGrantsRequest(
                resource=resource, grantee=grantee, page_size=_PAGE, page_token=token
            )
            response = await _answer(self._stub.ListGrants(request, **await self._options()))
            found += [_grant(each) for each in response.grants]
            token = response.next_page_token
            if not token:
                return found
        # Whoever revokes what it finds must not take a part for the whole.
        raise ServiceUnavailable("there are too many grants to list", retry_after=1.0)

    async def received(self, resource: str) -> list[ShareGrant]:
        """List all grants in force that cover a resource of another agent and let the caller in."""
        if current_caller().principal.kind is not Kind.AGENT:
            return []
        return await self.grants(resource=resource)

    async def _options(self) -> "_Options":
        caller = current_caller()
        metadata = await self._exchange.metadata(caller, ACCESS)
        left = client.remaining(caller)
        return {"metadata": metadata, "timeout": _SECONDS if left is None else min(_SECONDS, left)}


async def _answer(call: Awaitable[T]) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as failure:
        raise peer_error(failure) from failure


class _Options(TypedDict):
    metadata: client.Metadata
    timeout: float


def _grant(message: resources_pb2.Grant) -> ShareGrant:
    expires = message.expire_time.ToDatetime(UTC) if message.HasField("expire_time") else None
    return ShareGrant(
        name=message.name,
        resource=message.resource,
        grantee=message.grantee,
        actions=tuple(message.actions),
        prefix=message.prefix,
        expires_at=expires,
        created_at=message.create_time.ToDatetime(UTC) if message.HasField("create_time") else None,
    )
