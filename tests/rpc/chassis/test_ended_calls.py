"""A call that ended with an error is gone at once: nothing waits for a collection of garbage."""

import asyncio
from typing import Any

import grpc
import pytest

from services.chassis.auth.authz_client import Permission, PermissionCheck
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from services.chassis.rpc.pipeline import _Call
from tests.fakes import tokens
from tests.fakes.access import AllowAll
from tests.fakes.echo import Echo, EchoServicer, EchoStub
from tests.fakes.rings import alive, no_collections
from tests.fakes.rpc import serving
from tests.fakes.waiting import until

PLANNER = tokens.metadata("planner")


class Gone(KernelError):
    """The refusal of these tests."""

    code = Code.NOT_FOUND
    reason = "GONE"


class Denies(AllowAll):
    """Permits nothing."""

    async def authorize(self, _question: PermissionCheck) -> Permission:
        """Raise an error of its own each time: one that is kept would keep the calls it was raised in."""
        raise Gone("gone")


async def gone(_request: Any, _context: Any) -> Any:
    """Refuse."""
    raise Gone("gone")


@pytest.mark.parametrize("refuses", ["handler", "access", "nobody knows who"])
@pytest.mark.parametrize("method", ["unary", "stream_out"])
async def test_a_refused_call_leaves_nothing_to_collect(refuses: str, method: str) -> None:
    servicer = EchoServicer(gone) if refuses == "handler" else EchoServicer()
    authorizer = Denies() if refuses == "access" else AllowAll()
    metadata = () if refuses == "nobody knows who" else PLANNER
    async with serving(servicer.servicer(), authorizer=authorizer) as channel, no_collections():
        for _ in range(5):
            await refused(getattr(EchoStub(channel), method)(Echo(), metadata=metadata))
        await until(lambda: alive(_Call, Gone) == 0)


async def test_a_call_that_ran_out_of_time_leaves_nothing_to_collect() -> None:
    async with serving(EchoServicer().servicer()) as channel, no_collections():
        for _ in range(5):
            await refused(EchoStub(channel).chat(endless(), metadata=PLANNER, timeout=0.05))
        await until(lambda: alive(_Call) == 0)


async def endless() -> Any:
    """Send nothing more after the first message."""
    yield Echo()
    await asyncio.sleep(10)


async def refused(call: Any) -> None:
    """Await a call that fails."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError:
        return
    pytest.fail("the call succeeded")
