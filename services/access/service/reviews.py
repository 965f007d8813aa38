"""Use cases of those who ask about rights: who am I, and what may somebody do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from services.access.core.actions import ACTIONS
from services.access.core.people import FIRST_ADMINISTRATOR
from services.access.errors import AgentNotFound, PersonNotFound
from services.access.model.rules import Check, Decision
from services.access.ports.store import Transaction
from services.access.service.decisions import DecisionService
from services.access.service.dependencies import Dependencies
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.rpc import names
from services.chassis.rpc.errors import InvalidRequest

_ADMINISTER: Final = "access.administer"
_CONFIGURE: Final = "scheduler.configure"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a credential stands for."""

    principal: Principal
    display_name: str
    expire_time: datetime | None
    sign_in_time: datetime | None
    administers_tenant: bool
    administers_kernel: bool
    untrusted: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody would do."""

    action: str
    resource: str
    untrusted: bool
    effect: str


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What somebody may do: each check with what was decided."""

    subject: Principal
    decisions: tuple[tuple[Check, Decision], ...]


class ReviewService:
    """Answers about rights. Decides as everybody is decided about, and does nothing else."""

    def __init__(self, ports: Dependencies, checks: DecisionService) -> None:
        self._deps = ports
        self._checks = checks

    async def identity(self, caller: Caller) -> Identity:
        """Tell whom the caller's credential stands for."""
        who = caller.credential or caller.principal
        tenant, kernel = await self._checks.suppose(
            [Check(caller.principal, _ADMINISTER), Check(caller.principal, _CONFIGURE)]
        )
        named = await self._deps.store.read(lambda tx: _display_name(tx, caller))
        return Identity(
            principal=who,
            display_name=named,
            expire_time=_moment(who.origin_expires_at or who.expires_at),
            sign_in_time=_moment(who.authenticated_at or who.issued_at),
            administers_tenant=tenant.allowed,
            administers_kernel=kernel.allowed,
            untrusted=tenant.untrusted,
        )

    async def review(self, caller: Caller, subject: str, questions: Sequence[Question]) -> Reviewed:
        """Tell what a subject may do, all at one state of the rules.

        `subject` is the name of an agent or a person of the caller's tenant; empty: the caller. That the
        caller may ask about it was decided before. Raises AgentNotFound, PersonNotFound, or InvalidRequest
        for an action or a resource that cannot be.
        """
        for at, question in enumerate(questions):
            if question.action not in ACTIONS:
                raise InvalidRequest.field(f"questions[{at}].action", "there is no such action")
            if question.resource:
                names.parse(question.resource, me=caller.agent, field=f"questions[{at}].resource")
        who = await self._deps.store.read(lambda tx: _subject(tx, caller, subject))
        checks = [Check(who, each.action, each.resource, each.untrusted, each.effect) for each in questions]
        decisions = await self._checks.suppose(checks)
        return Reviewed(who, tuple(zip(checks, decisions, strict=True)))


def _subject(tx: Transaction, caller: Caller, subject: str) -> Principal:
    """Return who is asked about, always of the caller's tenant."""
    collection, _, name = subject.partition("/")
    human = caller.kind is not Kind.AGENT
    mine = name == caller.agent and (collection == "agents" or human)
    if mine or subject in ("", "agents/me"):
        return Principal(caller.agent, caller.tenant, caller.kind)
    if collection == "agents":
        if tx.agents.get(caller.tenant, name) is None:
            raise AgentNotFound(f"there is no {subject}")
        return Principal(name, caller.tenant, Kind.AGENT)
    if name == FIRST_ADMINISTRATOR:
        return Principal(name, caller.tenant, Kind.ADMIN)
    person = tx.persons.get(caller.tenant, name)
    if person is None:
        raise PersonNotFound(f"there is no {subject}")
    return Principal(name, caller.tenant, person.kind)


def _display_name(tx: Transaction, caller: Caller) -> str:
    if caller.kind is Kind.AGENT:
        agent = tx.agents.get(caller.tenant, caller.agent)
        return agent.display_name if agent is not None else ""
    person = tx.persons.get(caller.tenant, caller.agent)
    return person.display_name if person is not None else ""


def _moment(seconds: float) -> datetime | None:
    """Return a time of Unix seconds; None where there is none."""
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < math.inf else None
