"""`aios env`: the variables by which an OpenAI, Anthropic or MCP client becomes an agent of this kernel."""

import json
import re
import shlex
import socket
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from aios.cli import session, terminal

if TYPE_CHECKING:
    from aios._keys import AgentKeys
    from aios.kernel import Kernel

DEFAULT_AGENT: Final = "default"
_AGENT_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PROBE_SECONDS: Final = 1.0


class Format(StrEnum):
    """How the lines are written."""

    SH = "sh"
    FISH = "fish"
    POWERSHELL = "powershell"
    DOTENV = "dotenv"
    JSON = "json"


def env(
    agent: Annotated[
        str,
        typer.Argument(
            help="Id of the agent; it is registered the first time. Default: the one of --agent-key, else "
            "`default`."
        ),
    ] = "",
    *,
    format_: Annotated[Format, typer.Option("--format", help="What to write the lines for.")] = Format.SH,
    door: Annotated[
        str,
        typer.Option(
            envvar="AIOS_DOOR_URL",
            help="Base URL of the kernel's HTTP door. Default: 20 ports above the kernel's.",
        ),
    ] = "",
) -> None:
    """Print the variables that make a client an agent of this kernel: eval "$(aios env NAME)".

    An OpenAI, Anthropic or MCP client needs its base URL and a key, nothing else. The key is kept in the data
    directory and stays the same.
    """
    from aios import _settings  # noqa: PLC0415  # keeps `aios --help` quick

    if agent and (not _AGENT_ID.fullmatch(agent) or agent == "me"):
        raise typer.BadParameter("an id is made of a-z, 0-9, dot, dash and underscore, at most 63 of them")
    if door and not door.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--door {door} is no base URL such as http://127.0.0.1:7090")
    try:
        base = door.rstrip("/").removesuffix("/v1") or _settings.door_url(
            _settings.target(session.options.get().endpoint)
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    key = _key(agent)
    _warn_if_shut(base)
    written = Format.JSON if session.options.get().as_json else format_
    terminal.out(WRITERS[written](variables(base, key)))


def variables(door: str, key: str) -> dict[str, str]:
    """Return the variables that the usual clients look for, and their values."""
    return {
        "OPENAI_BASE_URL": f"{door}/v1",
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": door,
        # Both: some clients know only one, and a key for another service must not go to this one.
        "ANTHROPIC_API_KEY": key,
        "ANTHROPIC_AUTH_TOKEN": key,
        "AIOS_MCP_URL": f"{door}/mcp",
        "AIOS_KEY": key,
    }


def _key(agent: str) -> str:
    """Return the key of an agent, which is registered if need be; an error ends the program."""
    from aios import _settings  # noqa: PLC0415  # keeps `aios --help` quick
    from aios._keys import KeyFiles, KeysUnusable  # noqa: PLC0415  # same

    said = session.options.get()
    files = KeyFiles(_settings.keys_dir(_settings.target(said.endpoint)))
    if said.agent_key and not agent:
        session.call(lambda kernel: kernel.agents.get("me"))
        return said.agent_key
    agent = agent or DEFAULT_AGENT
    try:
        with files.locked():
            kept = files.read(agent)
            key = session.call(lambda kernel: _kept_or_new(kernel, kept, agent))
            if key not in kept.keys[:1]:
                files.write(agent, kept.with_key(key))
    except KeysUnusable as error:
        session.warn(f"aios: {error}")
        raise typer.Exit(1) from None
    return key


async def _kept_or_new(kernel: "Kernel", kept: "AgentKeys", agent: str) -> str:
    """Return the agent's key: the one given, a kept one that works, else that of a registration.

    Raises an `AiosError`.
    """
    from aios.errors import AlreadyExists  # noqa: PLC0415  # keeps `aios --help` quick

    given = session.options.get().agent_key
    if given and (await kernel.agents.get("me")).id == agent:
        return given
    for key in kept.keys:
        if await _is_key_of(kernel, key, agent):
            return key
    try:
        # The id was kept before: a run that is cut off between the answer and the file is repeated with it,
        # which shows a new key and ends the one that nobody has.
        handle = await kernel.agents.register(agent, request_id=kept.request_id)
    except AlreadyExists as error:
        where = "its key is not kept here: give it with --agent-key, or take another id"
        raise AlreadyExists(f"agent {agent} exists, and {where}", reason=error.reason) from error
    return handle.credential.agent_key


async def _is_key_of(kernel: "Kernel", key: str, agent: str) -> bool:
    from aios.errors import Unauthenticated  # noqa: PLC0415  # keeps `aios --help` quick
    from aios.kernel import unissued  # noqa: PLC0415  # same

    try:
        return (await kernel.as_agent(unissued(key)).agents.get("me")).id == agent
    except Unauthenticated:
        return False


def _warn_if_shut(door: str) -> None:
    """Say so where nothing listens: the variables are right all the same, once something does."""
    parts = urlsplit(door)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), _PROBE_SECONDS).close()
    except (OSError, ValueError):
        session.warn(f"aios: nothing answers at {door}: is the kernel's door open there? See --door.")


def _sh(values: Mapping[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def _fish(values: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    return "\n".join(f"set -gx {name} {quoted(value)}" for name, value in values.items())


def _powershell(values: Mapping[str, str]) -> str:
    return "\n".join(
        "$env:{} = '{}'".format(name, value.replace("'", "''")) for name, value in values.items()
    )


def _dotenv(values: Mapping[str, str]) -> str:
    def quoted(value: str) -> str:
        return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'

    return "\n".join(f"{name}={quoted(value)}" for name, value in values.items())


def _json(values: Mapping[str, str]) -> str:
    return terminal.json(json.dumps(values, indent=2))


WRITERS: Final[Mapping[Format, Callable[[Mapping[str, str]], str]]] = {
    Format.SH: _sh,
    Format.FISH: _fish,
    Format.POWERSHELL: _powershell,
    Format.DOTENV: _dotenv,
    Format.JSON: _json,
}
