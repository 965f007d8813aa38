"""How an agent is suspended, resumed or killed inside a transaction, with all below it."""

import dataclasses
from datetime import datetime, timedelta

from services.access.core import agent_tree
from services.access.model.agents import Agent, AgentState, Revocation
from services.access.ports.store import Transaction
from services.chassis.quotas import Owner


def maker_of(agent: Agent) -> Owner:
    """Return whom an agent is charged to: its parent; a root to its tenant alone."""
    return Owner(agent.tenant, agent.parent, agent_tree.root_of(agent) if agent.parent else "")


def put_state(tx: Transaction, root: Agent, now: datetime, token_life: timedelta) -> list[Agent]:
    """Store an agent with a new state or flag and let it run down; return who changed, the agent first.

    Killed agents lose their keys and tokens.
    """
    above = tx.agents.get(root.tenant, root.parent) if root.parent else None
    state = above.state if above else AgentState.ACTIVE
    changed = agent_tree.propagate(root, state, tx.agents.descendants(root))
    changed = agent_tree.touched(changed, tx.ledger.bump(), now)
    tx.agents.update(changed)
    killed = [one for one in changed if one.state is AgentState.KILLED]
    for one in killed:
        tx.usage.add(maker_of(one), agents=-1)
    if killed:
        tx.agents.drop_keys(root.tenant, [one.id for one in killed])
        until = now + 2 * token_life
        tx.tokens.revoke(Revocation("", one.tenant, one.id, now, until, one.revision) for one in killed)
    return changed


def suspended(agent: Agent) -> Agent:
    """Return the agent with its own suspension set."""
    return dataclasses.replace(agent, suspended=True)


def killed(agent: Agent) -> Agent:
    """Return the agent as killed."""
    return dataclasses.replace(agent, state=AgentState.KILLED)
