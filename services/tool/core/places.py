"""How many calls of each tool may run at a provider whose processes serve several tools. Pure.

The scheduler hands out the places of each tool by itself and knows nothing of what tools share. So it is
told, for each tool, what runs plus a part of what is free. While calls wait, no free place is promised to two
tools: each goes to the tool whose waiting calls are the most urgent, then to the one that runs least, then to
the one that was not served for longest. What nobody waits for is promised to every tool that could use it;
the promises are made again before the next call is submitted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.chassis.auth.identity import Scope


@dataclass(frozen=True, slots=True)
class Place:
    """Free room of one process."""

    tools: frozenset[str]
    """Tools whose calls it takes."""
    free: int
    """Calls it can take beside those it holds."""


class Places(Protocol):
    """The processes of all providers."""

    def places(self, provider: Scope) -> Sequence[Place]:
        """Return the connected processes of a provider."""
        ...

    def watch(self, changed: Callable[[Scope], None]) -> None:
        """Call `changed(provider)` whenever its places have changed."""
        ...


@dataclass(frozen=True, slots=True)
class Demand:
    """What one tool wants."""

    tool: str
    limit: int
    """Calls of it that may run at once, wherever."""
    running: int
    waiting: int
    urgency: int
    """Rank of its most urgent waiting call; 0 is the most urgent."""
    served: int
    """When it was given a place last: a number that grows."""


def slots(places: Sequence[Place], demands: Sequence[Demand]) -> dict[str, int]:
    """Return how many calls of each tool may run now, what runs already included."""
    # Who serves the fewest tools is asked first, so that room which others need too is kept for them.
    order = sorted(places, key=lambda place: len(place.tools))
    free = [max(0, place.free) for place in order]
    given = {demand.tool: 0 for demand in demands}
    wanting = [demand for demand in demands if demand.waiting and demand.running < demand.limit]
    while wanting:
        demand = min(wanting, key=lambda each: (each.urgency, each.running + given[each.tool], each.served))
        found = next((i for i, place in enumerate(order) if free[i] and demand.tool in place.tools), None)
        if found is None:
            wanting.remove(demand)
            continue
        free[found] -= 1
        given[demand.tool] += 1
        if given[demand.tool] >= min(demand.waiting, demand.limit - demand.running):
            wanting.remove(demand)
    told = {}
    for demand in demands:
        spare = sum(left for place, left in zip(order, free, strict=True) if demand.tool in place.tools)
        promised = demand.running + given[demand.tool] + spare
        told[demand.tool] = max(demand.running, min(demand.limit, promised))
    return told
