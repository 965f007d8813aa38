"""The client of the access manager: grants over a real socket, with the caller's own token."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.auth.identity import Caller, current_caller, set_caller
from services.chassis.rpc.errors import KernelError, PermissionDenied
from services.storage.adapters.access_client import AccessClient
from services.storage.errors import FileNotFound
from services.storage.model import ShareGrant
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.rpc import serving
from tests.fakes.tokens import PassOn

EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


class Missing(FileNotFound):
    """What access says about a grant it never had."""

    reason = "RULE_NOT_FOUND"


class Grants(access_pb2_grpc.AccessServiceServicer):
    """Keeps grants in a list, two a page."""

    def __init__(self) -> None:
        self.kept: list[resources_pb2.Grant] = []
        self.callers: list[str] = []

    async def CreateGrant(self, request: Any, _context: Any) -> access_pb2.CreateGrantResponse:  # noqa: N802 - gRPC's name
        """Keep a grant."""
        self.callers.append(current_caller().agent)
        grant = resources_pb2.Grant()
        grant.CopyFrom(request.grant)
        grant.name = f"grants/g{len(self.kept)}"
        self.kept.append(grant)
        return access_pb2.CreateGrantResponse(grant=grant)

    async def RevokeGrant(self, request: Any, _context: Any) -> access_pb2.RevokeGrantResponse:  # noqa: N802 - gRPC's name
        """Forget a grant."""
        if request.name == "grants/forbidden":
            raise PermissionDenied("not yours")
        if not any(grant.name == request.name for grant in self.kept):
            raise Missing("no such grant")
        self.kept = [grant for grant in self.kept if grant.name != request.name]
        return access_pb2.RevokeGrantResponse()

    async def ListGrants(self, request: Any, _context: Any) -> access_pb2.ListGrantsResponse:  # noqa: N802 - gRPC's name
        """List grants, two a page."""
        start = int(request.page_token or 0)
        more = str(start + 2) if len(self.kept) > start + 2 else ""
        return access_pb2.ListGrantsResponse(grants=self.kept[start : start + 2], next_page_token=more)


@pytest.fixture
def grants() -> Grants:
    return Grants()  # type: ignore[abstract] # answers what storage asks


@pytest.fixture
async def client(grants: Grants) -> AsyncIterator[AccessClient]:
    servicer = (access_pb2_grpc.add_AccessServiceServicer_to_server, grants, access_pb2.DESCRIPTOR)
    async with serving(servicer) as channel:
        yield AccessClient(channel, AllowOwner(), PassOn())


def as_planner() -> None:
    """Make the running task a call of planner: fixtures run in another context."""
    token = tokens.ISSUER_FOR_TESTS.token("planner")
    set_caller(Caller("planner", "acme", token=token, owner="planner", trace_id="0" * 31 + "1"))


async def test_a_grant_is_given_listed_over_pages_and_taken_back(
    client: AccessClient, grants: Grants
) -> None:
    as_planner()
    wanted = ShareGrant(
        "", "agents/planner/files/d/", "agents/critic", ("storage.read",), prefix=True, expires_at=EXPIRES
    )
    given = [await client.give(wanted, request_id="") for _ in range(3)]
    listed = await client.grants()
    for grant in given:
        await client.revoke(grant.name)
    await client.revoke(given[0].name)

    assert listed == given
    assert (given[0].resource, given[0].prefix, given[0].expires_at) == (wanted.resource, True, EXPIRES)
    assert grants.callers == ["planner"] * 3
    assert grants.kept == []


async def test_what_access_refuses_is_passed_on(client: AccessClient) -> None:
    as_planner()
    with pytest.raises(KernelError) as refused:
        await client.revoke("grants/forbidden")

    assert refused.value.reason == "PERMISSION_DENIED"


async def test_rights_are_asked_for_in_the_name_of_the_caller(client: AccessClient) -> None:
    as_planner()
    await client.require("storage.read", "agents/planner/files/x")

    with pytest.raises(PermissionDenied):
        await client.require("storage.read", "agents/critic/files/x")
