"""What the gateway does for its callers, by hand: for tests that speak to a manager past it."""

import asyncio
from pathlib import Path

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from services.chassis.rpc.client import Metadata


async def at_manager(
    data_dir: Path, access: grpc.aio.Channel, token: str, manager: str = "access"
) -> Metadata:
    """Exchange a token as the gateway of a data directory; return the metadata of a call of the manager."""
    stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(access)
    key = await asyncio.to_thread((data_dir / "service-keys" / "gateway.key").read_text)
    shown = access_pb2.ServiceKeyCredential(service="gateway", key=key.strip())
    own = await stub.IssueToken(access_pb2.IssueTokenRequest(service_key=shown))
    request = access_pb2.ExchangeTokenRequest(token=token, audience=manager)
    given = await stub.ExchangeToken(request, metadata=_bearer(own.token))
    return _bearer(given.token)


async def administrator(data_dir: Path, access: grpc.aio.Channel) -> Metadata:
    """Return the metadata of the first administrator's calls of the access manager."""
    token = await asyncio.to_thread((data_dir / "admin.token").read_text)
    return await at_manager(data_dir, access, token.strip())


def _bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)
