"""`aios mcp`: servers of tools that speak the Model Context Protocol."""

import difflib
import json
from typing import TYPE_CHECKING, Annotated

import typer

from aios.cli import session
from aios.cli.nouns import noun
from aios.types.mcp import McpOAuth
from aios.types.tools import ToolEffect

if TYPE_CHECKING:
    from aios.types.mcp import McpReview, McpServerInfo, McpToolChange

mcp_app = noun(
    "Connect MCP servers, whose tools agents then call. For the kernel as an MCP server see `aios env`."
)

Name = Annotated[str, typer.Argument(help="Id of the server, such as browser; without dots.")]
_ACCEPT = "Accept this?"


@mcp_app.command()
def add(
    name: Name,
    reached: Annotated[
        list[str],
        typer.Argument(help="An address; or a program by its whole path, arguments after --."),
    ],
    *,
    env: Annotated[list[str] | None, typer.Option(help="Variable of the program, NAME=VALUE.")] = None,
    secret_env: Annotated[list[str] | None, typer.Option(help="Variable and secret, NAME=SECRET.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="Header to send, NAME=VALUE.")] = None,
    secret_header: Annotated[list[str] | None, typer.Option(help="Header and secret, NAME=SECRET.")] = None,
    token_url: Annotated[str, typer.Option(help="Where OAuth tokens are had.")] = "",
    client_id: Annotated[str, typer.Option(help="Who the kernel is there.")] = "",
    client_secret: Annotated[str, typer.Option(help="Name of the secret that is the client's.")] = "",
    refresh_token: Annotated[str, typer.Option(help="Name of the secret that is a refresh token.")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="What the token is to permit.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="Take only this tool.")] = None,
    effect: Annotated[
        str, typer.Option(help="What its tools do: idempotent, reversible, irreversible.")
    ] = "irreversible",
    trust_annotations: Annotated[bool, typer.Option(help="Believe what its tools say they do.")] = False,
    network: Annotated[bool, typer.Option(help="Give the program the network.")] = False,
    run_timeout: Annotated[float | None, typer.Option(help="Most seconds of a call.")] = None,
    max_concurrency: Annotated[int, typer.Option(help="Most calls at once, of all its tools.")] = 0,
) -> None:
    """Connect a server and accept its tools as they are now."""
    kind: ToolEffect = _effect(effect)
    if reached[0].startswith(("http://", "https://")):
        oauth = McpOAuth(
            token_url=token_url,
            client_id=client_id,
            client_secret=client_secret,
            refresh_token=refresh_token,
            scopes=scope or (),
        )
        found = session.call(
            lambda kernel: kernel.mcp.add_url(
                name,
                reached[0],
                headers=_pairs(header),
                secret_headers=_pairs(secret_header),
                oauth=oauth if token_url else None,
                tools=tool or (),
                effect=kind,
                trust_annotations=trust_annotations,
                run_timeout=run_timeout,
                max_concurrency=max_concurrency,
            )
        )
    else:
        found = session.call(
            lambda kernel: kernel.mcp.add_program(
                name,
                reached,
                environment=_pairs(env),
                secret_environment=_pairs(secret_env),
                allow_network=network,
                tools=tool or (),
                effect=kind,
                trust_annotations=trust_annotations,
                run_timeout=run_timeout,
                max_concurrency=max_concurrency,
            )
        )
    session.emit(found, lambda: session.say(_told(found)))


@mcp_app.command("list")
def list_servers() -> None:
    """List servers and how they stand."""
    found = session.call(lambda kernel: kernel.mcp.list())
    rows = [
        (one.id, one.state, len(one.tools), one.url or " ".join(one.command), one.problem or "-")
        for one in found
    ]
    columns = ("server", "state", "tools", "at", "problem")
    session.emit(found, lambda: session.table(columns, rows, "no servers"))


@mcp_app.command()
def remove(name: Name) -> None:
    """Disconnect a server and remove its tools."""
    session.call(lambda kernel: kernel.mcp.remove(name))
    session.emit({"removed": name}, lambda: session.say(f"removed {name}"))


@mcp_app.command()
def show(name: Name) -> None:
    """Show what a server offers otherwise than it was accepted, old and new."""
    found = session.call(lambda kernel: kernel.mcp.review(name))
    session.emit(found, lambda: session.say_rows(_review(found)))


@mcp_app.command()
def approve(
    name: Name,
    *,
    sha256: Annotated[
        str, typer.Option(help="Digest of what was looked at, as `aios mcp show` tells it; asks nothing.")
    ] = "",
) -> None:
    """Accept what a server offers now. It is shown first, and asked about."""
    if not sha256:
        review = session.call(lambda kernel: kernel.mcp.review(name))
        session.say_rows(_review(review))
        typer.confirm(_ACCEPT, abort=True, err=True)
        sha256 = review.offered_sha256
    found = session.call(lambda kernel: kernel.mcp.accept(name, sha256))
    session.emit(found, lambda: session.say(_told(found)))


def _told(found: "McpServerInfo") -> str:
    problem = f"; {found.problem}" if found.problem else ""
    return f"{found.name} is {found.state} with {len(found.tools)} tools{problem}"


def _review(found: "McpReview") -> list[str]:
    lines = [f"{found.server.name} is {found.server.state}"]
    if found.server_changed:
        lines.append("its program, command or address is another than was accepted")
    for change in found.changes:
        lines += ["", f"{change.tool}: {_kind(change)}", *_difference(change)]
    return [*lines, "", f"sha256 {found.offered_sha256}"]


def _kind(change: "McpToolChange") -> str:
    if not change.accepted_json:
        return "new"
    return "changed" if change.offered_json else "offered no more"


def _difference(change: "McpToolChange") -> list[str]:
    old, new = _lines(change.accepted_json), _lines(change.offered_json)
    return [line for line in difflib.ndiff(old, new) if not line.startswith("?")]


def _lines(text: str) -> list[str]:
    return json.dumps(json.loads(text), indent=2, sort_keys=True).splitlines() if text else []


def _pairs(given: list[str] | None) -> dict[str, str]:
    if not all("=" in each for each in given or ()):
        raise typer.BadParameter("give NAME=VALUE")
    return {name: value for name, _, value in (each.partition("=") for each in given or ())}


def _effect(text: str) -> ToolEffect:
    match text:
        case "idempotent" | "reversible" | "irreversible":
            return text
        case _:
            raise typer.BadParameter("the effect is idempotent, reversible or irreversible")
