"""Use cases of agents' keys: another one where it was lost, and tokens handed over to who may make one."""

import dataclasses
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from services.access.core.decision import decide, gather_input
from services.access.errors import AgentNotFound, QuotaExceeded
from services.access.model.agents import Agent, AgentKey, AgentState, Revocation, Token
from services.access.model.rules import Check
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.watchers import RuleChange, nothing
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names
from services.chassis.rpc.errors import AgentInactive, PermissionDenied, QuotaViolation

ACTION: Final = "agent.issue_key"
MOST_KEYS: Final = 8
"""Keys that an agent may have beside each other."""
_KEY_PREFIX: Final = "aios_"
_HANDED: Final = "handed-"
"""How the families of tokens begin that were handed over, which nobody renews."""


class OldKeys(Enum):
    """What becomes of the keys until now."""

    KEEP = "keep"
    END = "end"
    END_WITH_TOKENS = "end_with_tokens"


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """An agent with another key."""

    agent: Agent
    token: Token
    key: str = dataclasses.field(repr=False)


class AgentKeyService:
    """Makes keys for agents that live."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def issue(
        self, caller: Caller, agent: str, old: OldKeys, reason: str, asked: RequestIdentity
    ) -> Rekeyed:
        """Make another key for an agent; a repeat makes one in place of the first.

        Raises AgentNotFound, AgentInactive (killed), QuotaExceeded or IdempotencyMismatch.
        """
        key, tenant = new_key(), caller.tenant
        made = key_hash(key)

        def work(tx: Transaction) -> Rekeyed:
            now = self._deps.clock.now()
            found = _living(tx, tenant, agent)
            known = dependencies.answered(tx, caller, asked)
            issue = known or dependencies.new_id()
            if known is None:
                dependencies.remember(tx, caller, asked, now, issue)
                self._end_old(tx, found, old, now)
            else:  # nobody may have the key of the first answer
                tx.agents.drop_issued(tenant, agent, issue)
            _has_room(tx, found)
            tx.agents.add_key(AgentKey(made, tenant, agent, now, dependencies.maker(caller), issue))
            note = f"old keys: {old.value}; {reason}"
            done = dependencies.event(caller, "IssueAgentKey", ACTION, names.agent_name(agent), note=note)
            dependencies.record(tx, tenant, now, [done])
            return Rekeyed(found, token_for(tx, self._deps, found, now), key)

        withdrawn = RuleChange(tenant, frozenset({names.agent_name(agent)}))
        change = withdrawn if old is OldKeys.END_WITH_TOKENS else nothing(tenant)
        rekeyed = await self._deps.commit(work, change)
        self._deps.meter.issued("agent_key")
        return rekeyed

    def _end_old(self, tx: Transaction, agent: Agent, old: OldKeys, now: datetime) -> None:
        if old is not OldKeys.KEEP:
            tx.agents.drop_keys(agent.tenant, [agent.id])
        if old is OldKeys.END_WITH_TOKENS:
            end_tokens(tx, self._deps, agent.tenant, agent.id, now)


def new_key() -> str:
    """Make a key for an agent."""
    return _KEY_PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """Return what is stored of a key. The key has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def hand_over(tx: Transaction, deps: Dependencies, caller: Caller, agent: Agent, now: datetime) -> Token:
    """Return a token for an agent that exists, to who may make a key for it.

    It lives as long as a token does and is not renewed, so that what a stolen credential was handed ends soon
    after it. Raises AgentInactive or PermissionDenied.
    """
    if agent.state is not AgentState.ACTIVE:
        raise _inactive(agent)
    name = names.agent_name(agent.id)
    # Roots of another tenant are the kernel's administrators' alone, who have been told from others before.
    if caller.tenant == agent.tenant:
        principal = Principal(agent=caller.agent, tenant=caller.tenant, kind=caller.kind)
        if not decide(deps.engine, gather_input(tx, Check(principal, ACTION, name), now)).allowed:
            raise PermissionDenied(
                f"{name} exists, and {caller.agent} may not act as it",
                metadata={"action": ACTION, "resource": name},
            )
    done = dependencies.event(caller, "RegisterAgent", ACTION, name, note="handed over a token")
    dependencies.record(tx, agent.tenant, now, [done])
    return token_for(tx, deps, agent, now, family=_HANDED + secrets.token_hex(16))


def is_handed_over(holder: Principal) -> bool:
    """Tell whether a token was handed over by who registers the agent again."""
    return holder.session_id.startswith(_HANDED)


def token_for(tx: Transaction, deps: Dependencies, agent: Agent, now: datetime, family: str = "") -> Token:
    """Issue a token for an agent, later than what was revoked of it."""
    holder = Principal(
        agent=agent.id, tenant=agent.tenant, kind=Kind.AGENT, parent=agent.parent, session_id=family
    )
    after = tx.tokens.revoked_until(agent.tenant, agent.id)
    return deps.signer.issue(holder, now=now, after=after, lifetime=deps.settings.token_life)


def end_tokens(tx: Transaction, deps: Dependencies, tenant: str, agent: str, now: datetime) -> None:
    """Refuse all tokens that an agent has."""
    until = now + 2 * deps.settings.token_life
    tx.tokens.revoke([Revocation("", tenant, agent, now, until, tx.ledger.bump())])


def _has_room(tx: Transaction, agent: Agent) -> None:
    if tx.agents.count_keys(agent.tenant, agent.id) >= MOST_KEYS:
        name = names.agent_name(agent.id)
        text = f"{name} has {MOST_KEYS} keys, the most at once: let the old ones end"
        raise QuotaExceeded(
            text, metadata={"agent": name, "limit": str(MOST_KEYS)}, quota=QuotaViolation(name, text)
        )


def _living(tx: Transaction, tenant: str, agent: str) -> Agent:
    name = names.agent_name(agent)
    found = tx.agents.get(tenant, agent)
    if found is None:
        raise AgentNotFound(f"no agent {name}", metadata={"agent": name})
    if found.state is AgentState.KILLED:
        raise _inactive(found)
    return found


def _inactive(agent: Agent) -> AgentInactive:
    name, state = names.agent_name(agent.id), agent.state.value
    how = "was killed: its id is not given again" if agent.state is AgentState.KILLED else f"is {state}"
    return AgentInactive(f"{name} {how}", metadata={"agent": name, "state": state})
