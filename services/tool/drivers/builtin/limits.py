"""How much the built-in tools take and give. Pure."""

from typing import Final

MIB: Final = 1024 * 1024

MAX_TEXT: Final = 512 * 1024
"""Longest text that a model writes, or has replaced, in one call. Unit: characters."""
MAX_COMMAND: Final = 32 * 1024
"""Longest command of a shell. Unit: characters."""
MAX_LINES: Final = 5_000
MAX_SHOWN_BYTES: Final = 100 * 1024
"""Most text that one call shows. Unit: bytes of UTF-8."""
MAX_LINE_BYTES: Final = 8 * 1024
"""Longer lines are shown by their beginnings."""
MAX_SCANNED_BYTES: Final = 16 * MIB
"""Most bytes that are read of files to find what was asked for."""
PART_BYTES: Final = MIB

MAX_GLOB: Final = 1_000
MAX_MATCHES: Final = 500
MAX_SEARCHED_FILES: Final = 1_000
MAX_SEARCHED_BYTES: Final = 2 * MIB
"""Of one file; grep passes over what is behind it, and says so."""
MAX_PATTERN: Final = 1_000

MAX_QUERY: Final = 1_000
MAX_JSON_BYTES: Final = 4 * MIB
MAX_ANSWER_BYTES: Final = 256 * 1024
"""Largest answer of a query."""

MAX_SQL: Final = 10_000
MAX_CSV_TABLES: Final = 8
MAX_CSV_BYTES: Final = 8 * MIB
"""Of all files of one query together."""
MAX_CSV_COLUMNS: Final = 500
MAX_CSV_FIELD: Final = 64 * 1024
MAX_CSV_ROWS: Final = 1_000
"""Rows that a query returns."""
MAX_STEPS: Final = 100_000_000
"""Instructions of SQLite's machine that one query may take."""
MAX_FETCHED_BYTES: Final = 2 * MIB
"""Of a page as it comes."""
MAX_PAGE_BYTES: Final = 400 * 1024
"""Of the text of a web page, which is cut there."""
MAX_FETCHED: Final = 100_000
"""Characters of its text in one answer."""
FETCHED: Final = 20_000
"""Characters of its text, unless others are asked for."""
