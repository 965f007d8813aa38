"""What stays of a purged agent: a digest of its id, so that nobody gets the id by mistake. Pure."""

import hashlib


def digest(tenant: str, agent: str) -> str:
    """Return what is kept of an agent's id."""
    return hashlib.sha256(f"aios-tombstone:{tenant}:{agent}".encode()).hexdigest()


def name(tenant: str, agent: str) -> str:
    """Return the resource name of a purge in the audit log, which does not tell whose it was."""
    return f"purges/{digest(tenant, agent)[:32]}"
