"""Secrets over a real socket: set, listed, deleted, never read."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from aios.api.tool.v1 import secrets_pb2, tool_pb2
from services.chassis.auth.identity import Caller, Kind
from services.tool.wire import secrets as secret_wire
from tests.fakes import tokens
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import reason
from tests.fakes.tool import FakeAudit, tool_service, tool_stub

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

ADMIN: Final = tokens.metadata("root", kind="admin")
ELSEWHERE: Final = tokens.metadata("root", kind="admin", tenant="other")
PLANNER: Final = tokens.metadata("planner")
VALUE: Final = "sk-canary-0123456789"
PLACE: Final = "https://api.example.com"


@pytest.fixture
def audit() -> FakeAudit:
    return FakeAudit()


@pytest.fixture
async def stub(audit: FakeAudit) -> AsyncIterator[ToolServiceAsyncStub]:
    async with tool_stub(tool_service(audit=audit)) as made:
        yield made


def setting(stub: ToolServiceAsyncStub, name: str = "github", who: Any = ADMIN, **fields: Any) -> Any:
    request = secrets_pb2.SetSecretRequest(
        name=f"secrets/{name}", **{"value": VALUE, "bound_to": PLACE} | fields
    )
    return stub.SetSecret(request, metadata=who)


async def keep(stub: ToolServiceAsyncStub, name: str = "github", who: Any = ADMIN, **fields: Any) -> Any:
    return (await setting(stub, name, who, **fields)).secret


async def why(call: Any) -> str:
    """Return the reason for which a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return reason(refusal.value)


async def names(stub: ToolServiceAsyncStub, who: Any = ADMIN) -> list[str]:
    found = await stub.ListSecrets(secrets_pb2.ListSecretsRequest(), metadata=who)
    assert VALUE not in str(found)
    return [one.name for one in found.secrets]


async def test_a_secret_is_set_listed_and_deleted_and_never_told(
    stub: ToolServiceAsyncStub, audit: FakeAudit
) -> None:
    made = await keep(stub, bound_to="HTTPS://api.example.com:443")
    assert (made.name, made.version, made.bound_to) == ("secrets/github", 1, PLACE)
    assert (await keep(stub, value="another value", bound_to="")).version == 2
    assert await names(stub) == ["secrets/github"]
    assert await names(stub, ELSEWHERE) == []

    request = secrets_pb2.DeleteSecretRequest(name="secrets/github")
    await stub.DeleteSecret(request, metadata=ADMIN)
    assert await names(stub) == []
    assert await why(stub.DeleteSecret(request, metadata=ADMIN)) == "SECRET_NOT_FOUND"
    request.allow_missing = True
    await stub.DeleteSecret(request, metadata=ADMIN)
    assert [noted[0] for noted in audit.noted[:3]] == ["SetSecret", "SetSecret", "DeleteSecret"]


async def test_agents_and_other_tenants_cannot_reach_a_secret(stub: ToolServiceAsyncStub) -> None:
    await keep(stub)
    assert await why(setting(stub, who=PLANNER)) == "PERMISSION_DENIED"
    assert (
        await why(stub.ListSecrets(secrets_pb2.ListSecretsRequest(), metadata=PLANNER)) == "PERMISSION_DENIED"
    )
    for who, expected in ((PLANNER, "PERMISSION_DENIED"), (ELSEWHERE, "SECRET_NOT_FOUND")):
        request = secrets_pb2.DeleteSecretRequest(name="secrets/github")
        assert await why(stub.DeleteSecret(request, metadata=who)) == expected
    assert (await keep(stub, who=ELSEWHERE)).version == 1
    assert await names(stub) == ["secrets/github"]


@pytest.mark.parametrize(
    "fields",
    [
        {"value": "short"},
        {"value": "x" * 8_193},
        {"value": "a\0bcdefgh"},
        {"value": "has [secret] in it"},
        {"bound_to": ""},
        {"bound_to": "https://api.example.com/path"},
        {"bound_to": "everywhere"},
        {"name": "Github"},
        {"name": "a/b"},
    ],
)
async def test_what_cannot_be_kept_is_refused_without_being_told(
    stub: ToolServiceAsyncStub, fields: dict[str, str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await keep(stub, **fields)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields.get("value", VALUE) not in f"{refusal.value.details()}{refusal.value.trailing_metadata()}"


async def test_a_repeat_is_known_by_no_digest_of_the_value(stub: ToolServiceAsyncStub) -> None:
    assert (await keep(stub, request_id="r1")).version == 1
    assert (await keep(stub, request_id="r1")).version == 1
    assert await why(setting(stub, value="another value", request_id="r1")) == "IDEMPOTENCY_MISMATCH"

    caller = Caller("root", "acme", Kind.ADMIN)
    known = {
        secret_wire.setting(
            caller, secrets_pb2.SetSecretRequest(name="secrets/a", value=value, request_id="r1")
        ).digest
        for value in (VALUE, "another value")
    }
    assert len(known) == 1


async def test_secrets_are_listed_page_by_page(stub: ToolServiceAsyncStub) -> None:
    for name in ("c", "a", "b"):
        await keep(stub, name)
    first = await stub.ListSecrets(secrets_pb2.ListSecretsRequest(page_size=2), metadata=ADMIN)
    rest = secrets_pb2.ListSecretsRequest(page_size=2, page_token=first.next_page_token)
    last = await stub.ListSecrets(rest, metadata=ADMIN)
    assert [one.name for one in (*first.secrets, *last.secrets)] == ["secrets/a", "secrets/b", "secrets/c"]
    assert not last.next_page_token
    await refuses_forgeries(stub.ListSecrets, secrets_pb2.ListSecretsRequest(), ADMIN)


async def test_the_tenants_secrets_are_told_in_its_usage(stub: ToolServiceAsyncStub) -> None:
    await keep(stub)
    used = await stub.GetUsage(tool_pb2.GetUsageRequest(name="agents/me"), metadata=ADMIN)
    assert max(one.used for one in used.quotas if one.quota == "secrets") == 1
