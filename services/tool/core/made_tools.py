"""What is kept of tools that agents make, inside one transaction: who sees it, and what it is charged."""

from services.tool.core.making import Draft, DraftState, Version, own_tool, tool_id
from services.tool.errors import ToolExists
from services.tool.model import Tool
from services.tool.ports import Transaction


def visible(tx: Transaction, agent: str, tool: str) -> Tool | None:
    """Return a tool of the tenant as an agent sees it: its own version of what it makes before everybody's.

    The transaction is of that agent's scope.
    """
    owner, _, name = tool.rpartition(".")
    if owner and owner == agent:
        draft = tx.draft(name)
        if draft is not None and draft.state is DraftState.OWN:
            return own_tool(draft)
    return tx.tool(tool)


def own_tools(tx: Transaction, agent: str, *, after: str, limit: int) -> list[Tool]:
    """List by id the tools that only the agent of the transaction calls, from behind one."""
    prefix = tool_id(agent, "")
    if after > prefix and not after.startswith(prefix):
        return []
    name = after.removeprefix(prefix) if after.startswith(prefix) else ""
    return [own_tool(draft) for draft in tx.drafts(after=name, limit=limit, state=DraftState.OWN)]


def shared_of(tx: Transaction, agent: str, draft: str) -> Tool | None:
    """Return what everybody calls by the name of a draft. Raises ToolExists when that is no version of it."""
    name = tool_id(agent, draft)
    found = tx.tool(name)
    if found is not None and (found.made is None or found.made.agent != agent):
        raise ToolExists(f"tools/{name} exists already", metadata={"tool": f"tools/{name}"})
    return found


def keep_draft(tx: Transaction, draft: Draft) -> Draft:
    """Keep a draft of the transaction's agent, and charge what it takes."""
    before = tx.draft_size(draft.name)
    tx.count(drafts=int(not before), draft_bytes=tx.put_draft(draft) - before)
    return draft


def drop_draft(tx: Transaction, name: str) -> None:
    """Forget a draft of the transaction's agent."""
    before = tx.draft_size(name)
    tx.drop_draft(name)
    tx.count(drafts=-1, draft_bytes=-before)


def keep_version(tx: Transaction, version: Version, *, new: bool) -> Version:
    """Keep a version of a draft of the transaction's agent."""
    tx.count(tool_versions=int(new), draft_bytes=tx.put_version(version))
    return version


def put_shared(tx: Transaction, tool: Tool, before: Tool | None) -> None:
    """Make a version what everybody calls."""
    tx.put_tool(tool)
    tx.charge(tool.owner, tools=int(before is None))


def drop_shared(tx: Transaction, tool: Tool) -> None:
    """Take a version away from everybody."""
    tx.drop_tool(tool.id)
    tx.charge(tool.owner, tools=-1)
