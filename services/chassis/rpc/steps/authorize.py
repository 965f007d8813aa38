"""The steps that decide who calls and whether they may: authentication, audience, permission."""

from dataclasses import dataclass, field

from services.chassis.auth.authz_client import Authorizer, Permission, PermissionCheck
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.auth.processes import GATEWAY
from services.chassis.auth.tokens import Authenticator
from services.chassis.rpc import names
from services.chassis.rpc.errors import CredentialMissing, PermissionDenied
from services.chassis.rpc.methods import Audience, Effect, Method
from services.chassis.rpc.steps.headers import Headers

ANYBODY = Principal(agent="", tenant="", kind=Kind.ANONYMOUS)
"""The principal of a public method, which looks at no credential."""


async def authenticate(authenticator: Authenticator, method: Method, token: str) -> Principal:
    """Return who calls.

    Raises the CREDENTIAL_* errors, or PermissionDenied for a method that is not for this process of the
    kernel, or not for agents.
    """
    if method.audience is Audience.PUBLIC:
        return ANYBODY
    if not token:
        raise CredentialMissing("the call carries no `authorization: Bearer` metadata")
    principal = await authenticator.authenticate(token)
    _check_process(method, principal)
    return principal


def _check_process(method: Method, principal: Principal) -> None:
    """Hold a call against the processes that the method's option names. Raises PermissionDenied."""
    if principal.kind is Kind.SERVICE:
        if principal.agent not in method.services:
            raise PermissionDenied(
                f"{method.label} is not for the process {principal.agent}",
                metadata={"action": method.permission, "service": principal.agent},
            )
        return
    actor = principal.actors[0] if principal.actors else GATEWAY
    if actor not in (GATEWAY, *method.delegates):
        raise PermissionDenied(
            f"{method.label} is not for the process {actor} on behalf of others",
            metadata={"action": method.permission, "service": actor},
        )
    if method.audience is Audience.KERNEL:
        raise PermissionDenied(
            f"{method.label} is for the kernel's own processes", metadata={"action": method.permission}
        )


@dataclass(frozen=True, slots=True)
class Permit:
    """What a call was let in for."""

    owner: str = ""
    """Agent whose resource the call is about."""
    resource: str = ""
    """Full name of the resource."""
    question: PermissionCheck | None = None
    """What was asked; None for a method that needs no permission."""
    permission: Permission = field(default_factory=Permission)


async def authorize(authorizer: Authorizer, method: Method, principal: Principal, name: str) -> Permit:
    """Return what the call was let in for.

    `name` is the resource name in the request; empty means the caller itself. A kernel-only method needs no
    further permission. Raises InvalidRequest and what the authorizer raises.
    """
    if method.audience is Audience.PUBLIC:
        return Permit()
    owner, resource = principal.agent, names.agent_name(principal.agent)
    if name:
        parsed = names.parse(name, me=principal.agent, field=method.resource)
        owner, resource = parsed.owner or principal.agent, str(parsed)
    if method.audience is not Audience.AGENTS:
        return Permit(owner, resource)
    question = PermissionCheck(
        principal,
        method.permission,
        resource,
        read=method.effect is Effect.READ,
        approvable=method.approvable,
    )
    return Permit(owner, resource, question, await authorizer.authorize(question))


def caller(head: Headers, principal: Principal, permit: Permit, ends: float) -> Caller:
    """Return who calls and what is known about the call; `ends` is its deadline on the monotonic clock."""
    known = permit.permission
    tree = known.tree or principal.agent
    return Caller(
        agent=principal.agent,
        tenant=principal.tenant,
        kind=principal.kind,
        token=head.token if principal.agent else "",
        parent=principal.parent,
        owner=permit.owner,
        syscall_id=head.syscall_id,
        trace_id=head.trace_id,
        span_id=head.span_id,
        resource=permit.resource,
        tree=tree,
        owner_tree=known.owner_tree or (tree if permit.owner == principal.agent else permit.owner),
        untrusted=known.untrusted,
        effect_matters=known.effect_matters,
        needs_approval=known.needs_approval,
        credential=principal,
        deadline=ends,
    )
