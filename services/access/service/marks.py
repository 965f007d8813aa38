"""Use cases of marks: which agents have read what nobody vouches for."""

from typing import Final

from services.access.core import agent_tree
from services.access.errors import AgentNotFound
from services.access.model.agents import Agent
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.watchers import RuleChange
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc import names
from services.chassis.rpc.errors import PermissionDenied

_MARK: Final = "MarkUntrusted"
_CLEAR: Final = "ClearUntrusted"


class MarkService:
    """Keeps the marks of all agents. A mark only rises: one that is there stays until somebody clears it."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def mark(self, caller: Caller, tenant: str, agent: str, source: str) -> int:
        """Mark an agent and all below it before they get content of `source`; return the rules' revision.

        When this returns every process that follows the rules decides by the mark. Raises AgentNotFound.
        """
        now = self._deps.clock.now()

        def work(tx: Transaction) -> tuple[list[Agent], int]:
            root = _found(tx, tenant, agent)
            if root.untrusted:  # and so is all below it
                return [], tx.ledger.revision()
            changed = agent_tree.marked(root, source, tx.agents.descendants(root), now)
            revision = tx.ledger.bump()
            tx.agents.update(agent_tree.touched(changed, revision, now))
            done = dependencies.event(
                caller, _MARK, "access.check", names.agent_name(agent), reason=source[:64]
            )
            dependencies.record(tx, tenant, now, [done])
            return changed, revision

        # Also when nothing changed: who asks again is answered when the first one would have been.
        return (await self._deps.commit(work, lambda made: _marks(tenant, agent, made[0])))[1]

    async def clear(
        self, caller: Caller, agent: str, *, descendants: bool, reason: str = ""
    ) -> tuple[Agent, int]:
        """Take the mark from an agent, with `descendants` from all below it; return it and how many had one.

        Raises AgentNotFound, or PermissionDenied for an agent of the same tree, or one below a marked agent.
        """
        now = self._deps.clock.now()

        def work(tx: Transaction) -> tuple[Agent, int]:
            root = _found(tx, caller.tenant, agent)
            _must_be_impartial(tx, caller, root)
            _must_be_highest(tx, root)
            below = tx.agents.descendants(root) if descendants else []
            changed = agent_tree.cleared([root, *below])
            if changed:
                changed = agent_tree.touched(changed, tx.ledger.bump(), now)
                tx.agents.update(changed)
            name = names.agent_name(agent)
            done = dependencies.event(caller, _CLEAR, "agent.clear_untrusted", name, reason=reason[:64])
            dependencies.record(tx, caller.tenant, now, [done])
            return next((one for one in changed if one.id == agent), root), len(changed)

        # What was remembered of the mark has to go as surely as a permission that is taken away: an agent
        # that is taken for marked would read on without being marked again.
        return await self._deps.commit(work, RuleChange(caller.tenant, frozenset({names.agent_name(agent)})))


def _marks(tenant: str, agent: str, changed: list[Agent]) -> RuleChange:
    concerned = frozenset({names.agent_name(agent), *(names.agent_name(one.id) for one in changed)})
    return RuleChange(tenant, concerned, mark=True)


def _must_be_impartial(tx: Transaction, caller: Caller, agent: Agent) -> None:
    """Refuse an agent of the same tree: orders that it has read would say so. Raises PermissionDenied."""
    if caller.kind is not Kind.AGENT:
        return
    own = tx.agents.get(caller.tenant, caller.agent)
    if own is None or own.untrusted or agent_tree.root_of(own) == agent_tree.root_of(agent):
        raise PermissionDenied("no agent clears a mark of its own tree, and no marked agent any")


def _must_be_highest(tx: Transaction, agent: Agent) -> None:
    """Refuse an agent below a marked one, which goes on to say what it does. Raises PermissionDenied."""
    above = tx.agents.get(agent.tenant, agent.parent) if agent.parent else None
    if agent.untrusted and above is not None and above.untrusted:
        name = names.agent_name(above.id)
        raise PermissionDenied(f"{name} above it is marked: clear that one first", metadata={"agent": name})


def _found(tx: Transaction, tenant: str, agent: str) -> Agent:
    found = tx.agents.get(tenant, agent)
    if found is None:
        raise AgentNotFound(f"no agent agents/{agent}", metadata={"agent": names.agent_name(agent)})
    return found
