"""What a call needs beside its turn at the tool. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from services.tool.model import Tool

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_LONGEST: Final = 1_024


def lock_names(tool: Tool, arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the tool's locks with the arguments put in, each once and in order."""

    def filled(match: re.Match[str]) -> str:
        value = arguments.get(match[1])
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True)

    names = {_PLACEHOLDER.sub(filled, lock)[:_LONGEST] for lock in tool.locks}
    return tuple(sorted(name for name in names if name))
