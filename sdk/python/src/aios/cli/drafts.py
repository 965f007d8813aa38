"""`aios tools draft`, `test`, `share`, `versions`, `rollback`, `revoke`: tools that agents make."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aios.cli import session
from aios.cli.data import Agent, tools_app
from aios.types.llm import ToolSpec

if TYPE_CHECKING:
    from aios.types.drafts import DraftInfo, Example, VersionInfo

__all__ = ["tools_app"]

Name = Annotated[str, typer.Argument(help="Draft, such as slugs, or agents/planner/drafts/slugs.")]
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The Python source.")]
Reason = Annotated[str, typer.Option(help="Why; kept with it and in the audit log.")]


@tools_app.command("draft")
def draft_tool(
    name: Name,
    source: File,
    examples: Annotated[
        Path,
        typer.Option(
            exists=True,
            dir_okay=False,
            help='JSON list of at least two: {"arguments": {...}, "result": ...}, or "schema" for a result.',
        ),
    ],
    *,
    description: Annotated[str, typer.Option(help="What it does and when to use it.")],
    parameters: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="JSON Schema of the arguments.")
    ] = None,
    function: Annotated[str, typer.Option(help="The function in the source; by default the name.")] = "",
    etag: Annotated[str, typer.Option(help="The version to replace.")] = "",
) -> None:
    """Keep a tool that the agent makes. It cannot be called before it was tested."""
    spec = ToolSpec(name, description, _json(parameters) if parameters is not None else {})
    text, tried = source.read_text(encoding="utf-8"), _examples(examples)
    kept = session.call(lambda kernel: kernel.drafts.put(spec, text, tried, function=function, etag=etag))
    session.emit(kept, lambda: _short(kept))


@tools_app.command("test")
def try_examples(
    name: Name,
    *,
    own: Annotated[bool, typer.Option("--own/--no-own", help="Take it into use when it passes.")] = True,
) -> None:
    """Run a draft's examples in the sandbox; exits with 1 unless all pass."""
    tested = session.call(lambda kernel: kernel.drafts.test(name, own=own))
    session.emit(tested, lambda: _tested(tested))
    if tested.test is None or not tested.test.passed:
        raise typer.Exit(1)


@tools_app.command("share")
def share_draft(name: Name) -> None:
    """Share a tested draft, or ask a person for it: call it again once that was approved."""
    found = session.call(lambda kernel: kernel.drafts.share(name))

    def told() -> None:
        _short(found)
        if found.state != "shared":
            session.say(f"waits for a person: aios approvals show {found.approval} --whole")

    session.emit(found, told)


@tools_app.command("drafts")
def list_drafts(agent: Agent = "me") -> None:
    """List what an agent makes."""
    found = session.call(lambda kernel: kernel.drafts.list(agent=agent))
    rows = [
        (one.id, one.state, one.tool.removeprefix("tools/"), one.shared_version or "-", one.approval or "-")
        for one in found
    ]
    columns = ("draft", "state", "tool", "shared", "asked for")
    session.emit(found, lambda: session.table(columns, rows, "no drafts"))


@tools_app.command("review")
def review_draft(
    name: Name,
    *,
    version: Annotated[int, typer.Option(help="A version that was shared; by default the draft.")] = 0,
) -> None:
    """Show a draft, or a version of it, with its source."""
    if version:
        found = session.call(lambda kernel: kernel.drafts.version(name, version))
        session.emit(found, lambda: _whole(found.draft, found.diff))
        return
    draft = session.call(lambda kernel: kernel.drafts.get(name))
    session.emit(draft, lambda: _whole(draft))


@tools_app.command("undraft")
def delete_draft(name: Name) -> None:
    """Delete a draft; what is shared of it stays."""
    session.call(lambda kernel: kernel.drafts.delete(name))
    session.emit({"deleted": name}, lambda: session.say(f"deleted {name}"))


@tools_app.command("versions")
def list_versions(name: Name) -> None:
    """List what was shared of a draft, newest first."""
    found = session.call(lambda kernel: kernel.drafts.versions(name))
    rows = [
        (one.number, _standing(one), one.sha256[:12], one.share_time or "-", one.approval) for one in found
    ]
    columns = ("version", "", "sha256", "shared", "approval")
    session.emit(found, lambda: session.table(columns, rows, "nothing was shared"))


@tools_app.command("rollback")
def roll_back(name: Name, version: int, *, reason: Reason = "") -> None:
    """Make a version what everybody calls. For persons and administrators."""
    found = session.call(lambda kernel: kernel.drafts.roll_back(name, version, reason=reason))
    session.emit(found, lambda: session.say(f"{found.name} is what everybody calls"))


@tools_app.command("revoke")
def revoke(name: Name, *, reason: Reason = "") -> None:
    """Take a shared tool away from everybody, for good. For persons and administrators."""
    count = session.call(lambda kernel: kernel.drafts.revoke(name, reason=reason))
    session.emit({"revoked": count}, lambda: session.say(f"revoked {name}: {count} versions"))


def _examples(path: Path) -> "list[Example]":
    from aios.types.drafts import Example  # noqa: PLC0415 - other commands need not load it

    given = _json(path)
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise typer.BadParameter("the examples are a JSON list of objects")
    return [Example(one.get("arguments") or {}, one.get("result"), one.get("schema")) for one in given]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path.name} is no JSON: {error}") from error


def _short(found: "DraftInfo") -> None:
    session.say(f"{found.name}: {found.state}, {found.sha256[:12]}, etag {found.etag}")


def _tested(found: "DraftInfo") -> None:
    _short(found)
    for number, one in enumerate(found.test.examples if found.test else (), 1):
        session.say(f"example {number}: {'passed' if one.passed else one.problem} {one.result_json}")


def _whole(found: "DraftInfo", diff: str = "") -> None:
    session.say(f"{found.tool}: {found.description}")
    session.say(f"sha256 {found.sha256}, effect {found.effect}")
    if found.test is not None:
        state = "passed" if found.test.passed else "failed"
        session.say(f"test {state}, Python {found.test.interpreter}, sandbox {found.test.sandbox}")
    session.say_lines(found.source)
    if diff:
        session.say_lines(diff)


def _standing(one: "VersionInfo") -> str:
    if one.revoke_time is not None:
        return "revoked"
    return "current" if one.current else ""
