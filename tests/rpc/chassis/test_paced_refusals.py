"""Whose calls are refused again and again is answered later and later, and keeps nobody else waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from services.chassis.pace import RefusalPace
from services.chassis.rpc.errors import PermissionDenied
from tests.fakes import tokens
from tests.fakes.access import AllowAll, Refuse
from tests.fakes.echo import Echo, EchoServicer, EchoStub
from tests.fakes.rpc import connected, reason, running
from tests.fakes.waiting import until

REFUSED = 6
"""Refusals that are answered at once, here."""
CHILDREN = [tokens.metadata(f"child{n}") for n in range(3)]
AMY = tokens.metadata("amy")


class RefuseChildren(AllowAll):
    """Lets everybody in but children."""

    async def authorize(self, question: Any) -> Any:
        """Return the permission, or raise PermissionDenied."""
        if question.principal.agent.startswith("child"):
            await Refuse(PermissionDenied("not you")).authorize(question)
        return await super().authorize(question)


@asynccontextmanager
async def paced() -> AsyncIterator[tuple[RefusalPace, Any]]:
    """Serve echoes, at a pace of a refusal a minute for each tree; children are of one tree."""
    pace = RefusalPace(1 / 60, burst=REFUSED * 60.0, longest=3_600.0)

    def root(_tenant: str, agent: str) -> str:
        return "mal" if agent.startswith("child") else agent

    options: dict[str, Any] = {"authorizer": RefuseChildren(), "pace": pace, "root": root}
    async with running(EchoServicer().servicer(), **options) as server, connected(server) as channel:
        yield pace, EchoStub(channel)


async def refused(stub: Any, metadata: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await stub.unary(Echo(text="x"), metadata=metadata, timeout=20)
    return reason(failure.value)


async def test_refusals_of_a_tree_wait_once_they_come_too_fast_and_others_are_served() -> None:
    async with paced() as (pace, stub):
        for n in range(REFUSED):
            assert await refused(stub, CHILDREN[n % 3]) == "PERMISSION_DENIED"

        late = [asyncio.create_task(refused(stub, child)) for child in CHILDREN]
        await until(lambda: pace.waiting == len(CHILDREN))
        answer = await stub.unary(Echo(text="hello"), metadata=AMY, timeout=20)

        assert answer.text == "hello"
        assert not any(task.done() for task in late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await until(lambda: pace.waiting == 0)


async def test_refusals_without_a_credential_are_paced_by_address_and_those_with_one_are_not() -> None:
    async with paced() as (pace, stub):
        for _ in range(REFUSED):
            assert await refused(stub, ()) == "CREDENTIAL_MISSING"

        late = asyncio.create_task(refused(stub, (("authorization", "Bearer x.y.z"),)))
        await until(lambda: pace.waiting == 1)

        assert (await stub.unary(Echo(text="hello"), metadata=AMY, timeout=20)).text == "hello"
        assert not late.done()
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
