"""The tree of agents: where a child hangs, how states run down, how caps run down. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from services.access.core import caps
from services.access.errors import AgentTreeLimit
from services.access.model.agents import Agent, AgentState


@dataclasses.dataclass(frozen=True, slots=True)
class TreeLimits:
    """How deep and wide a tree may grow."""

    max_depth: int = 8
    """Agents on the way from a root to a leaf, both included."""
    max_children: int = 256
    """Living children of one agent."""


def ancestors_of_child(parent: Agent, living_children: int, limits: TreeLimits) -> tuple[str, ...]:
    """Return the ancestors of a new child of `parent`.

    Raises AgentTreeLimit when the tree would become deeper or wider than `limits`.
    """
    ancestors = (*parent.ancestors, parent.id)
    if len(ancestors) >= limits.max_depth:
        raise AgentTreeLimit(
            f"agents/{parent.id} is {len(ancestors)} deep; no more than {limits.max_depth} are allowed",
            metadata={"max_depth": str(limits.max_depth)},
        )
    if living_children >= limits.max_children:
        raise AgentTreeLimit(
            f"agents/{parent.id} has {living_children} children; at most {limits.max_children} are allowed",
            metadata={"max_children": str(limits.max_children)},
        )
    return ancestors


def end_of_child(parent: Agent | None, ttl: timedelta | None, now: datetime) -> datetime | None:
    """Return when a new agent ends by itself: after `ttl`, and never later than its parent; None: never."""
    ends = [time for time in (now + ttl if ttl else None, parent.expire_time if parent else None) if time]
    return min(ends, default=None)


def root_of(agent: Agent) -> str:
    """Return the id of the root of an agent's tree: its own when it has no parent."""
    return agent.ancestors[0] if agent.ancestors else agent.id


def propagate(root: Agent, above: AgentState, descendants: Iterable[Agent]) -> list[Agent]:
    """Recompute states from `root` down and return the agents whose state or flag is to be stored.

    `above` is the state of the root's parent (ACTIVE for a root agent). `root` carries the new flag or state;
    it is always returned, first. A killed agent stays killed; a suspended ancestor suspends, whatever the
    agent's own flag says; `descendants` may come in any order.
    """
    states: dict[str, AgentState] = {root.id: _effective(root, above)}
    changed = [dataclasses.replace(root, state=states[root.id])]
    for agent in sorted(descendants, key=lambda agent: len(agent.ancestors)):
        states[agent.id] = _effective(agent, states[agent.parent])
        if states[agent.id] is not agent.state:
            changed.append(dataclasses.replace(agent, state=states[agent.id]))
    return changed


def _effective(agent: Agent, above: AgentState) -> AgentState:
    if AgentState.KILLED in (agent.state, above):
        return AgentState.KILLED
    if agent.suspended or above is AgentState.SUSPENDED:
        return AgentState.SUSPENDED
    return AgentState.ACTIVE


def cap(root: Agent, descendants: Iterable[Agent]) -> list[Agent]:
    """Lower caps and hints from `root` down and return the agents that are to be stored, `root` first.

    `root` carries its new caps and hints; `descendants` may come in any order. Afterwards every agent's hints
    lie within its caps, and its caps within its parent's. Nobody's are raised.
    """
    limits = {root.id: root.caps}
    changed = [root]
    for agent in sorted(descendants, key=lambda agent: len(agent.ancestors)):
        limits[agent.id] = caps.within(agent.caps, limits[agent.parent])
        hints = caps.lowered(agent.hints, limits[agent.id])
        if (limits[agent.id], hints) != (agent.caps, agent.hints):
            changed.append(dataclasses.replace(agent, caps=limits[agent.id], hints=hints))
    return changed


def marked(root: Agent, source: str, descendants: Iterable[Agent], now: datetime) -> list[Agent]:
    """Mark `root` and all below it as having read what nobody vouches for; return whom to store.

    What an agent has read reaches its descendants: it holds their keys and says what they do. Who is marked
    already keeps the first mark.
    """
    inherited = f"agents/{root.id}"
    return [
        dataclasses.replace(
            agent, untrusted_since=now, untrusted_source=source if agent is root else inherited
        )
        for agent in (root, *descendants)
        if not agent.untrusted
    ]


def cleared(agents: Iterable[Agent]) -> list[Agent]:
    """Take the mark from agents and return those that had one."""
    return [
        dataclasses.replace(agent, untrusted_since=None, untrusted_source="")
        for agent in agents
        if agent.untrusted
    ]


def depth_of_writer(writer: str, agent: str, ancestors: tuple[str, ...]) -> int:
    """Return the place in its tree of an agent that writes texts about another; -1 when it is not above."""
    path = (*ancestors, agent)
    return path.index(writer) if writer in path else -1


def vouched_texts(agent: Agent, reader: str) -> bool:
    """Tell whether somebody whom the reader obeys anyway wrote an agent's names and labels.

    That is the reader, an agent above it, or a person.
    """
    path = (*agent.ancestors, agent.id)
    depth = agent.texts_depth
    return depth is None or (depth >= 0 and reader in path and path.index(reader) >= depth)


def touched(agents: Iterable[Agent], revision: int, now: datetime) -> list[Agent]:
    """Stamp changed agents with the revision and time of their change."""
    return [dataclasses.replace(agent, revision=revision, update_time=now) for agent in agents]


def order_by_id(agents: Mapping[str, Agent]) -> list[Agent]:
    """Return agents in the order of their ids."""
    return [agents[key] for key in sorted(agents)]
