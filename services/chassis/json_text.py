"""JSON texts from outside, read so that every reader finds the same in them. Pure."""

import json
import math
from typing import Any


def read_json(text: str, *, once: bool = True) -> Any:
    """Read a JSON text. Raises ValueError for what is none, and for what readers understand differently.

    That is NaN and Infinity, numbers beyond what a double holds, and a name that an object gives twice: the
    first, the last or both may count. Without `once` the last one counts, for texts that are written anew
    from what was read.
    """
    hook = _once_each if once else None
    try:
        return json.loads(text, object_pairs_hook=hook, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it gives a name twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:16]} is no number that readers can hold")
    return number
