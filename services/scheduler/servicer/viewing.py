"""Whose calls a caller asks for, and which of them it may see at most."""

from services.chassis.auth.identity import Kind, current_caller
from services.chassis.rpc import names
from services.scheduler.model import CallId
from services.scheduler.service.watching import Viewer
from services.scheduler.wire import dispatch


def viewer_of(parent: str) -> Viewer:
    """Return whose calls the caller asks for: an administrator's empty parent means the whole tenant."""
    caller = current_caller()
    if not parent:
        return widest()
    owner = names.parse(parent, me=caller.agent, field="parent").owner
    return Viewer(caller.tenant, dispatch.scoped(caller.tenant, owner))


def widest() -> Viewer:
    """Return the widest view the caller may have."""
    caller = current_caller()
    agent = "" if caller.kind is not Kind.AGENT else dispatch.scoped(caller.tenant, caller.agent)
    return Viewer(caller.tenant, agent)


def call_of(name: str) -> tuple[CallId, Viewer]:
    """Return the call's id in the core, and a view that holds its agent."""
    caller = current_caller()
    parsed = names.parse_in(name, "calls", me=caller.agent)
    owner = dispatch.scoped(caller.tenant, parsed.owner)
    return dispatch.call_id(caller.tenant, parsed.owner, parsed.id), Viewer(caller.tenant, owner)
