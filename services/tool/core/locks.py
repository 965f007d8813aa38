"""What a call needs beside its turn at the tool. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from services.tool.model import Tool

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_LONGEST: Final = 1_024
SHARED: Final = "mcpservers/"
"""What names of allowances begin with, and so no names of tools' own locks."""


def lock_names(tool: Tool, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the tool's locks with the arguments put in, each once and in order."""

    def filled(match: re.Match[str]) -> str:
        value = arguments.get(match[1])
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    names = {_PLACEHOLDER.sub(filled, lock)[:_LONGEST] for lock in tool.locks}
    return tuple(sorted(f"./{name}" if name.startswith(SHARED) else name for name in names if name))


def allowances(tool: Tool) -> tuple[tuple[str, int], ...]:
    """Return what the tool shares with others, by name, and how many calls may use it at once."""
    bound = tool.driver.mcp
    return () if bound is None else ((f"{SHARED}{bound.server}", tool.max_concurrency),)
