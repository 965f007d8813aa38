"""`aios console`: an address that opens the web console signed in, once and within a minute."""

import json
import ssl
import urllib.error
import urllib.request
import webbrowser
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from aios.cli import session, terminal

if TYPE_CHECKING:
    from aios._settings import Target
    from aios.kernel import Kernel

_SECONDS: Final = 10.0
_NOT_FOUND: Final = 404


def console(
    *,
    show: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser too.")] = False,
    door: Annotated[
        str,
        typer.Option(
            envvar="AIOS_DOOR_URL",
            help="Base URL of the kernel's HTTP door. Default: 20 ports above the kernel's.",
        ),
    ] = "",
) -> None:
    """Print an address that opens the web console, signed in as who runs this command.

    It works once and for a minute, and holds no credential: whoever reads it later gets nothing.
    """
    from aios import _settings  # noqa: PLC0415  # keeps `aios --help` quick

    target = _settings.target(session.options.get().endpoint)
    try:
        base = door.rstrip("/").removesuffix("/v1") or _settings.door_url(target)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not base.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--door {door} is no base URL such as http://127.0.0.1:7090")
    told = _code(base, session.call(_token), target)
    address = f"{base}/console/sign-in#code={told['code']}"
    if session.options.get().as_json:
        terminal.out_json(json.dumps({"url": address, "seconds": told["seconds"]}))
    else:
        session.say(address)
        session.warn(f"opens the console once, within {told['seconds']:.0f} s")
    if show and not webbrowser.open(address):
        session.warn("no browser could be opened here: open the address by hand")


async def _token(kernel: "Kernel") -> str:
    """Return the token that this command's own calls carry."""
    return await kernel._transport.token()  # noqa: SLF001  # no call of the contract wants it in words


def _code(base: str, token: str, target: "Target") -> dict[str, Any]:
    """Get a code for a browser; an error ends the program."""
    request = urllib.request.Request(  # noqa: S310  # checked above: http or https
        f"{base}/console/codes",
        data=b"",
        method="POST",
        headers={"authorization": f"Bearer {token}", "x-aios-console": "1"},
    )
    trusted = ssl.create_default_context(cafile=target.ca_file or None) if base[:6] == "https:" else None
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS, context=trusted) as answer:  # noqa: S310
            told: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            _refused(refused)
    except (OSError, ValueError) as error:
        session.warn(f"aios: {base} does not answer as a kernel's door: {error}")
        session.warn("  Start the kernel with `aios up`, or say where its door is: AIOS_DOOR_URL.")
        raise typer.Exit(1) from None
    return told


def _refused(refused: urllib.error.HTTPError) -> None:
    """Say why there is no code, and end the program."""
    try:
        told = json.load(refused)
        words, hint = str(told["message"]), str(told["hint"])
    except (ValueError, KeyError, TypeError):
        words, hint = f"HTTP {refused.code}", ""
    if refused.code == _NOT_FOUND:
        words = "this kernel serves no web console"
        hint = "Set AIOS_GATEWAY_CONSOLE=on for its gateway."
    session.warn(f"aios: {words}")
    if hint:
        session.warn(f"  {hint}")
    raise typer.Exit(1)
