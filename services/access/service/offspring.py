"""What revoked credentials have made: it outlives them unless who revokes them says that it ends too.

A thief of a token registers an agent, makes a key for a person or an agent, or gives a grant: each of them is
a way back in that has credentials of its own. All of them remember whose token, of which family, they were
made with.
"""

import dataclasses
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Final

from services.access.core.decision import decide, gather_input
from services.access.model.agents import Agent, AgentKey, MadeBy, Revocation
from services.access.model.approvals import Person, PersonState
from services.access.model.rules import Check, Grant
from services.access.ports.store import Transaction
from services.access.service import agent_keys, approvals, dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.steering import killed, put_state, suspended
from services.access.service.watchers import RuleChange
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc import names
from services.chassis.rpc.errors import PermissionDenied

_CONTROL: Final = "agent.control"
_SPARE: Final = timedelta(minutes=1)


class Fate(Enum):
    """What becomes of the agents that were registered with revoked credentials."""

    STAY = "stay"
    SUSPEND = "suspend"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Ended:
    """How much of what was made has ended."""

    agents: int = 0
    persons: int = 0
    grants: int = 0
    agent_keys: int = 0


@dataclass(frozen=True, slots=True)
class _Made:
    """What somebody's credentials made."""

    agents: list[Agent]
    persons: list[Person]
    grants: list[Grant]
    keys: list[AgentKey]

    @property
    def tenants(self) -> list[str]:
        """Where anything of it is."""
        made: list[Agent | Person | Grant | AgentKey]
        made = [*self.agents, *self.persons, *self.grants, *self.keys]
        return sorted({one.tenant for one in made})

    def of(self, tenant: str) -> "_Made":
        """Return what is in one tenant."""
        return _Made(
            [one for one in self.agents if one.tenant == tenant],
            [one for one in self.persons if one.tenant == tenant],
            [one for one in self.grants if one.tenant == tenant],
            [one for one in self.keys if one.tenant == tenant],
        )


class OffspringService:
    """Ends what credentials have made, in every tenant, one transaction for each."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def end(self, caller: Caller, first: MadeBy, fate: Fate) -> Ended:
        """Suspend or kill agents, disable persons, revoke grants and keys made by `first`; return how many.

        What was made with those keys, of persons and agents, ends as well. Idempotent. Raises
        PermissionDenied for an agent that may not steer one of those concerned; nothing of that tenant is
        changed then.
        """
        waiting, met, total = [first], {(first.tenant, first.id)}, Counter[str]()
        while waiting:
            maker = waiting.pop()
            found = await self._deps.store.read(partial(_made, maker))
            for tenant in found.tenants:
                for one in await self._end_in(caller, tenant, maker, fate, total):
                    if (one.tenant, one.id) not in met:
                        met.add((one.tenant, one.id))
                        waiting.append(one)
        return Ended(**total)

    async def _end_in(
        self, caller: Caller, tenant: str, maker: MadeBy, fate: Fate, total: Counter[str]
    ) -> list[MadeBy]:
        """End what was made in one tenant; return what the persons and agents made whose keys it was."""
        now = self._deps.clock.now()

        def work(tx: Transaction) -> tuple[list[MadeBy], Counter[str]]:
            made = _made(maker, tx).of(tenant)
            count = Counter(
                agents=self._end_agents(tx, caller, made.agents, fate, now),
                persons=sum(self._disable(tx, caller, one, now) for one in made.persons),
                grants=len(made.grants),
                agent_keys=self._end_keys(tx, caller, made.keys, now),
            )
            for grant in made.grants:
                tx.grants.revoke(tenant, grant.id, now)
                tx.usage.add(dependencies.owner_of(tx, tenant, grant.owner), grants=-1)
            ended = [("access.grant", grant.resource) for grant in made.grants]
            tx.ledger.bump()
            _record(tx, caller, tenant, now, ended)
            further = [MadeBy(tenant, one.id, since=one.key_time) for one in made.persons]
            further += [MadeBy(tenant, one.agent, since=one.create_time) for one in made.keys]
            return further, count

        further, count = await self._deps.commit(work, RuleChange(tenant))
        total.update(count)
        return further

    def _end_agents(
        self, tx: Transaction, caller: Caller, agents: list[Agent], fate: Fate, now: datetime
    ) -> int:
        ended = 0
        for one in agents:
            before = tx.agents.get(one.tenant, one.id)
            if before is None:
                continue
            after = killed(before) if fate is Fate.KILL else suspended(before)
            if after == before:
                continue  # ended with an agent above it, or suspended already
            self._must_control(tx, caller, before, now)
            ended += len(put_state(tx, after, now, self._deps.settings.token_life))
            _record(tx, caller, one.tenant, now, [(_CONTROL, names.agent_name(one.id))])
        return ended

    def _must_control(self, tx: Transaction, caller: Caller, agent: Agent, now: datetime) -> None:
        """Raise PermissionDenied unless an agent that revokes may steer what was made; people always may."""
        if caller.kind is not Kind.AGENT:
            return
        case = gather_input(tx, Check(caller.principal, _CONTROL, names.agent_name(agent.id)), now)
        if not decide(self._deps.engine, case).allowed:
            name = names.agent_name(agent.id)
            raise PermissionDenied(
                f"agents/{caller.agent} may not {_CONTROL} {name}",
                metadata={"action": _CONTROL, "resource": name},
            )

    def _end_keys(self, tx: Transaction, caller: Caller, keys: list[AgentKey], now: datetime) -> int:
        """End keys that were made for agents, with the tokens of those agents."""
        for one in keys:
            tx.agents.drop_key(one.hash)
            agent_keys.end_tokens(tx, self._deps, one.tenant, one.agent, now)
            _record(tx, caller, one.tenant, now, [(agent_keys.ACTION, names.agent_name(one.agent))])
        return len(keys)

    def _disable(self, tx: Transaction, caller: Caller, person: Person, now: datetime) -> bool:
        """End a person's key, tokens and unused approvals; the last active administrator stays enabled."""
        active = person.state is PersonState.ACTIVE
        last = active and person.administrator and tx.persons.active_administrators(person.tenant) <= 1
        state = person.state if last else PersonState.DISABLED
        if not person.key_hash and state is person.state:
            return False
        approvals.withdraw(tx, person.tenant, person.id, now)
        until = now + self._deps.settings.admin_token_life + _SPARE
        tx.tokens.revoke([Revocation("", person.tenant, person.id, now, until, tx.ledger.bump())])
        tx.persons.update(dataclasses.replace(person, state=state, key_hash="", update_time=now))
        _record(tx, caller, person.tenant, now, [("access.administer", person.name)])
        return True


def _made(maker: MadeBy, tx: Transaction) -> _Made:
    return _Made(
        tx.agents.made_by(maker),
        tx.persons.keyed_by(maker),
        tx.grants.made_by(maker),
        tx.agents.keys_made_by(maker),
    )


def _record(
    tx: Transaction, caller: Caller, tenant: str, now: datetime, ended: list[tuple[str, str]]
) -> None:
    """Tell of what ended, each an action with its resource, in the log of those it touches."""
    why = "made by revoked credentials"
    events = [dependencies.event(caller, "RevokeToken", action, what, reason=why) for action, what in ended]
    dependencies.record(tx, tenant, now, events)
