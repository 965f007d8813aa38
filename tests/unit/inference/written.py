"""JSON as a careless server writes it: halves of surrogate pairs, NaN and all."""

import json
from typing import Any


def written(value: Any) -> bytes:
    """Write a value."""
    return json.dumps(value).encode()
