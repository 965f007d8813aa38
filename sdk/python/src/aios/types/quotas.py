"""What agents keep, and may keep, of each countable thing."""

from dataclasses import dataclass
from typing import Literal

QuotaLevel = Literal["agent", "tree", "tenant"]
"""Whose cap is meant: an agent's, that of a root agent and all below it, or its tenant's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaUsage:
    """What is used of one quota at one level."""

    quota: str
    """Its name, such as "notes" or "note_bytes"; the same as in a QuotaExceeded error."""

    level: QuotaLevel
    """Whose it is."""

    used: int = 0
    """What is kept now: things, or bytes where the name ends so. Of a tenant only administrators are told."""

    limit: int = 0
    """The most that may be kept."""
