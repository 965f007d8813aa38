"""`aios tools openapi`, `aios tools egress`: HTTP APIs as tools, and where tools may send to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aios.cli import session
from aios.cli.registered import tools_app  # whose commands lie beside these

if TYPE_CHECKING:
    from aios.types.web import ApiResult, EgressInfo

__all__ = ["tools_app"]

Api = Annotated[str, typer.Argument(help="Prefix of the tools, such as petstore.")]


@tools_app.command("openapi")
def register_api(
    document: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="OpenAPI 3.0 or 3.1, JSON or YAML.")
    ],
    api: Annotated[str, typer.Option("--name", help="Prefix of the tools; by default the file's name.")] = "",
    *,
    base_url: Annotated[str, typer.Option(help="Where calls go, whatever the document says.")] = "",
    operation: Annotated[list[str] | None, typer.Option(help="Id of one that is wanted; repeat it.")] = None,
    secret_header: Annotated[
        list[str] | None, typer.Option(help="HEADER=SECRET; repeat it. For administrators.")
    ] = None,
    vouched: Annotated[
        bool, typer.Option("--vouched", help="Vouch for the server: GET is idempotent, results are trusted.")
    ] = False,
    replaces: Annotated[str, typer.Option(help="SHA-256 of the document that this one replaces.")] = "",
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Also where calls that wait need what changes.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change, and which servers are proposed.")
    ] = False,
) -> None:
    """Make tools of the operations of an OpenAPI document."""
    secrets = dict(_pair(text) for text in secret_header or ())
    result = session.call(
        lambda kernel: kernel.web.register_api(
            api or document.stem.lower(),
            document.read_bytes(),
            base_url=base_url,
            operations=operation or (),
            secret_headers=secrets,
            vouched=vouched,
            replaces=replaces,
            allow_breaking=allow_breaking,
            dry_run=dry_run,
        )
    )
    session.emit(result, lambda: _shown(result))


@tools_app.command("remove-openapi")
def unregister_api(api: Api) -> None:
    """Remove all tools of an API."""
    session.call(lambda kernel: kernel.web.unregister_api(api))
    session.emit({"removed": api}, lambda: session.say(f"removed {api}"))


@tools_app.command("egress")
def egress(
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Origin to allow, such as https://*.example.com; repeat it."),
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that the operator allows.")] = False,
    nothing: Annotated[bool, typer.Option("--none", help="Nothing.")] = False,
    etag: Annotated[str, typer.Option(help="The version to replace.")] = "",
) -> None:
    """Show where the tenant's tools may send to, or say it anew. For administrators."""
    if (bool(allow), everything, nothing).count(True) > 1:
        raise typer.BadParameter("give one of --allow, --all and --none")
    if not (allow or everything or nothing):
        found = session.call(lambda kernel: kernel.web.egress())
    else:
        origins = None if everything else allow or ()
        found = session.call(lambda kernel: kernel.web.set_egress(origins, etag=etag))
    session.emit(found, lambda: _where(found))


def _pair(text: str) -> tuple[str, str]:
    header, mark, secret = text.partition("=")
    if not (header and mark and secret):
        raise typer.BadParameter(f"{text!r} is not HEADER=SECRET")
    return header, secret


def _shown(result: "ApiResult") -> None:
    for change in result.changes:
        session.say(f"{change.kind:9} {change.tool}")
        for one in change.fields:
            session.say_rows(
                [f"          {one.name}", f"            - {one.before}", f"            + {one.after}"]
            )
    for left in result.left_out:
        session.say(f"left out  {left.operation}: {left.reason}")
    for server in result.proposed_servers:
        session.say(f"proposes  {server}")
    session.say(f"document  {result.document_sha256}")


def _where(found: "EgressInfo") -> None:
    session.say("operator: " + (" ".join(found.allowed) or "nothing"))
    narrowed = " ".join(found.origins) or "nothing"
    session.say("tenant:   " + (narrowed if found.narrowed else "all of it"))
