"""`aios memory` and `aios tools`."""

import json
from typing import Annotated

import typer

from aios.cli import session
from aios.cli.nouns import noun

memory_app = noun("Read and write notes.")
tools_app = noun("List, call and make tools.")

Agent = Annotated[str, typer.Option(help="Whose; by default the caller's.")]


@memory_app.command("list")
def list_notes(
    prefix: Annotated[str, typer.Option(help="Only keys that begin so.")] = "", agent: Agent = "me"
) -> None:
    """List notes."""
    found = session.call(lambda kernel: kernel.memory.list(prefix=prefix, agent=agent))
    rows = [
        (note.key, note.size_bytes, note.residence, " ".join(note.content.split())[:60]) for note in found
    ]
    session.emit(found, lambda: session.table(("key", "bytes", "kept in", "content"), rows, "no notes"))


@memory_app.command("get")
def get_note(key: str, agent: Agent = "me") -> None:
    """Print a note."""
    note = session.call(lambda kernel: kernel.memory.get(key, agent=agent))
    session.emit(note, lambda: session.say_lines(note.content))


@memory_app.command("put")
def put_note(key: str, content: str, agent: Agent = "me") -> None:
    """Write a note."""
    note = session.call(lambda kernel: kernel.memory.put(key, content, agent=agent))
    session.emit(note, lambda: session.say(f"{note.name} {note.etag}"))


@memory_app.command("delete")
def delete_note(key: str, agent: Agent = "me") -> None:
    """Delete a note."""
    session.call(lambda kernel: kernel.memory.delete(key, agent=agent))
    session.emit({"deleted": key}, lambda: session.say(f"deleted {key}"))


@memory_app.command("search")
def search_notes(query: str, limit: int = 10, agent: Agent = "me") -> None:
    """Find notes by words and meaning."""
    hits = session.call(lambda kernel: kernel.memory.search(query, limit=limit, agent=agent))
    rows = [(f"{hit.score:.2f}", hit.note.key, " ".join(hit.note.content.split())[:60]) for hit in hits]
    session.emit(hits, lambda: session.table(("score", "key", "content"), rows, "no notes found"))


@memory_app.command("usage")
def memory_usage(agent: Agent = "me") -> None:
    """Show how much memory is used."""
    used = session.call(lambda kernel: kernel.memory.usage(agent=agent))
    share = f"{used.used_bytes} of {used.quota_bytes} bytes"
    text = f"{used.note_count} notes, {used.resident_count} of them in RAM, {share}"
    session.emit(used, lambda: session.say(text))


@tools_app.command("list")
def list_tools() -> None:
    """List tools."""
    found = session.call(lambda kernel: kernel.tools.list())
    rows = [
        (
            tool.id,
            tool.effect,
            "yes" if tool.available else tool.unavailable_reason or "no",
            tool.description.split("\n")[0],
        )
        for tool in found
    ]
    session.emit(
        found, lambda: session.table(("tool", "effect", "available", "description"), rows, "no tools")
    )


@tools_app.command("show")
def show_tool(tool: str) -> None:
    """Show a tool with its parameters."""
    found = session.call(lambda kernel: kernel.tools.get(tool))

    def show() -> None:
        session.say_lines(f"{found.id}: {found.description}")
        session.say_lines(json.dumps(dict(found.parameters), indent=2))

    session.emit(found, show)


@tools_app.command("call")
def call_tool(
    tool: str,
    arguments: Annotated[str, typer.Argument(help="The arguments: a JSON object.")] = "{}",
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for an approval if one is needed.")] = False,
) -> None:
    """Call a tool and print its result."""
    given = session.json_object(arguments, "the arguments")
    result = session.call(lambda kernel: kernel.tools.call(tool, given, wait_for_approval=wait))
    session.emit(result, lambda: session.say_lines(str(result)))
