"""Who calls a fake kernel, and what they may touch."""

from dataclasses import dataclass

from aios.errors import PermissionDenied

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """The agent behind a call."""

    agent: str
    """Its id; `admin` for the administrator."""

    readable: frozenset[str] = frozenset()
    """Ids of agents whose resources it may read too."""

    def resolve(self, name: str, *, write: bool = False) -> str:
        """Return a resource name with `me` replaced.

        Raises PermissionDenied when the caller may not touch it.
        """
        parts = name.split("/", 2)
        if len(parts) > 1 and parts[1] == "me":
            parts[1] = self.agent
        owner = parts[1] if len(parts) > 1 else ""
        if self.agent not in (ADMIN, owner) and (write or owner not in self.readable):
            raise PermissionDenied(f"{self.agent} may not use {name}", metadata={"resource": name})
        return "/".join(parts)
