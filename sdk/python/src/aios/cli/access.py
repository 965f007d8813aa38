"""`aios grants` and `aios audit`."""

import json
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from aios.cli import session
from aios.cli.nouns import noun

_MOST_PLACE: Final = 1 << 63
_DIGEST: Final = re.compile("[0-9a-f]{64}")

grants_app = noun("Let agents use one another's resources.")


@grants_app.command("list")
def list_grants() -> None:
    """List grants."""
    found = session.call(lambda kernel: kernel.access.grants())
    rows = [
        (one.name, one.grantee, one.resource, " ".join(one.actions), one.expire_time or "-") for one in found
    ]
    columns = ("grant", "grantee", "resource", "actions", "expires")
    session.emit(found, lambda: session.table(columns, rows, "no grants"))


@grants_app.command()
def add(
    grantee: Annotated[str, typer.Argument(help="An agent's id, or groups/NAME.")],
    resource: Annotated[str, typer.Argument(help="Resource name; one that ends with / means all below.")],
    action: Annotated[list[str], typer.Argument(help="What is permitted, such as memory.read.")],
) -> None:
    """Permit actions on a resource."""
    prefix = resource.endswith("/")
    found = session.call(lambda kernel: kernel.access.grant(grantee, resource, action, prefix=prefix))
    session.emit(found, lambda: session.say(found.name))


@grants_app.command()
def revoke(grant: str) -> None:
    """Take a grant back."""
    name = grant if grant.startswith("grants/") else f"grants/{grant}"
    session.call(lambda kernel: kernel.access.revoke(name))
    session.emit({"revoked": name}, lambda: session.say(f"revoked {name}"))


def _verify(heads: Path | None, tenant: str) -> int:
    sequence, noted = _newest_head(heads, tenant) if heads else (0, "")
    check = session.call(
        lambda kernel: kernel.access.verify_audit(expected_head_hash=noted, expected_head_sequence=sequence)
    )
    text = f"intact: {check.verified_count} entries, head {check.head_hash}"
    broken = f"broken at {check.broken_sequence} ({check.fault}): {check.problem}"
    session.emit(check, lambda: session.say(text if check.intact else broken))
    return 0 if check.intact else 1


def _newest_head(path: Path, tenant: str) -> tuple[int, str]:
    """Return place and hash of the newest head of a tenant in a file of exported heads."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error
    found = [head for line in lines if (head := _head(line, tenant))]
    if not found:
        raise typer.BadParameter(f"{path} holds no head of the tenant {tenant!r}")
    return max(found)


def _head(line: bytes, tenant: str) -> tuple[int, str] | None:
    """Return place and hash of a tenant's head; None for what is none, such as half a line after a crash."""
    try:
        head = json.loads(line)
        sequence, digest = int(head["sequence"]), str(head["hash"])
        fits = head["tenant"] == tenant and 0 < sequence < _MOST_PLACE and _DIGEST.fullmatch(digest)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return (sequence, digest) if fits else None


def audit(
    *,
    agent: Annotated[str, typer.Option(help="Only this agent.")] = "",
    limit: Annotated[int, typer.Option(help="Most entries.")] = 30,
    verify: Annotated[bool, typer.Option("--verify", help="Check that the log is whole instead.")] = False,
    heads: Annotated[
        Path | None, typer.Option(help="File of exported heads, such as a webhook's copy, to verify against.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose heads to take from that file.")] = "default",
) -> None:
    """Show what was done, newest first, or verify the log."""
    if verify:
        raise typer.Exit(_verify(heads, tenant))
    found = session.call(lambda kernel: kernel.access.audit(agent=agent, limit=limit))
    rows = [
        (one.sequence, one.create_time, one.agent, one.action, one.resource, one.outcome) for one in found
    ]
    columns = ("entry", "time", "agent", "action", "resource", "outcome")
    session.emit(found, lambda: session.table(columns, rows, "no entries"))
