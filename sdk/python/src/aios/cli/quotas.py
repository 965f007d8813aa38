"""`aios usage`: what agents keep, and may keep."""

from typing import Annotated

import typer

from aios.cli import session

Agent = Annotated[str, typer.Option(help="Whose; by default the caller's.")]


def usage(
    agent: Agent = "me",
    *,
    every: Annotated[bool, typer.Option("--all", "-a", help="What nothing is used of, too.")] = False,
) -> None:
    """Show what an agent, its tree and its tenant use of each quota."""
    found = session.call(lambda kernel: kernel.quotas.usage(agent=agent))
    rows = [
        (manager, one.quota, one.level, one.used, one.limit)
        for manager, quotas in found.items()
        for one in quotas
        if every or one.used
    ]
    heads = ("manager", "quota", "level", "used", "limit")
    session.emit(found, lambda: session.table(heads, rows, "nothing is used"))
