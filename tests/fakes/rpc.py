"""A real server on a free port around a servicer under test, and a channel to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2

from services.chassis.auth.authz_client import Authorizer
from services.chassis.auth.tokens import Authenticator
from services.chassis.rpc import client
from services.chassis.rpc.status import status_of
from services.chassis.runtime.server import ChassisServer, ServerConfig, Servicer
from tests.fakes.access import AllowOwner
from tests.fakes.tokens import ISSUER_FOR_TESTS


@asynccontextmanager
async def running(
    *servicers: Servicer,
    authenticator: Authenticator | None = None,
    authorizer: Authorizer | None = None,
    **options: Any,
) -> AsyncIterator[ChassisServer]:
    """Run a ChassisServer on free ports; `options` go to its constructor."""
    options.setdefault("config", ServerConfig())
    server = ChassisServer(
        "test",
        servicers=servicers,
        authenticator=authenticator or ISSUER_FOR_TESTS.verifier(),
        authorizer=authorizer or AllowOwner(),
        **options,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(grace=0)


@asynccontextmanager
async def connected(server: ChassisServer) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel to a running server."""
    channel = client.channel(f"127.0.0.1:{server.port}", options=[("grpc.use_local_subchannel_pool", 1)])
    async with channel:
        yield channel


@asynccontextmanager
async def serving(*servicers: Servicer, **options: Any) -> AsyncIterator[grpc.aio.Channel]:
    """Run a server around the servicers and yield a channel to it.

    A servicer is (add_XServicer_to_server, servicer, the file's DESCRIPTOR). Callers show
    `metadata=tokens.metadata("planner")`. Further options as for `running`.
    """
    async with running(*servicers, **options) as server, connected(server) as channel:
        yield channel


def reason(failure: grpc.aio.AioRpcError) -> str:
    """Return the ErrorInfo reason of a failed call; empty when it carries none."""
    info = error_details_pb2.ErrorInfo()
    status = status_of(failure)
    for detail in status.details if status else ():
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def metadata_of(failure: grpc.aio.AioRpcError) -> dict[str, str]:
    """Return the ErrorInfo metadata of a failed call; empty when it carries none."""
    info = error_details_pb2.ErrorInfo()
    status = status_of(failure)
    for detail in status.details if status else ():
        if detail.Unpack(info):
            return dict(info.metadata)
    return {}
