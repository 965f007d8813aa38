"""Times as whole microseconds since 1970, UTC: how they are stored and paged by. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Return the microseconds since 1970 of a time of any zone, exactly."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(count: int) -> datetime:
    """Return the time so many microseconds after 1970, exactly."""
    return EPOCH + timedelta(microseconds=count)
