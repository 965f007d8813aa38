"""A manager follows purges: it deletes, then confirms, and one that fails keeps no other waiting."""

from collections.abc import AsyncIterator, Mapping

import grpc
import pytest

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from services.chassis.auth.identity import Scope
from services.chassis.auth.purges import PurgeFollower
from services.chassis.rpc.errors import DataCorrupt, KernelError


class Credential:
    """The token of a manager."""

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return it as metadata."""
        return ()


class Access(agent_pb2_grpc.AgentServiceServicer):
    """Names purges until they are confirmed."""

    def __init__(self) -> None:
        self.waiting = [agent_pb2.Purge(tenant="acme", agent=f"agents/{name}", number=1) for name in "abc"]
        self.confirmed: list[agent_pb2.ConfirmPurgeRequest] = []

    async def GetPurges(  # noqa: N802 - the name of the RPC
        self, request: agent_pb2.GetPurgesRequest, _context: object
    ) -> agent_pb2.GetPurgesResponse:
        """Name them."""
        assert request.manager == "memory"
        return agent_pb2.GetPurgesResponse(purges=self.waiting)

    async def ConfirmPurge(  # noqa: N802 - the name of the RPC
        self, request: agent_pb2.ConfirmPurgeRequest, _context: object
    ) -> agent_pb2.ConfirmPurgeResponse:
        """Name one no more."""
        self.confirmed.append(request)
        self.waiting.remove(request.purge)
        return agent_pb2.ConfirmPurgeResponse()


@pytest.fixture(name="access")
async def _access() -> AsyncIterator[tuple[Access, "agent_pb2_grpc.AgentServiceAsyncStub"]]:
    access = Access()  # type: ignore[abstract]  # what a test needs of it
    server = grpc.aio.server()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(access, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(channel)
        yield access, stub
    await server.stop(None)


async def test_what_access_names_is_deleted_and_then_confirmed(
    access: tuple[Access, "agent_pb2_grpc.AgentServiceAsyncStub"],
) -> None:
    fake, stub = access
    deleted: list[Scope] = []

    async def delete(scope: Scope) -> Mapping[str, int]:
        assert not any(one.purge.agent == f"agents/{scope.agent}" for one in fake.confirmed)
        deleted.append(scope)
        return {"notes": 3}

    follower = PurgeFollower(stub, Credential(), "memory", delete)
    await follower.look()
    await follower.look()

    assert deleted == [Scope("acme", name) for name in "abc"]
    assert [dict(one.counts) for one in fake.confirmed] == [{"notes": 3}] * 3


async def test_one_that_fails_is_not_confirmed_and_keeps_no_other_waiting(
    access: tuple[Access, "agent_pb2_grpc.AgentServiceAsyncStub"],
) -> None:
    fake, stub = access

    async def delete(scope: Scope) -> Mapping[str, int]:
        if scope.agent == "b":
            raise DataCorrupt("a bad sector")
        return {}

    with pytest.raises(DataCorrupt):
        await PurgeFollower(stub, Credential(), "memory", delete).look()

    assert [one.agent for one in fake.waiting] == ["agents/b"]


async def test_an_access_manager_that_is_away_is_a_typed_error() -> None:
    async def delete(_scope: Scope) -> Mapping[str, int]:
        raise AssertionError("nothing is to be deleted")

    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        stub: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(channel)
        with pytest.raises(KernelError):
            await PurgeFollower(stub, Credential(), "memory", delete).look()
