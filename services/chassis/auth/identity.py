"""Who is calling: taken from the credential, carried through a call by a context variable."""

import math
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from services.chassis.quotas import Owner


class Kind(Enum):
    """What sort of principal a credential stands for. Values are the `kind` claim of a token."""

    AGENT = "agent"
    ADMIN = "admin"
    PERSON = "person"  # decides approvals; no administrator
    SERVICE = "service"
    ANONYMOUS = "anonymous"  # a public method called without a credential; never in a token


BELOW: Final = "~"
"""Stands in the id of a session that was begun below another one, behind the id of that."""


def family_above(session_id: str) -> str:
    """Return the family that a session belongs to: itself, unless it was begun below another one."""
    return session_id.partition(BELOW)[0]


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a verified credential names."""

    agent: str
    """Id of the agent, administrator or service."""
    tenant: str
    kind: Kind
    parent: str = ""
    token_id: str = ""
    """The `jti` claim."""
    issued_at: float = 0.0
    """Unix time in seconds."""
    expires_at: float = math.inf
    """Unix time in seconds."""
    session_id: str = ""
    """The `sid` claim: id of the first token of the family; who revokes that revokes them all."""
    authenticated_at: float = 0.0
    """The `auth_time` claim: when the first token of the family was issued. Unix time in seconds."""
    audience: str = ""
    """The `aud` claim: the process at which the token counts."""
    actors: tuple[str, ...] = ()
    """The `act` claims: the processes that exchanged the token, the last one first; empty: as issued."""
    origin_expires_at: float = 0.0
    """The `origin_exp` claim: when the token that it was exchanged for expires. Unix time in seconds."""

    @property
    def ends_at(self) -> float:
        """Until when a stream that the credential opened may live. Unix time in seconds.

        Each call through the gateway is held against the caller's own credential, so a stream need not end
        because the narrower token that opened it at a manager is short-lived.
        """
        return max(self.expires_at, self.origin_expires_at)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose resources are meant. Part of every key and every query; it comes from the credential."""

    tenant: str
    agent: str
    tree: str = field(default="", compare=False)
    """Id of the root above the agent, to charge what it keeps; empty where it is not known."""

    @property
    def charged(self) -> Owner:
        """Whom what is kept here is charged to."""
        return Owner(self.tenant, self.agent, self.tree)


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal of the running call and what the kernel knows about the call."""

    agent: str
    """Id of the agent, administrator or service; empty when anonymous."""
    tenant: str
    kind: Kind = Kind.AGENT
    token: str = field(default="", repr=False)
    """The bearer token as received, to forward it. Never log it."""
    parent: str = ""
    """Id of the agent's parent, or empty."""
    owner: str = ""
    """Agent whose resources the call may touch: the one in the resource name, else the caller itself."""
    syscall_id: str = ""
    trace_id: str = ""
    """W3C trace id: 32 hexadecimal digits."""
    span_id: str = ""
    """16 hexadecimal digits; empty unless spans are recorded."""
    resource: str = ""
    """Full name of the resource the call was authorised for, with `me` resolved; empty for public methods."""
    tree: str = ""
    """Id of the root of the calling agent's tree; the caller itself where access did not say."""
    owner_tree: str = ""
    """Id of the root of the tree that `owner` belongs to."""
    untrusted: bool = False
    """Whether the calling agent has read content that nobody vouches for."""
    effect_matters: bool = False
    """Whether a rule in force looks at the effect of tools."""
    needs_approval: bool = False
    """Whether the call is permitted once a person has approved it; only methods that wait for that see it."""
    credential: Principal | None = field(default=None, repr=False)
    """The principal as its token tells it, with family and times; None: it was not verified here."""
    deadline: float = math.inf
    """When the call must end, on the clock of time.monotonic; infinite when unbounded. Unit: seconds."""

    @property
    def charged(self) -> Owner:
        """Whom the call is charged to for what it makes: the owner of the resources, its tree, its tenant."""
        return Owner(self.tenant, self.owner, self.owner_tree)

    @property
    def sender(self) -> Owner:
        """Whom the call is charged to for what it holds while it runs: the caller, its tree, its tenant."""
        return Owner(self.tenant, self.agent, self.tree or self.agent)

    @property
    def scope(self) -> Scope:
        """Whose resources the call may touch."""
        return Scope(self.tenant, self.owner, self.owner_tree)

    @property
    def leaves_untrusted(self) -> bool:
        """Whether nobody vouches for what the call leaves with the owner of its resource."""
        return self.kind is Kind.AGENT and (self.untrusted or self.agent != self.owner)

    @property
    def principal(self) -> Principal:
        """Who calls, to ask what it may do."""
        return Principal(self.agent, self.tenant, self.kind, self.parent)


_CALLER: ContextVar[Caller] = ContextVar("aios_caller")


def current_caller() -> Caller:
    """Return the caller of the running call.

    Raises LookupError outside a call: a background task has no caller.
    """
    return _CALLER.get()


def caller_or_none() -> Caller | None:
    """Return the caller of the running call, or None outside a call."""
    return _CALLER.get(None)


def set_caller(caller: Caller) -> None:
    """Make `caller` the caller of the current task. Each call runs in its own task, so nothing is reset."""
    _CALLER.set(caller)
