"""How a share is expressed in grants: one on the name itself, for a directory a second one on all below."""

from collections.abc import Sequence
from datetime import datetime

from services.chassis.rpc import names
from services.storage.model import Role, Share, ShareGrant

READ = "storage.read"
WRITE = "storage.write"


def grants_for(
    name: str, grantee: str, role: Role, expires_at: datetime | None, *, directory: bool
) -> list[ShareGrant]:
    """Return the grants that make up a share. The first one names it."""
    actions = (READ, WRITE) if role is Role.WRITER else (READ,)
    exact = ShareGrant("", name, grantee, actions, prefix=False, expires_at=expires_at)
    below = ShareGrant("", name + "/", grantee, actions, prefix=True, expires_at=expires_at)
    return [exact, below] if directory else [exact]


def merge(agent: str, grants: Sequence[ShareGrant]) -> list[Share]:
    """Turn the grants on files of an agent back into shares, oldest first; others are passed over."""
    found: dict[tuple[str, str, tuple[str, ...]], Share] = {}
    for grant in grants:
        name = names.parse(grant.resource.rstrip("/"), field="grant")
        if name.owner != agent or name.collection != "files" or READ not in grant.actions:
            continue
        role = Role.WRITER if WRITE in grant.actions else Role.READER
        share = Share(grant.name, name.id, grant.grantee, role, grant.expires_at, grant.created_at)
        found.setdefault((share.path, share.grantee, grant.actions), share)
    return sorted(found.values(), key=lambda share: share.position)
