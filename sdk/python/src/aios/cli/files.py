"""`aios files`."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aios.cli import session, terminal
from aios.cli.nouns import alias, noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aios.kernel import Kernel
    from aios.types.files import FileInfo

files_app = noun("Read and write versioned files.")

Agent = Annotated[str, typer.Option(help="Whose; by default the caller's.")]
Remote = Annotated[str, typer.Argument(metavar="path", help="The file in the kernel, such as notes/plan.md.")]
Version = Annotated[int, typer.Option(help="Which version; default: the newest.")]
Below = Annotated[bool, typer.Option("--recursive", "-r", help="With all it holds.")]


@alias(files_app, "ls", "list")
@files_app.command("list")
def list_files(
    path: Annotated[str, typer.Argument(help="The directory.")] = "",
    *,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="What lies below too.")] = False,
    agent: Agent = "me",
) -> None:
    """List a directory."""
    found = session.call(lambda kernel: kernel.files.list(path, recursive=recursive, agent=agent))
    _table(found, "no files")


def _table(found: "Sequence[FileInfo]", empty: str) -> None:
    rows = [
        (file.path + ("/" if file.kind == "directory" else ""), file.size_bytes, file.version)
        for file in found
    ]
    session.emit(found, lambda: session.table(("path", "bytes", "version"), rows, empty))


@alias(files_app, "cat", "read")
@files_app.command("read")
def read_file(path: Remote, version: Version = 0, agent: Agent = "me") -> None:
    """Print a file."""
    data = session.call(lambda kernel: kernel.files.read(path, version=version, agent=agent))
    if session.options.get().as_json:
        session.emit({"path": path, "content": data}, lambda: None)
    else:
        terminal.out_bytes(data)


@files_app.command("write")
def write_file(
    path: Remote,
    content: Annotated[str, typer.Argument(help="The text; `-` reads the standard input.")] = "-",
    source: Annotated[Path | None, typer.Option("--from", help="A local file to copy instead.")] = None,
    agent: Agent = "me",
) -> None:
    """Write a text, or what comes on the standard input, as a new version of a file."""

    async def work(kernel: "Kernel") -> Any:
        if source is not None:
            return await kernel.files.upload(path, source, agent=agent)
        data = await asyncio.to_thread(sys.stdin.buffer.read) if content == "-" else content.encode()
        return await kernel.files.write(path, data, agent=agent)

    file = session.call(work)
    session.emit(file, lambda: _wrote(file))


def _wrote(file: "FileInfo") -> None:
    session.say(f"{file.name} version {file.version}, {file.size_bytes} bytes")


@files_app.command("put")
def put_file(
    local: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The local file.")],
    path: Annotated[str, typer.Argument(help="Where to; by default its own name; DIRECTORY/ keeps it.")] = "",
    agent: Agent = "me",
) -> None:
    """Copy a local file of any size into the kernel."""
    target = path + local.name if not path or path.endswith("/") else path
    file = session.call(lambda kernel: kernel.files.upload(target, local, agent=agent))
    session.emit(file, lambda: _wrote(file))


@files_app.command("get")
def get_file(
    path: Remote,
    local: Annotated[Path | None, typer.Argument(help="Where to; by default its own name, here.")] = None,
    *,
    version: Version = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Over a local file that is there.")] = False,
    agent: Agent = "me",
) -> None:
    """Copy a file out of the kernel."""
    name = path.rstrip("/").rpartition("/")[2]
    target = local / name if local is not None and local.is_dir() else local or Path(name)
    if target.exists() and not force:
        raise typer.BadParameter(f"{target} is there already: say --force to replace it")
    size = session.call(lambda kernel: kernel.files.download(path, target, version=version, agent=agent))
    told = {"path": path, "local": str(target), "size_bytes": size}
    session.emit(told, lambda: session.say(f"{target}, {size} bytes"))


@alias(files_app, "rm", "delete")
@files_app.command("delete")
def delete_file(path: Remote, *, recursive: Below = False, agent: Agent = "me") -> None:
    """Move a file or directory to the trash."""
    count = session.call(lambda kernel: kernel.files.delete(path, recursive=recursive, agent=agent))
    session.emit({"deleted": count}, lambda: session.say(f"{count} deleted"))


@files_app.command("mv")
def move_file(path: Remote, target: str, agent: Agent = "me") -> None:
    """Move or rename a file, or a directory with all it holds."""
    file = session.call(lambda kernel: kernel.files.move(path, target, agent=agent))
    session.emit(file, lambda: session.say(file.name))


@files_app.command("cp")
def copy_file(path: Remote, target: str, agent: Agent = "me") -> None:
    """Copy a file, or a directory with all it holds."""
    file = session.call(lambda kernel: kernel.files.copy(path, target, agent=agent))
    session.emit(file, lambda: session.say(file.name))


@files_app.command("mkdir")
def make_directory(path: Remote, agent: Agent = "me") -> None:
    """Make a directory and those it lies in."""
    file = session.call(lambda kernel: kernel.files.mkdir(path, agent=agent))
    session.emit(file, lambda: session.say(file.name))


@files_app.command("trash")
def list_trash(agent: Agent = "me") -> None:
    """List what was deleted, the last first; `restore` brings it back."""
    found = session.call(lambda kernel: kernel.files.trash(agent=agent))
    rows = [(file.path, file.size_bytes, file.delete_time or "-", file.purge_time or "-") for file in found]
    columns = ("path", "bytes", "deleted", "goes for good")
    session.emit(found, lambda: session.table(columns, rows, "the trash is empty"))


@files_app.command("restore")
def restore_file(path: Remote, agent: Agent = "me") -> None:
    """Bring the last deleted file or directory of a path back, with its versions."""
    file = session.call(lambda kernel: kernel.files.restore(path, agent=agent))
    session.emit(file, lambda: session.say(f"{file.name} version {file.version}"))


@files_app.command("versions")
def file_versions(path: Remote, agent: Agent = "me") -> None:
    """List the versions of a file."""
    found = session.call(lambda kernel: kernel.files.versions(path, agent=agent))
    rows = [(one.version, one.size_bytes, one.create_time, one.writer, one.comment or "-") for one in found]
    session.emit(found, lambda: session.table(("version", "bytes", "time", "writer", "comment"), rows))


@files_app.command("diff")
def diff_file(
    path: Remote,
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
def rollback_file(path: Remote, version: int, agent: Agent = "me") -> None:
    """Write an old version again as the newest."""
    file = session.call(lambda kernel: kernel.files.rollback(path, version=version, agent=agent))
    session.emit(file, lambda: session.say(f"{file.name} version {file.version}"))


@files_app.command("search")
def search_files(query: str, limit: int = 10, agent: Agent = "me") -> None:
    """Find files by words and meaning."""
    hits = session.call(lambda kernel: kernel.files.search(query, limit=limit, agent=agent))
    rows = [(f"{hit.score:.2f}", hit.file.path, " ".join(hit.snippet.split())[:60]) for hit in hits]
    session.emit(hits, lambda: session.table(("score", "path", "passage"), rows, "no files found"))
