"""The entry point of the `aios` command."""

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Final

import typer

from aios.cli import (
    DISTRIBUTION,
    access,
    agents,
    approvals,
    chat,
    console,
    contexts,
    data,
    doctor,
    env,
    files,
    mcp,
    models,
    queue,
    quotas,
    run,
    secrets,
    session,
    terminal,
    top,
    trace,
    web,
)

COMMANDS_GROUP = "aios.commands"
"""Entry points whose callables become commands; the kernel's own package adds `up`, `demo` and others."""

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
    for name, group in _GROUPS.items():
        app.add_typer(group, name=name)
    for name, command in _COMMANDS.items():
        app.command(name)(command)
    for plugin in plugins:
        app.command(plugin.name)(_loaded(plugin))
    return app


def _loaded(plugin: EntryPoint) -> Callable[..., None]:
    """Load a command of another package; one that cannot be loaded says why when it is run, not before."""
    try:
        loaded: Callable[..., None] = plugin.load()
    except Exception as error:  # noqa: BLE001  # whatever another package does at its import
        problem = error
    else:
        return loaded

    def broken() -> None:
        terminal.err(f"aios {plugin.name}: importing {plugin.value} failed:")
        terminal.err("".join(traceback.format_exception(problem)).rstrip("\n"))
        raise typer.Exit(1)

    broken.__doc__ = f"Cannot be loaded: {type(problem).__name__}."
    return broken


def _show_version(asked: bool) -> None:  # noqa: FBT001  # as typer calls it
    if asked:
        terminal.out(f"aios {version(DISTRIBUTION)}")
        raise typer.Exit


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
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    session.options.set(session.Options(endpoint, token, agent_key, as_json, person_key))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line in `argv`, by default the program's own."""
    sys.excepthook = terminal.excepthook
    words = hoist(list(sys.argv[1:] if argv is None else argv))
    own = any(word in _GROUPS or word in _COMMANDS for word in words)
    build(() if own and not _named(words) else _named(words) or plugins())(words, prog_name="aios")


def hoist(words: list[str]) -> list[str]:
    """Return the words with `--json` in front, wherever before `--` it stood."""
    end = words.index("--") if "--" in words else len(words)
    if JSON_FLAG not in words[:end]:
        return words
    return [JSON_FLAG, *(word for word in words[:end] if word != JSON_FLAG), *words[end:]]


def plugins() -> list[EntryPoint]:
    """Return the commands that other packages add."""
    return sorted(entry_points(group=COMMANDS_GROUP), key=lambda point: point.name)


def _named(words: Sequence[str]) -> list[EntryPoint]:
    """Return those that a line names: they alone are loaded for it."""
    return [point for point in plugins() if point.name in words]


_GROUPS: Final[Mapping[str, typer.Typer]] = {
    "agents": agents.app,
    "approvals": approvals.approvals_app,
    "contexts": contexts.contexts_app,
    "files": files.files_app,
    "grants": access.grants_app,
    "mcp": mcp.mcp_app,
    "memory": data.memory_app,
    "persons": approvals.persons_app,
    "policy": queue.policy_app,
    "records": contexts.records_app,
    "secrets": secrets.secrets_app,
    "tools": web.tools_app,
}

_COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "ps": agents.ps,
    "kill": agents.kill,
    "chat": chat.chat,
    "console": console.console,
    "env": env.env,
    "run": run.run,
    "models": models.models,
    "queue": queue.queue,
    "why": queue.why,
    "cancel": queue.cancel,
    "top": top.top,
    "trace": trace.trace,
    "audit": access.audit,
    "usage": quotas.usage,
    "purge": agents.purge,
    "doctor": doctor.doctor,
}
