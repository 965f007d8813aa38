"""The entry point of the `aios` command."""

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated

import typer

from aios.cli import (
    access,
    agents,
    approvals,
    chat,
    data,
    doctor,
    env,
    mcp,
    queue,
    quotas,
    run,
    secrets,
    session,
    terminal,
    trace,
    web,
)

COMMANDS_GROUP = "aios.commands"
"""Entry points whose callables become commands; the kernel's own package adds `up` and `demo`."""

JSON_FLAG = "--json"


def build(plugins: Sequence[EntryPoint] = ()) -> typer.Typer:
    """Return the command line program with the commands of other packages."""
    app = typer.Typer(
        help="AIOS: an operating system for LLM agents.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    app.add_typer(agents.app, name="agents")
    app.command()(agents.ps)
    app.command()(agents.kill)
    app.command()(chat.chat)
    app.command()(env.env)
    app.command()(run.run)
    app.command()(queue.queue)
    app.command()(queue.why)
    app.command()(queue.cancel)
    app.command()(trace.trace)
    app.add_typer(queue.policy_app, name="policy")
    app.add_typer(data.memory_app, name="memory")
    app.add_typer(data.files_app, name="files")
    app.add_typer(web.tools_app, name="tools")
    app.add_typer(mcp.mcp_app, name="mcp")
    app.add_typer(secrets.secrets_app, name="secrets")
    app.add_typer(approvals.approvals_app, name="approvals")
    app.add_typer(approvals.persons_app, name="persons")
    app.add_typer(access.grants_app, name="grants")
    app.command()(access.audit)
    app.command()(quotas.usage)
    app.command()(agents.purge)
    app.command()(doctor.doctor)
    for plugin in plugins:
        app.command(plugin.name)(plugin.load())
    return app


def _options(
    *,
    endpoint: Annotated[
        str | None, typer.Option(envvar="AIOS_ENDPOINT", help="Where the kernel is. Default: 127.0.0.1:7070.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="AIOS_TOKEN", help="Bearer token. Default: the local admin's."),
    ] = None,
    agent_key: Annotated[
        str | None, typer.Option(envvar="AIOS_AGENT_KEY", help="Act as the agent that this key belongs to.")
    ] = None,
    person_key: Annotated[
        str | None,
        typer.Option(
            envvar="AIOS_PERSON_KEY",
            help="Act as the person that this key belongs to. AIOS_PERSON_KEY_FILE: a file with one.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option(JSON_FLAG, help="Print JSON; may stand anywhere in the line.")
    ] = False,  # a flag
) -> None:
    session.options.set(session.Options(endpoint, token, agent_key, as_json, person_key))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line in `argv`, by default the program's own."""
    sys.excepthook = terminal.excepthook
    words = hoist(list(sys.argv[1:] if argv is None else argv))
    build(_plugins(words))(words, prog_name="aios")


def hoist(words: list[str]) -> list[str]:
    """Return the words with `--json` in front, wherever before `--` it stood."""
    end = words.index("--") if "--" in words else len(words)
    if JSON_FLAG not in words[:end]:
        return words
    return [JSON_FLAG, *(word for word in words[:end] if word != JSON_FLAG), *words[end:]]


def _plugins(words: Sequence[str]) -> list[EntryPoint]:
    """Return the other packages' commands that this run needs: all for the help, else the one named."""
    found = sorted(entry_points(group=COMMANDS_GROUP), key=lambda point: point.name)
    named = [point for point in found if point.name in words]
    own = any(word in _OWN for word in words)
    return named or ([] if own else found)


_OWN = frozenset(
    {
        "agents",
        "approvals",
        "audit",
        "cancel",
        "chat",
        "doctor",
        "env",
        "files",
        "grants",
        "kill",
        "mcp",
        "memory",
        "persons",
        "policy",
        "ps",
        "purge",
        "queue",
        "run",
        "secrets",
        "tools",
        "trace",
        "usage",
        "why",
    }
)
