"""Secrets of operators, without their values."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretInfo:
    """What is told of a secret. Its value is told to nobody."""

    name: str
    """Resource name `secrets/{id}`."""

    bound_to: str = ""
    """The only place that the value may go to: `mcpservers/{id}`, or an origin such as https://host:8443."""

    version: int = 0
    """Grows each time it is set."""

    create_time: datetime | None = None
    """When it was set for the first time."""

    update_time: datetime | None = None
    """When it was last set."""

    used_by: tuple[str, ...] = ()
    """Names of tools and MCP servers that name it, at most 100."""

    used_by_total: int = 0
    """How many tools and MCP servers name it."""

    key_id: str = ""
    """The key that seals it: a key that no secret names may go."""

    @property
    def id(self) -> str:
        """The id: the last part of the name."""
        return self.name.rpartition("/")[2]
