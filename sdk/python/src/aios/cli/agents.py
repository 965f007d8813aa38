"""`aios agents` and `aios ps`."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aios.cli import session, terminal
from aios.cli.nouns import noun

if TYPE_CHECKING:
    from aios.kernel import Kernel
    from aios.types.agents import AgentHandle, AgentInfo
    from aios.types.queue import Syscall


class OldKey(StrEnum):
    """What becomes of an agent's keys when it gets another."""

    END = "end"
    END_WITH_TOKENS = "end_with_tokens"
    KEEP = "keep"


app = noun("Register agents and steer them.")

Agent = Annotated[str, typer.Argument(help="Id of the agent; `me` is the caller.")]


@app.command("list")
def list_agents(
    parent: Annotated[str, typer.Option(help="Only the tree below this agent.")] = "",
) -> None:
    """List agents."""
    found = session.call(lambda kernel: kernel.agents.list(parent=parent))
    session.emit(found, lambda: _table(found))


@app.command()
def show(agent: Agent = "me") -> None:
    """Show one agent."""
    found = session.call(lambda kernel: kernel.agents.get(agent))
    session.emit(found, lambda: _table([found]))


@app.command()
def register(
    agent_id: Annotated[str, typer.Argument(help="Id; by default the kernel makes one.")] = "",
    *,
    parent: Annotated[str, typer.Option(help="The agent it is a child of.")] = "",
    kind: Annotated[str, typer.Option(help="What sort of agent it is.")] = "",
    scheduling_class: Annotated[
        str, typer.Option("--class", help="realtime, interactive, normal, batch or idle.")
    ] = "unspecified",
    weight: Annotated[int, typer.Option(help="Share against its siblings.")] = 0,
    priority: Annotated[int, typer.Option(help="-20 (early) to 19.")] = 0,
    ttl: Annotated[
        float | None, typer.Option(help="Seconds after which it is killed, with all below it.", min=1)
    ] = None,
) -> None:
    """Register an agent and print its key, which is shown only here."""
    from typing import cast  # noqa: PLC0415  # keeps `aios --help` quick

    from aios.types.agents import Hints, SchedulingClass  # noqa: PLC0415  # same

    hints = Hints(
        scheduling_class=cast("SchedulingClass", scheduling_class), weight=weight, priority=priority
    )
    handle = session.call(
        lambda kernel: kernel.agents.register(agent_id, parent=parent, kind=kind, hints=hints, ttl=ttl)
    )
    _tell_key(handle)


def _tell_key(handle: "AgentHandle") -> None:
    told = {"name": handle.name, "agent_key": handle.credential.agent_key}
    session.emit(told, lambda: session.say_lines(f"{handle.name}\nagent key: {handle.credential.agent_key}"))


@app.command("key")
def issue_key(
    agent: Agent,
    *,
    old_keys: Annotated[
        OldKey, typer.Option(help="What becomes of those until now: end_with_tokens when one has leaked.")
    ] = OldKey.END,
    reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "",
) -> None:
    """Make an agent another key, as when its own was lost, and print it; it is shown only here."""
    handle = session.call(
        lambda kernel: kernel.agents.issue_key(agent, old_keys=old_keys.value, reason=reason)
    )
    _tell_key(handle)


@app.command()
def update(
    agent: Agent,
    *,
    name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    kind: Annotated[str | None, typer.Option(help="What sort of agent it is.")] = None,
    scheduling_class: Annotated[
        str | None, typer.Option("--class", help="realtime, interactive, normal, batch or idle.")
    ] = None,
    weight: Annotated[int | None, typer.Option(help="Share against its siblings.")] = None,
    priority: Annotated[int | None, typer.Option(help="-20 (early) to 19.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE; repeat it. Takes the place of all labels.")
    ] = None,
) -> None:
    """Change what is said of an agent, or how it is scheduled; the rest stays."""
    said = {"scheduling_class": scheduling_class, "weight": weight, "priority": priority}
    changed_hints: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    if name is None and kind is None and not changed_hints and label is None:
        raise typer.BadParameter("say what to change: --name, --kind, --class, --weight, --priority, --label")
    labels = None if label is None else dict(_label(text) for text in label)

    async def work(kernel: "Kernel") -> "AgentInfo":
        hints, etag = None, ""
        if changed_hints:  # they are replaced as a whole: those that are not named are read first
            known = await kernel.agents.get(agent)
            hints, etag = replace(known.hints, **changed_hints), known.etag
        return await kernel.agents.update(
            agent, display_name=name, kind=kind, hints=hints, labels=labels, etag=etag
        )

    changed = session.call(work)
    session.emit(changed, lambda: _table([changed]))


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"say NAME=VALUE, not {text!r}", param_hint="--label")
    return key, value


@app.command()
def delete(
    agent: Agent,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End an agent and all below it, and delete everything of them for good: `kill` and `purge` as one."""
    if not yes and sys.stdin.isatty():
        typer.confirm(
            f"delete {terminal.line(agent)}, all below it and all their data?", abort=True, err=True
        )
    gone = session.call(lambda kernel: kernel.agents.delete(agent, reason=reason))
    session.emit(gone, lambda: session.say(f"{gone.name} is being deleted"))


@app.command()
def suspend(agent: Agent, reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "") -> None:
    """Refuse an agent's new calls until it is resumed."""
    changed = session.call(lambda kernel: kernel.agents.suspend(agent, reason=reason))
    session.emit(changed, lambda: _table([changed]))


@app.command()
def resume(agent: Agent) -> None:
    """End a suspension."""
    changed = session.call(lambda kernel: kernel.agents.resume(agent))
    session.emit(changed, lambda: _table([changed]))


@app.command()
def kill(agent: Agent, reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "") -> None:
    """End an agent and its children for good; their data stays until `aios purge`."""
    count = session.call(lambda kernel: kernel.agents.kill(agent, reason=reason))
    session.emit({"killed": count}, lambda: session.say(f"{count} ended"))


@app.command()
def clear(
    agent: Agent,
    *,
    descendants: Annotated[bool, typer.Option(help="The agents below it too.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "",
) -> None:
    """Forget that an agent has read what nobody vouches for."""
    count = session.call(
        lambda kernel: kernel.agents.clear_untrusted(agent, descendants=descendants, reason=reason)
    )
    session.emit({"cleared": count}, lambda: session.say(f"{count} cleared"))


def purge(agent: Agent, reason: Annotated[str, typer.Option(help="Why, for the audit.")] = "") -> None:
    """Delete everything of a killed agent and of those below it, in the background and for good."""
    changed = session.call(lambda kernel: kernel.agents.purge(agent, reason=reason))
    session.emit(changed, lambda: session.say(f"{changed.name} is being purged"))


def ps(
    *,
    everyone: Annotated[bool, typer.Option("--all", "-a", help="Show agents that have ended, too.")] = False,
) -> None:
    """Show the agents as trees, and what each is waiting for or running."""
    agents, calls = session.call(_ps)
    shown = as_trees([agent for agent in agents if everyone or agent.state != "killed"])
    told = {"agents": [agent for _, agent in shown], "calls": calls}
    session.emit(told, lambda: _processes(shown, calls))


async def _ps(kernel: "Kernel") -> tuple[list["AgentInfo"], list["Syscall"]]:
    return await kernel.agents.list(), await kernel.queue.list()


def as_trees(agents: Sequence["AgentInfo"]) -> list[tuple[int, "AgentInfo"]]:
    """Return agents with their depth, each below its parent; one whose parent is not among them is a root."""
    listed = {agent.name for agent in agents}
    below: dict[str, list[AgentInfo]] = defaultdict(list)
    for agent in sorted(agents, key=lambda agent: agent.id, reverse=True):
        below[agent.parent if agent.parent in listed else ""].append(agent)
    found = []
    waiting = [(0, agent) for agent in below[""]]
    while waiting:
        depth, agent = waiting.pop()
        found.append((depth, agent))
        waiting += [(depth + 1, child) for child in below[agent.name]]
    return found


def _processes(shown: Sequence[tuple[int, "AgentInfo"]], calls: Sequence["Syscall"]) -> None:
    own_calls: dict[str, list[Syscall]] = defaultdict(list)
    for call in calls:
        own_calls[call.name.partition("/calls/")[0]].append(call)
    rows = []
    for depth, agent in shown:
        own = own_calls[agent.name]
        waits = [call.wait for call in own if call.state == "waiting"]
        rows.append(
            (
                "  " * depth + agent.id,
                agent.display_name if agent.display_name != agent.id else "-",
                agent.kind or "-",
                agent.state,
                agent.hints.scheduling_class,
                len(own) - len(waits),
                len(waits),
                session.seconds(max(waits, default=None)),
            )
        )
    columns = ("agent", "name", "kind", "state", "class", "running", "waiting", "longest wait")
    session.table(columns, rows, "no agents", cut=("name", "kind"))


def _table(agents: list["AgentInfo"]) -> None:
    rows = [
        (
            agent.id,
            agent.state,
            agent.kind or "-",
            agent.parent.removeprefix("agents/") or "-",
            agent.hints.scheduling_class,
            agent.hints.weight or 1,
            agent.hints.priority or 0,
            f"{agent.expire_time:%Y-%m-%d %H:%M:%S}" if agent.expire_time else "-",
        )
        for agent in agents
    ]
    columns = ("agent", "state", "kind", "parent", "class", "weight", "priority", "ends (UTC)")
    session.table(columns, rows, "no agents")
