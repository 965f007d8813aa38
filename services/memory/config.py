"""Configuration of the memory manager, from `AIOS_MEMORY_*`."""

from dataclasses import dataclass
from datetime import timedelta

from services.chassis.quotas import Cap


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryConfig:
    """Limits of one memory manager. Read once, at start."""

    quota_notes: Cap = Cap.of(100_000)
    """Notes."""

    quota_note_bytes: Cap = Cap.of(64 * 1024 * 1024)
    """What notes take. Unit: bytes."""

    quota_links: Cap = Cap.of(1_000_000)
    """Links between notes."""

    quota_replies: Cap = Cap.of(1_000_000)
    """Answers remembered for repeated requests, each kept for a day; charged to who asked."""

    block_bytes: int = 8 * 1024 * 1024
    """RAM of one agent."""

    high_water: float = 0.8
    """Part of an agent's block that may be full before notes leave RAM."""

    low_water: float = 0.7
    """Part of an agent's block that is still full when enough notes have left."""

    max_resident_bytes: int = 1024 * 1024 * 1024
    """RAM of all agents together."""

    correlated_period: timedelta = timedelta(seconds=1)
    """Uses of a note closer together than this count as one. Unit: seconds."""

    sweep_every: timedelta = timedelta(seconds=15)
    """Time between two rounds that delete expired notes and write down times of use. Unit: seconds."""

    def __post_init__(self) -> None:
        if not 0 < self.low_water <= self.high_water <= 1:
            raise ValueError("0 < low_water <= high_water <= 1 must hold")
        if self.sweep_every <= timedelta(0):
            raise ValueError("sweep_every must be more than 0 seconds")
