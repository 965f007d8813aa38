"""`aios memory`, `aios files` and `aios tools`."""

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aios.cli import session, terminal

if TYPE_CHECKING:
    from aios.kernel import Kernel

memory_app = typer.Typer(help="Read and write notes.", no_args_is_help=True)
files_app = typer.Typer(help="Read and write files.", no_args_is_help=True)
tools_app = typer.Typer(help="List and call tools.", no_args_is_help=True)

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


@files_app.command("list")
def list_files(
    path: Annotated[str, typer.Argument(help="The directory.")] = "",
    *,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="What lies below too.")] = False,
    agent: Agent = "me",
) -> None:
    """List a directory."""
    found = session.call(lambda kernel: kernel.files.list(path, recursive=recursive, agent=agent))
    rows = [
        (file.path + ("/" if file.kind == "directory" else ""), file.size_bytes, file.version)
        for file in found
    ]
    session.emit(found, lambda: session.table(("path", "bytes", "version"), rows, "no files"))


@files_app.command("read")
def read_file(
    path: str,
    version: Annotated[int, typer.Option(help="Which version; default: the newest.")] = 0,
    agent: Agent = "me",
) -> None:
    """Print a file."""
    data = session.call(lambda kernel: kernel.files.read(path, version=version, agent=agent))
    if session.options.get().as_json:
        session.emit({"path": path, "content": data}, lambda: None)
    else:
        terminal.out_bytes(data)


@files_app.command("write")
def write_file(
    path: str,
    content: Annotated[str, typer.Argument(help="The text; `-` reads the standard input.")] = "-",
    source: Annotated[Path | None, typer.Option("--from", help="A local file to copy instead.")] = None,
    agent: Agent = "me",
) -> None:
    """Write a file."""

    async def work(kernel: "Kernel") -> Any:
        if source is not None:
            return await kernel.files.upload(path, source, agent=agent)
        data = await asyncio.to_thread(sys.stdin.buffer.read) if content == "-" else content.encode()
        return await kernel.files.write(path, data, agent=agent)

    file = session.call(work)
    session.emit(file, lambda: session.say(f"{file.name} version {file.version}, {file.size_bytes} bytes"))


@files_app.command("delete")
def delete_file(
    path: str,
    *,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="With all it holds.")] = False,
    agent: Agent = "me",
) -> None:
    """Move a file or directory to the trash."""
    count = session.call(lambda kernel: kernel.files.delete(path, recursive=recursive, agent=agent))
    session.emit({"deleted": count}, lambda: session.say(f"{count} deleted"))


@files_app.command("versions")
def file_versions(path: str, agent: Agent = "me") -> None:
    """List the versions of a file."""
    found = session.call(lambda kernel: kernel.files.versions(path, agent=agent))
    rows = [(one.version, one.size_bytes, one.create_time, one.writer, one.comment or "-") for one in found]
    session.emit(found, lambda: session.table(("version", "bytes", "time", "writer", "comment"), rows))


@files_app.command("diff")
def diff_file(
    path: str,
    from_version: Annotated[int, typer.Option("--from", help="The older version.")] = 0,
    to_version: Annotated[int, typer.Option("--to", help="The newer version.")] = 0,
    agent: Agent = "me",
) -> None:
    """Compare two versions of a file; by default the last two."""
    found = session.call(
        lambda kernel: kernel.files.diff(path, from_version=from_version, to_version=to_version, agent=agent)
    )
    session.emit(found, lambda: session.say_lines(found.unified_diff or "no difference"))


@files_app.command("rollback")
def rollback_file(path: str, version: int, agent: Agent = "me") -> None:
    """Write an old version again as the newest."""
    file = session.call(lambda kernel: kernel.files.rollback(path, version=version, agent=agent))
    session.emit(file, lambda: session.say(f"{file.name} version {file.version}"))


@files_app.command("search")
def search_files(query: str, limit: int = 10, agent: Agent = "me") -> None:
    """Find files by words and meaning."""
    hits = session.call(lambda kernel: kernel.files.search(query, limit=limit, agent=agent))
    rows = [(f"{hit.score:.2f}", hit.file.path, " ".join(hit.snippet.split())[:60]) for hit in hits]
    session.emit(hits, lambda: session.table(("score", "path", "passage"), rows, "no files found"))


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
        session.say(f"{found.id}: {found.description}")
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
    try:
        given = json.loads(arguments)
    except ValueError as error:
        raise typer.BadParameter(f"the arguments are no JSON: {error}") from error
    result = session.call(lambda kernel: kernel.tools.call(tool, given, wait_for_approval=wait))
    session.emit(result, lambda: session.say(str(result)))
