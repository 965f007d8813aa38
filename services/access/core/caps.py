"""What agents may ask for in their scheduling hints: caps that only shrink on the way down a tree. Pure."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from services.access.model import Caps, Hints, SchedulingClass

_CLASSES: Final = tuple(SchedulingClass)
"""The highest first."""


@dataclass(frozen=True, slots=True)
class Excess:
    """One hint above its cap."""

    hint: str
    asked: str
    cap: str


def excess(hints: Hints, caps: Caps) -> Excess | None:
    """Return the first hint that is above its cap, or None."""
    policies = caps.policies
    if _rank(hints.scheduling_class) < _rank(caps.highest_class):
        return Excess("scheduling_class", hints.scheduling_class.value, caps.highest_class.value)
    if hints.weight > caps.highest_weight:
        return Excess("weight", str(hints.weight), str(caps.highest_weight))
    if hints.priority < caps.lowest_priority:
        return Excess("priority", str(hints.priority), str(caps.lowest_priority))
    if policies is not None and hints.policy and hints.policy not in policies:
        return Excess("policy", hints.policy, ", ".join(sorted(policies)) or "none")
    if hints.deadline is not None and hints.deadline < caps.shortest_deadline:
        return Excess("deadline", _text(hints.deadline), _text(caps.shortest_deadline))
    return None


def wider(caps: Caps, limit: Caps) -> Excess | None:
    """Return the first cap that lets through more than `limit` does, or None."""
    found = excess(
        Hints(caps.highest_class, caps.highest_weight, caps.lowest_priority, deadline=caps.shortest_deadline),
        limit,
    )
    if found is not None:
        return replace(found, hint=f"caps.{found.hint}")
    if limit.policies is not None and (caps.policies is None or caps.policies - limit.policies):
        more = "every policy" if caps.policies is None else ", ".join(sorted(caps.policies - limit.policies))
        return Excess("caps.policies", more, ", ".join(sorted(limit.policies)) or "none")
    return None


def covering(caps: Caps, hints: Hints) -> Caps:
    """Return the caps, widened as far as the hints need."""
    policies, shortest = caps.policies, caps.shortest_deadline
    return Caps(
        highest_class=min(caps.highest_class, hints.scheduling_class, key=_rank),
        highest_weight=max(caps.highest_weight, hints.weight),
        lowest_priority=min(caps.lowest_priority, hints.priority),
        policies=policies if policies is None or not hints.policy else policies | {hints.policy},
        shortest_deadline=shortest if hints.deadline is None else min(shortest, hints.deadline),
    )


def within(caps: Caps, limit: Caps) -> Caps:
    """Return the caps, lowered to `limit` where they are above it."""
    policies = caps.policies
    if limit.policies is not None:
        policies = limit.policies if policies is None else policies & limit.policies
    return Caps(
        highest_class=max(caps.highest_class, limit.highest_class, key=_rank),
        highest_weight=min(caps.highest_weight, limit.highest_weight),
        lowest_priority=max(caps.lowest_priority, limit.lowest_priority),
        policies=policies,
        shortest_deadline=max(caps.shortest_deadline, limit.shortest_deadline),
    )


def lowered(hints: Hints, caps: Caps) -> Hints:
    """Return the hints, lowered to the caps where they are above them."""
    allowed = caps.policies is None or hints.policy in caps.policies
    return replace(
        hints,
        scheduling_class=max(hints.scheduling_class, caps.highest_class, key=_rank),
        weight=min(hints.weight, caps.highest_weight),
        priority=max(hints.priority, caps.lowest_priority),
        policy=hints.policy if allowed else "",
        deadline=None if hints.deadline is None else max(hints.deadline, caps.shortest_deadline),
    )


def _rank(kind: SchedulingClass) -> int:
    return _CLASSES.index(kind)


def _text(span: timedelta) -> str:
    return f"{span.total_seconds():g} s"
