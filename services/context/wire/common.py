"""Scopes, actors and names."""

from typing import Any

from services.chassis import names
from services.chassis.idempotency import request_digest
from services.chassis.identity import Caller
from services.context.model import Actor, Scope


def scope(caller: Caller) -> Scope:
    """Return whose resources the call may touch."""
    return Scope(caller.tenant, caller.owner)


def actor(caller: Caller, method: str, request: Any) -> Actor:
    """Return who calls, and how a repeat of a request with a `request_id` is recognised."""
    digest = request_digest(request) if request.request_id else b""
    return Actor(caller.agent, method, request.request_id, digest)


def id_in(name: str, collection: str, caller: Caller, field: str = "name") -> str:
    """Return the id at the end of a resource name. Raises InvalidRequest."""
    return names.parse_in(name, collection, me=caller.agent, field=field).id
