"""`aios secrets`: keep values that tools send and nobody reads."""

import sys
from typing import Annotated, Final

import typer

from aios.cli import session
from aios.cli.nouns import noun

_MOST: Final = 8_192
"""Bytes of the longest value."""

secrets_app = noun("Keep values that tools send and nobody reads. For administrators.")

Name = Annotated[str, typer.Argument(help="Id of the secret, such as github.")]


@secrets_app.command("set")
def set_secret(
    name: Name,
    bound_to: Annotated[
        str,
        typer.Option(
            "--bound-to",
            help="Where alone it may go: mcpservers/ID, or an origin such as https://api.example.com. "
            "Needed for a new secret.",
        ),
    ] = "",
) -> None:
    """Keep a value: from standard input, or asked for on a terminal. It is never an argument."""
    value = _value()
    found = session.call(lambda kernel: kernel.secrets.set(name, value, bound_to=bound_to))
    session.emit(found, lambda: session.say(f"{found.name} {found.version}, for {found.bound_to}"))


@secrets_app.command("list")
def list_secrets() -> None:
    """List secrets without their values."""
    found = session.call(lambda kernel: kernel.secrets.list())
    rows = [
        (one.id, one.version, one.bound_to, one.update_time or "-", one.key_id, " ".join(one.used_by) or "-")
        for one in found
    ]
    columns = ("secret", "version", "goes to", "set", "key", "used by")
    session.emit(found, lambda: session.table(columns, rows, "no secrets"))


@secrets_app.command("delete")
def delete_secret(name: Name) -> None:
    """Forget a secret; tools that name it fail from then on."""
    session.call(lambda kernel: kernel.secrets.delete(name))
    session.emit({"deleted": name}, lambda: session.say(f"deleted {name}"))


def _value() -> str:
    """Read the value; one line end at its end is not part of it."""
    if sys.stdin.isatty():
        return str(typer.prompt("value", hide_input=True, confirmation_prompt=True, err=True))
    data = sys.stdin.buffer.read(_MOST + 3)
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise typer.BadParameter("the value is not UTF-8 text") from None
