"""Says in plain words why a call waits. Pure."""

from services.scheduler.core.explain import Binding, Explanation, LockHolder
from services.scheduler.model import CallState

OTHER_TENANT = "it belongs to another tenant"

_LIMITS = {
    Binding.NOTHING: "nothing holds it back: it is next",
    Binding.ORDER: "others of its class come first",
    Binding.CLASS_SHARE: "its class has used up its share for now",
    Binding.SLOTS: "every slot is taken",
    Binding.KEPT_SLOT: "its tree of agents has all slots but the one that is kept for others",
    Binding.TOKENS: "the backends' token budget is taken",
    Binding.RESERVATION: "room is being kept for a bigger call that has waited long",
    Binding.GANG: "it starts together with the rest of its gang, once all have come and fit at once",
    Binding.LOCK: "it needs something that others use now",
    Binding.NO_BACKEND: "no backend serves its model right now",
}


_HOLDERS = {
    LockHolder.OWN: "held by one of your calls",
    LockHolder.OTHER: "held by another agent",
    LockHolder.KEPT: "kept for another call",
}


def limit(found: Explanation) -> str:
    """Say which limit binds; of a lock also who has it."""
    if found.binding is Binding.LOCK and found.lock is not None:
        return f"it needs the lock {_own_name(found)}, which is {_HOLDERS[found.lock.holder]}"
    return _LIMITS[found.binding]


def _ahead(found: Explanation) -> str:
    if not found.position_is_bound:
        return str(found.position)
    return f"at least {found.position} of the {found.waiting} that wait"


def _own_name(found: Explanation) -> str:
    # In the core a lock is named after its tenant, which is the caller's.
    return "" if found.lock is None else found.lock.name.partition("/")[2][:256]


def summary(found: Explanation) -> str:
    """Put an explanation into a few sentences."""
    if found.state is not CallState.WAITING:
        return f"The call runs on {found.replica}; it waited {found.wait_seconds:.1f} s.{_cached(found)}"
    parts = [
        (
            f"The call has waited {found.wait_seconds:.1f} s in class {found.scheduling_class.value} under "
            f"the {found.policy} policy, with {_ahead(found)} ahead of it: {limit(found)}."
        )
    ]
    if found.in_lane:
        parts.append("It is in the lane against starvation, which is served oldest first.")
    elif found.lane_in_seconds is not None:
        parts.append(f"In {max(0.0, found.lane_in_seconds):.0f} s it enters the lane against starvation.")
    if found.boosted:
        parts.append("Calls of its class wait so long that the lane gets twice its share.")
    if found.predicted_start_seconds is not None:
        parts.append(f"It should start in about {found.predicted_start_seconds:.1f} s{_error(found)}.")
    if found.due_in_seconds is not None:
        left = found.due_in_seconds
        parts.append(f"It was due {-left:.1f} s ago." if left < 0 else f"It is due in {left:.1f} s.")
    if found.expires_in_seconds is not None:
        parts.append(f"It gives up in {max(0.0, found.expires_in_seconds):.0f} s.")
    return " ".join(parts) + _cached(found)


def _error(found: Explanation) -> str:
    if not found.predictions:
        return ""
    return (
        f" (the last {found.predictions} such predictions were off by "
        f"{found.prediction_error_seconds:.1f} s on average)"
    )


def _cached(found: Explanation) -> str:
    if not found.cached_tokens:
        return ""
    return f" {found.cached_replica} probably has {found.cached_tokens} tokens of its context in its cache."
