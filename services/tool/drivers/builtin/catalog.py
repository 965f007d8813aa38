"""The built-in tools as every tenant finds them registered: names, descriptions, schemas, effects."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from services.tool.core.files import MAX_PATH_BYTES
from services.tool.core.urls import MAX_URL
from services.tool.drivers.builtin.limits import (
    FETCHED,
    MAX_COMMAND,
    MAX_CSV_ROWS,
    MAX_CSV_TABLES,
    MAX_FETCHED,
    MAX_FETCHED_BYTES,
    MAX_GLOB,
    MAX_LINES,
    MAX_MATCHES,
    MAX_PATTERN,
    MAX_QUERY,
    MAX_SQL,
    MAX_TEXT,
)
from services.tool.model import Driver, DriverKind, Effect, Tool

_TEXT: Final[Mapping[str, Any]] = {"type": "string", "maxLength": 4096}
_NUMBER: Final[Mapping[str, Any]] = {"type": "number"}
_SECONDS: Final = 10.0
_LONG_SECONDS: Final = 30.0

_PATHS: Final = (
    " Paths are relative to your own files, such as notes/todo.txt;"
    " another agent's shared file is agents/NAME/files/PATH."
)

_WORKSPACE: Final = (
    " With files it works in a directory with those of your own files, under their paths; what it changes,"
    " makes or removes there is written back as one change."
)
_CODE_SECONDS: Final = 60.0


def _string(description: str, longest: int, *, shortest: int = 1) -> dict[str, Any]:
    least = {"minLength": shortest} if shortest else {}
    return {"type": "string", "description": description, **least, "maxLength": longest}


def _whole(description: str, least: int, most: int) -> dict[str, Any]:
    return {"type": "integer", "description": description, "minimum": least, "maximum": most}


def _flag(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description}


def _path(description: str) -> dict[str, Any]:
    return _string(description, MAX_PATH_BYTES)


def _object(properties: Mapping[str, Mapping[str, Any]], optional: Iterable[str] = ()) -> str:
    left_out = frozenset(optional)
    return json.dumps(
        {
            "type": "object",
            "properties": properties,
            "required": [name for name in properties if name not in left_out],
            "additionalProperties": False,
        }
    )


def _tool(
    name: str, title: str, description: str, schema: str, effect: Effect, *, seconds: float = _SECONDS
) -> Tool:
    return Tool(
        id=name,
        title=title,
        description=description,
        parameters_schema=schema,
        effect=effect,
        max_concurrency=64,
        timeout_seconds=seconds,
        driver=Driver(DriverKind.BUILTIN, name),
    )


_FILES: Final[Mapping[str, Any]] = {
    "type": "array",
    "description": "Patterns of glob for the files to work on, such as data/*.csv; [] for new files alone.",
    "items": _string("A pattern.", 256),
    "maxItems": 16,
}

TOOLS: Final = (
    _tool(
        "calculator",
        "Calculator",
        "Evaluate an arithmetic expression.\n+ - * / // % **, parentheses, sqrt, round, min, max and so on.",
        _object({"expression": _TEXT}),
        Effect.PURE,
    ),
    _tool("clock", "Clock", "Tell the current time.\nUTC, as ISO 8601.", _object({}), Effect.IDEMPOTENT),
    _tool(
        "convert_units",
        "Unit converter",
        "Convert a value from one unit to another.\nLength, mass, time, volume, area, speed, data, heat.",
        _object({"value": _NUMBER, "from": _TEXT, "to": _TEXT}),
        Effect.PURE,
    ),
    _tool(
        "search_files",
        "File search",
        "Search the agent's files.\nFull text; returns the paths that match, best first.",
        _object({"query": _TEXT}),
        Effect.IDEMPOTENT,
    ),
    _tool(
        "read_file",
        "Read a file",
        "Read lines of a text file.\nReturns the text, its etag for write_file and edit, and, when the file"
        " goes on, truncated and where to continue: next_line, or next_byte to begin at in a large file."
        + _PATHS,
        _object(
            {
                "path": _path("The file to read."),
                "first_line": _whole("First line to return; 1 is the first. Default: 1.", 1, 1_000_000_000),
                "lines": _whole(f"Most lines to return. Default and limit: {MAX_LINES}.", 1, MAX_LINES),
                "first_byte": _whole("Count lines from this byte on. Default: 0.", 0, 1 << 53),
            },
            optional=("first_line", "lines", "first_byte"),
        ),
        Effect.IDEMPOTENT,
    ),
    _tool(
        "write_file",
        "Write a file",
        "Write a whole text file.\nMakes a new file and its directories. To replace one that exists give the"
        " etag that read_file returned, so that nobody's change is lost, or overwrite. Old versions are kept."
        + _PATHS,
        _object(
            {
                "path": _path("The file to write."),
                "content": _string("All of its new text.", MAX_TEXT, shortest=0),
                "etag": _string("Replace the file only if it is still at this etag.", 64),
                "overwrite": _flag("Replace whatever is there. Default: false."),
            },
            optional=("etag", "overwrite"),
        ),
        Effect.REVERSIBLE,
    ),
    _tool(
        "edit",
        "Edit a file",
        "Replace a text in a file by another one, exactly.\nold_text must stand in the file once, white space"
        " included: take in enough of what is around it; or set replace_all. Fails when it is not there, when"
        " it is there more than once, and when the file has changed since etag." + _PATHS,
        _object(
            {
                "path": _path("The file to change."),
                "old_text": _string("The text to replace, exactly as it is in the file.", MAX_TEXT),
                "new_text": _string("What stands there afterwards.", MAX_TEXT, shortest=0),
                "replace_all": _flag("Replace it wherever it stands. Default: false."),
                "etag": _string("Change the file only if it is still at this etag.", 64),
            },
            optional=("replace_all", "etag"),
        ),
        Effect.REVERSIBLE,
    ),
    _tool(
        "glob",
        "Find files by name",
        "List files whose path matches a pattern.\n* stands for any characters but a slash, ** for any, **/"
        " for any directories or none, ? for one character: src/**/*.py. Returns paths and sizes by path."
        + _PATHS,
        _object(
            {
                "pattern": _string("The pattern, relative to directory.", 256),
                "directory": _path("Where to look. Default: all your files."),
                "limit": _whole(f"Most files to return. Default: 100. Limit: {MAX_GLOB}.", 1, MAX_GLOB),
            },
            optional=("directory", "limit"),
        ),
        Effect.IDEMPOTENT,
    ),
    _tool(
        "grep",
        "Search in files",
        "Find lines of text files that match a regular expression.\nRE2 syntax: no look-around, no"
        " back-references. Returns path:line: text, and says when there are more, or files that were"
        " too large or no text." + _PATHS,
        _object(
            {
                "pattern": _string("The regular expression.", MAX_PATTERN),
                "files": _string("Which files, as a pattern of glob. Default: **.", 256),
                "directory": _path("Where to look. Default: all your files."),
                "ignore_case": _flag("Whether case makes no difference. Default: false."),
                "limit": _whole(f"Most lines to return. Default: 100. Limit: {MAX_MATCHES}.", 1, MAX_MATCHES),
            },
            optional=("files", "directory", "ignore_case", "limit"),
        ),
        Effect.IDEMPOTENT,
        seconds=_LONG_SECONDS,
    ),
    _tool(
        "json_query",
        "Query a JSON file",
        "Take out of a JSON file what a JMESPath expression names.\nSuch as people[?age > `30`].name or"
        " length(items)." + _PATHS,
        _object(
            {
                "path": _path("The JSON file."),
                "query": _string("The JMESPath expression; @ is the whole file.", MAX_QUERY),
            }
        ),
        Effect.IDEMPOTENT,
        seconds=_LONG_SECONDS,
    ),
    replace(
        _tool(
            "fetch",
            "Web page",
            "Read a web page or another text on the web.\nReturns the readable text; where it goes on,"
            " next_start says from where to read the rest. Reaches only what the operator allows.",
            _object(
                {
                    "url": _string("The http or https address.", MAX_URL),
                    "start": _whole("First character to return. Default: 0.", 0, MAX_FETCHED_BYTES),
                    "limit": _whole(f"Most characters to return. Default: {FETCHED}.", 1, MAX_FETCHED),
                },
                optional=("start", "limit"),
            ),
            Effect.IDEMPOTENT,
            seconds=_LONG_SECONDS,
        ),
        returns_untrusted=True,
    ),
    _tool(
        "csv_query",
        "Query CSV files",
        "Ask CSV files by a SELECT of SQLite.\nEach file is a table; its first line names the columns."
        " Columns that hold only numbers compare as numbers, an empty field of theirs is NULL. Reads only."
        + _PATHS,
        _object(
            {
                "tables": {
                    "type": "object",
                    "description": "Name of each table to the path of its file.",
                    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,31}$"},
                    "additionalProperties": _path("The CSV file."),
                    "minProperties": 1,
                    "maxProperties": MAX_CSV_TABLES,
                },
                "sql": _string("One SELECT statement.", MAX_SQL),
                "delimiter": {
                    "type": "string",
                    "description": "What separates fields. Default: a comma.",
                    "enum": [",", ";", "\t", "|"],
                },
                "limit": _whole(
                    f"Most rows to return. Default: 100. Limit: {MAX_CSV_ROWS}.", 1, MAX_CSV_ROWS
                ),
            },
            optional=("delimiter", "limit"),
        ),
        Effect.IDEMPOTENT,
        seconds=_LONG_SECONDS,
    ),
    _tool(
        "python",
        "Run Python",
        "Run a piece of Python and return what it prints.\nThe standard library, no network, no programs;"
        " nothing is kept from one call to the next. A failure returns its traceback." + _WORKSPACE,
        _object({"code": _string("The source.", MAX_TEXT), "files": _FILES}, optional=("files",)),
        Effect.REVERSIBLE,
        seconds=_CODE_SECONDS,
    ),
    _tool(
        "shell",
        "Run a command",
        "Run a command of /bin/sh and return what it prints, and its exit_status.\nThe usual tools of a Unix"
        " system, no network; nothing is kept from one call to the next." + _WORKSPACE,
        _object({"command": _string("The command.", MAX_COMMAND), "files": _FILES}, optional=("files",)),
        Effect.REVERSIBLE,
        seconds=_CODE_SECONDS,
    ),
)
"""What every tenant finds registered."""
