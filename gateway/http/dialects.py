"""The dialects that the door speaks: one line each."""

from gateway.http.dialect import Dialect
from gateway.http.fittings import Fittings


def dialects(_fittings: Fittings) -> list[Dialect]:
    """Make every dialect."""
    return []
