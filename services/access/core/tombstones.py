"""What stays of a purged agent: a digest of its id, so that nobody gets the id by mistake. Pure."""

import dataclasses
import hashlib
from collections.abc import Callable
from functools import cache

from services.access.model.audit import Event


def digest(tenant: str, agent: str) -> str:
    """Return what is kept of an agent's id."""
    return hashlib.sha256(f"aios-tombstone:{tenant}:{agent}".encode()).hexdigest()


def name(tenant: str, agent: str) -> str:
    """Return the resource name of a purge in the audit log, which does not tell whose it was."""
    return f"purges/{digest(tenant, agent)[:32]}"


def actor(tenant: str, agent: str) -> str:
    """Return what stands for the id of a purged agent that goes on calling while its token lives."""
    return f"erased-{digest(tenant, agent)[:32]}"


def masked(tenant: str, events: list[Event], is_buried: Callable[[str], bool]) -> list[Event]:
    """Return the events without the ids of purged agents; `is_buried` knows digests."""

    @cache
    def purged(agent: str) -> bool:
        return bool(agent) and is_buried(digest(tenant, agent))

    return [_masked(tenant, event, purged) for event in events]


def _masked(tenant: str, event: Event, purged: Callable[[str], bool]) -> Event:
    collection, _, rest = event.resource.partition("/")
    owner = rest.partition("/")[0] if collection == "agents" else ""
    return dataclasses.replace(
        event,
        agent=actor(tenant, event.agent) if purged(event.agent) else event.agent,
        resource=name(tenant, owner) if purged(owner) else event.resource,
    )
