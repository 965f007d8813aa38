"""What the commands share: options, the connection, output and error messages.

Only the standard library and typer are imported before a command runs, so that `aios --help` is quick.
"""

import asyncio
import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from aios.cli import terminal

if TYPE_CHECKING:
    from rich.text import Text

    from aios.errors import AiosError
    from aios.kernel import Kernel

T = TypeVar("T")

RETRY_WINDOW = 5.0
"""How long a command waits for a kernel that does not answer. Unit: seconds."""

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

_WHOLE = 100_000
"""Width of what is no terminal: more characters than any row has."""
_SHORTEST = 6
"""Characters that a column keeps which may be cut."""
_READABLE = 12
"""Characters that any other column keeps; folded to less it reads as a column of letters."""


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What was said before the command's name."""

    endpoint: str | None = None
    token: str | None = None
    agent_key: str | None = None
    as_json: bool = False
    person_key: str | None = None


options: ContextVar[Options] = ContextVar("options", default=Options())  # noqa: B039  # frozen
"""The options of this run of the program."""


def call(work: Callable[["Kernel"], Awaitable[T]]) -> T:
    """Connect, do `work` and return what it returns; an error ends the program with a readable text."""
    with handled():
        return asyncio.run(_connected(work))


@contextmanager
def handled() -> Iterator[None]:
    """Turn an error of the kernel, of a local file, and Ctrl-C into a readable end of the program."""
    from aios.errors import AiosError  # noqa: PLC0415  # keeps `aios --help` quick

    try:
        yield
    except AiosError as error:
        fail(error)
    except OSError as error:
        if error.filename is None:  # a pipe whose reader left, which the program's frame knows how to end
            raise
        warn(f"aios: {error.filename}: {error.strerror}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def connected() -> AbstractAsyncContextManager["Kernel"]:
    """Return the connection to the kernel that the options name, as their caller; to be entered."""
    from aios._retry import RetryPolicy  # noqa: PLC0415  # keeps `aios --help` quick
    from aios.kernel import connect  # noqa: PLC0415  # same

    said = options.get()
    policy = RetryPolicy(window=RETRY_WINDOW)
    keys = {"agent_key": said.agent_key, "person_key": said.person_key}
    return connect(said.endpoint, said.token, **keys, retry=policy)


async def _connected(work: Callable[["Kernel"], Awaitable[T]]) -> T:
    async with connected() as kernel:
        return await work(kernel)


def fail(error: "AiosError") -> NoReturn:
    """Print an error with what to do about it, and end the program with status 1."""
    if options.get().as_json:
        told = {
            "error": error.reason,
            "message": error.message,
            "metadata": error.metadata,
            "violations": [dataclasses.asdict(violation) for violation in error.violations],
            "hint": error.hint,
        }
        terminal.out_json(json.dumps(told), to_err=True)
    else:
        warn(f"aios: {error}")
        if error.hint:
            warn(f"  {error.hint}")
    raise typer.Exit(1)


def emit(value: Any, lines: Callable[[], None]) -> None:
    """Print `value` as JSON if that was asked for, else call `lines`."""
    if options.get().as_json:
        terminal.out_json(json.dumps(plain(value), ensure_ascii=False))
    else:
        lines()


def say(text: str) -> None:
    """Print a text, whoever wrote parts of it, as one line."""
    terminal.out(terminal.line(text))


def say_rows(rows: Iterable[str]) -> None:
    """Print rows, whoever wrote parts of them, each as one line."""
    terminal.out("\n".join(map(terminal.line, rows)))


def say_lines(text: str, *, nl: bool = True) -> None:
    """Print a text that is all of one writer and may have lines; with a line end unless `nl` is false."""
    terminal.out(text, nl=nl)


def warn(text: str) -> None:
    """Print a text, as one line, to the standard error."""
    terminal.err(terminal.line(text))


def json_object(text: str, what: str) -> dict[str, Any]:
    """Read a JSON object that was given on the line. Raises typer.BadParameter, which says `what` it is."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{what} are no JSON: {error}") from error
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{what} are no JSON object: say {{...}}")
    return found


def plain(value: Any) -> Any:
    """Return a value of the SDK as JSON can hold it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float) else _foreign(value)


def _foreign(value: Any) -> Any:
    """Return a value of another type, such as an agent's output, as JSON can hold it; else its text."""
    from aios.schema import to_json  # noqa: PLC0415  # keeps `aios --help` quick

    try:
        return to_json(value)
    except TypeError:
        return str(value)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    empty: str = "nothing",
    cut: Sequence[str] = (),
) -> None:
    """Print rows under column names.

    A file or a program gets each row whole, on a line of its own. In a terminal that is too narrow cells are
    folded; if there are columns to `cut`, those are shortened instead and no other is touched. In one too
    narrow for that the cells of a row stand below one another.
    """
    from rich.table import Table  # noqa: PLC0415  # keeps `aios --help` quick
    from rich.text import Text  # noqa: PLC0415  # same

    if not rows:
        terminal.out(empty)
        return
    cells = [[Text(terminal.line(str(cell))) for cell in row] for row in rows]
    widths = [max(len(column), *(row[n].cell_len for row in cells)) for n, column in enumerate(columns)]
    least = [
        _SHORTEST if column in cut else min(w, _READABLE) for column, w in zip(columns, widths, strict=True)
    ]
    console = terminal.console(width=None if sys.stdout.isatty() else _WHOLE)
    if sum(least) + len(least) - 1 > console.width:
        _one_below_the_other(columns, cells)
        return
    grid = Table(box=None, pad_edge=False)
    for n, column in enumerate(columns):
        whole = widths[n] if cut else None
        if column in cut:
            whole = _SHORTEST
            for row in cells:
                row[n].no_wrap, row[n].overflow = True, "ellipsis"
        grid.add_column(column.upper(), overflow="fold", min_width=whole)
    for row in cells:
        grid.add_row(*row)
    console.print(grid, crop=not cut)


def _one_below_the_other(columns: Sequence[str], rows: "Sequence[Sequence[Text]]") -> None:
    """Print each row as lines of a column's name and its cell: what no row of a narrow terminal can hold."""
    wide = max(map(len, columns))
    for number, row in enumerate(rows):
        if number:
            terminal.out("")
        for column, cell in zip(columns, row, strict=True):
            say(f"{column.upper():<{wide}} {cell.plain}" if column else cell.plain)


def seconds(value: float | None) -> str:
    """Return a time span as people read it."""
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
