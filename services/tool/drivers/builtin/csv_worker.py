"""Asks CSV files by SQL: runs in a worker process of its own, with SQLite kept from everything but SELECT.

Nothing here holds a secret or a state that counts; a process answers one query and ends.
"""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from services.tool.drivers.builtin.limits import (
    MAX_ANSWER_BYTES,
    MAX_CSV_COLUMNS,
    MAX_CSV_FIELD,
    MAX_SQL,
    MAX_STEPS,
)
from services.tool.drivers.builtin.messages import Refused, refusing, unpacked

Handler = Callable[[bytes], bytes]

_LONGEST_VALUE: Final = 1_000_000
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,15})?(?:[eE][+-]?[0-9]{1,2})?")
_STEPS_AT_ONCE: Final = 10_000
_BATCH: Final = 1_000
_CACHE_KIB: Final = 2_048

_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: _LONGEST_VALUE,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: MAX_SQL,
    sqlite3.SQLITE_LIMIT_COLUMN: MAX_CSV_COLUMNS,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_HARMLESS: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_FORBIDDEN: Final = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})


def querying() -> Handler:
    """Return the handler of queries: a message is one, with the bytes of its files."""
    csv.field_size_limit(MAX_CSV_FIELD)
    return refusing(_answer)


def _answer(message: bytes) -> bytes:
    asked, parts = unpacked(message)
    database = sqlite3.connect(":memory:", isolation_level=None)
    for pragma in ("trusted_schema = OFF", "temp_store = MEMORY", f"cache_size = -{_CACHE_KIB}"):
        database.execute(f"PRAGMA {pragma}")
    for name, data in zip(asked["tables"], parts, strict=True):
        _load(database, name, data, asked["delimiter"])
    for what, most in _LIMITS.items():
        database.setlimit(what, most)
    database.set_authorizer(_permitted)
    database.set_progress_handler(_Budget().spend, _STEPS_AT_ONCE)
    try:
        return _result(database, asked["sql"], asked["limit"])
    except sqlite3.Error as error:
        if "interrupted" in str(error):
            raise Refused("the query takes too long: ask for less") from error
        raise Refused(f"the query cannot be answered: {error}") from error


class _Budget:
    """Counts the instructions that a query takes."""

    def __init__(self) -> None:
        self._left = MAX_STEPS // _STEPS_AT_ONCE

    def spend(self) -> int:
        """Return something other than 0 to end the query."""
        self._left -= 1
        return self._left < 0


def _permitted(
    action: int, _first: str | None, second: str | None, _database: str | None, _trigger: str | None
) -> int:
    """Permit reading and harmless functions alone: no ATTACH, no PRAGMA, no table made, nothing loaded."""
    if action in _HARMLESS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _FORBIDDEN:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _result(database: sqlite3.Connection, sql: str, limit: int) -> bytes:
    try:
        cursor = database.execute(sql)
    except (
        sqlite3.Warning,
        sqlite3.ProgrammingError,
        UnicodeError,
    ) as error:  # two statements, in one release or another
        raise Refused(f"one SELECT is asked for: {error}") from error
    if cursor.description is None:
        raise Refused("one SELECT is asked for")
    columns = [column[0] for column in cursor.description]
    rows: list[str] = []
    size, truncated = 0, False
    for row in cursor:
        text = json.dumps([_plain(value) for value in row], allow_nan=False)
        size += len(text)
        if len(rows) >= limit or size > MAX_ANSWER_BYTES:
            truncated = True
            break
        rows.append(text)
    head = json.dumps(columns)
    if (not rows and truncated) or len(head) > MAX_ANSWER_BYTES:
        raise Refused("a row is larger than can be shown: select fewer columns")
    return f'{{"columns":{head},"rows":[{",".join(rows)}],"truncated":{json.dumps(truncated)}}}'.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value[:_BATCH].hex()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124
        return str(value)
    return value


def _load(database: sqlite3.Connection, name: str, data: bytes, delimiter: str) -> None:
    rows = _rows(name, data, delimiter)
    columns = _columns(name, next(rows, []))
    width = len(columns)
    numeric = _numeric(_fitted(_rows(name, data, delimiter), width), width)
    typed = zip(columns, numeric, strict=True)
    kinds = ", ".join(f"{column} {'NUMERIC' if number else 'TEXT'}" for column, number in typed)
    fitted = _fitted(rows, width)
    insert = f"INSERT INTO {_quoted(name)} VALUES ({','.join('?' * width)})"  # noqa: S608 - a quoted name
    try:
        database.execute(f"CREATE TABLE {_quoted(name)} ({kinds})")
        database.execute("BEGIN")
        while batch := [_values(row, numeric) for row in islice(fitted, _BATCH)]:
            database.executemany(insert, batch)
        database.execute("COMMIT")
    except sqlite3.Error as error:
        raise Refused(f"{name}: the file makes no table: {error}") from error


def _values(row: Sequence[str], numeric: Sequence[bool]) -> list[str | None]:
    return [None if number and not value else value for value, number in zip(row, numeric, strict=True)]


def _rows(name: str, data: bytes, delimiter: str) -> Iterator[list[str]]:
    text = io.StringIO(data.decode("utf-8-sig", errors="replace"), newline="")
    reader = csv.reader(text, delimiter=delimiter)
    try:
        yield from (row for row in reader if row)
    except csv.Error as error:
        raise Refused(f"{name}: line {reader.line_num} is no CSV: {error}") from error


def _columns(name: str, head: Sequence[str]) -> list[str]:
    """Return the names of the columns, each once, as SQL writes them."""
    if not 1 <= len(head) <= MAX_CSV_COLUMNS:
        raise Refused(f"{name}: the first line names 1 to {MAX_CSV_COLUMNS} columns")
    taken: set[str] = set()
    names: list[str] = []
    for at, given in enumerate(head, 1):
        base = given.strip().replace("\0", "")[:100] or f"column_{at}"
        unique, number = base, 2
        while unique.lower() in taken:
            unique, number = f"{base}_{number}", number + 1
        taken.add(unique.lower())
        names.append(_quoted(unique))
    return names


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _fitted(rows: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    """Return rows of one width: what is missing is empty, what is too much goes."""
    return ((row + [""] * (width - len(row)))[:width] for row in rows)


def _numeric(rows: Iterator[list[str]], width: int) -> list[bool]:
    """Tell of each column whether it holds numbers alone, the first line left out; 007 is none."""
    next(rows, None)
    maybe, seen = set(range(width)), [False] * width
    for row in rows:
        for at in tuple(maybe):
            if row[at]:
                seen[at] = True
                if not _NUMBER.fullmatch(row[at]):
                    maybe.discard(at)
        if not maybe:
            break
    return [at in maybe and seen[at] for at in range(width)]
