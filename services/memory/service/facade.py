"""All use cases of the memory manager in one place."""

from dataclasses import dataclass

from services.memory.service.notes import Notes
from services.memory.service.purging import Purging
from services.memory.service.searching import Searching


@dataclass(frozen=True, slots=True)
class MemoryService:
    """What the servicer calls."""

    notes: Notes
    searching: Searching
    purging: Purging
