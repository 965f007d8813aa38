"""Says in plain words what somebody may do, and by which policy. Pure."""

from typing import Final

from services.access.model.rules import Check, Decision, Reason

_WHY: Final = {
    Reason.PERMITTED: "permitted by {policies}",
    Reason.NOT_PERMITTED: "no policy permits it",
    Reason.FORBIDDEN: "forbidden by {policies}",
    Reason.AGENT_INACTIVE: "it is suspended, disabled, killed or not registered",
    Reason.POLICY_ERROR: "a policy in force cannot be evaluated, which refuses everything: {policies}",
    Reason.APPROVAL_REQUIRED: "only once a person has approved it, by {policies}",
}
_MOST_NAMED: Final = 8


def summary(check: Check, decision: Decision) -> str:
    """Put a decision into a sentence."""
    may = "may" if decision.allowed else "may not"
    target = check.resource or "itself"
    return f"{check.principal.agent} {may} {check.action} on {target}: {_why(decision)}."


def _why(decision: Decision) -> str:
    named = ", ".join(decision.policies[:_MOST_NAMED]) or "the kernel's own rules"
    more = len(decision.policies) - _MOST_NAMED
    return _WHY[decision.reason].format(policies=f"{named} and {more} more" if more > 0 else named)
