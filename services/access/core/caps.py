"""What agents may ask for in their scheduling hints: caps that only shrink on the way down a tree. Pure."""

from dataclasses import replace

from services.chassis.dispatch.scheduling import Caps, Excess, Hints, SchedulingClass, excess


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
    return kind.rank
