"""What a docstring says of a function and of its parameters: Google's, NumPy's and reST's styles."""

import inspect
import re
from dataclasses import dataclass, field
from typing import Final

_SECTIONS: Final = re.compile(
    r"^\s*(args|arguments|parameters|params|keyword args|other parameters)\s*:?\s*$|^\s*[:@]param\b",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a docstring says."""

    description: str = ""
    """What the function does, without what is said of its parameters."""

    parameters: dict[str, str] = field(default_factory=dict)
    """What is said of each parameter, by name."""


def told(docstring: str | None) -> Told:
    """Read a docstring. One that names no parameters is taken whole, as it stands."""
    text = inspect.cleandoc(docstring) if docstring else ""
    if not _SECTIONS.search(text):
        return Told(text)
    import docstring_parser  # noqa: PLC0415  # few docstrings need it

    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return Told(text)
    parameters = {
        one.arg_name.lstrip("*"): " ".join((one.description or "").split())
        for one in parsed.params
        if one.description
    }
    if not parameters:
        return Told(text)
    parts = [parsed.short_description, parsed.long_description]
    if parsed.returns and parsed.returns.description:
        parts.append(f"Returns: {' '.join(parsed.returns.description.split())}")
    return Told("\n\n".join(part for part in parts if part), parameters)
