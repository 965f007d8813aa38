"""Secrets as protobuf: everything but their values."""

from collections.abc import Sequence
from typing import Final

from aios.api.tool.v1 import secrets_pb2
from services.chassis.auth.identity import Caller, Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names, paging
from services.chassis.rpc.wire import request_identity, stamp
from services.tool.service.secrets import ListedSecret

SECRETS: Final = "secrets"
PAGE: Final = 100
MOST: Final = 500
_USERS: Final = 100


def secret_id(name: str) -> str:
    """Return the id in the name of a secret. Raises InvalidRequest."""
    return names.parse_in(name, SECRETS).id


def setting(caller: Caller, request: secrets_pb2.SetSecretRequest) -> RequestIdentity:
    """Return how a repeat is recognised but for the value, of which no plain digest may be kept."""
    bare = secrets_pb2.SetSecretRequest()
    bare.CopyFrom(request)
    bare.ClearField("value")
    return request_identity(caller, "SetSecret", bare)


def write(listed: ListedSecret) -> secrets_pb2.Secret:
    """Write what is told of a secret."""
    info = listed.info
    return secrets_pb2.Secret(
        name=f"{SECRETS}/{info.name}",
        bound_to=info.bound_to,
        version=info.version,
        create_time=stamp(info.created_at),
        update_time=stamp(info.updated_at),
        used_by=listed.used_by[:_USERS],
        used_by_total=len(listed.used_by),
        key_id=listed.key_id,
    )


def position(request: secrets_pb2.ListSecretsRequest, scope: Scope) -> str:
    """Return the last name of the page before; empty for the first page. Raises InvalidPageToken."""
    found = paging.decode(request.page_token, SECRETS, scope.tenant, shape=(str,))
    return str(found[0]) if found else ""


def page(scope: Scope, found: Sequence[ListedSecret], size: int) -> secrets_pb2.ListSecretsResponse:
    """Write a page of at most `size`; `found` holds one more if there is one."""
    response = secrets_pb2.ListSecretsResponse(secrets=[write(one) for one in found[:size]])
    if len(found) > size:
        response.next_page_token = paging.encode([found[size - 1].info.name], SECRETS, scope.tenant)
    return response
