"""Stops clients that send a prompt again and again although it can never fit. Pure.

One coding agent answers "the prompt is too long" by shortening its conversation and sending it again, for
ever when that is still too long: a hundred requests in half a minute. Told that it is forbidden, it stops.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from gateway.http.core.refusals import TOO_LONG, DoorError, Row, row_of
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError

TIMES: Final = 3
SECONDS: Final = 10.0
_MAX_KEPT: Final = 10_000

Agent = tuple[str, str]
"""Tenant and agent."""


class NeverFits(DoorError):
    """The same agent was refused for the length of its prompt too often in a short time."""

    reason = "PROMPT_TOO_LONG"
    code = Code.INVALID_ARGUMENT
    row = Row(403, "permission_error", "permission_error", "prompt_never_fits", retry=False)


@dataclass(slots=True)
class LengthRefusals:
    """When each agent was refused for its prompt's length, lately."""

    _times: "OrderedDict[Agent, deque[float]]" = field(default_factory=OrderedDict)

    def told(self, agent: Agent, error: KernelError, now: float) -> KernelError:
        """Return what an agent is told of an error: at its third such refusal within ten seconds, to stop."""
        if row_of(error) is not TOO_LONG:
            return error
        times = self._times.setdefault(agent, deque(maxlen=TIMES))
        self._times.move_to_end(agent)
        times.append(now)
        while len(self._times) > _MAX_KEPT:
            self._times.popitem(last=False)
        if len(times) < TIMES or now - times[0] > SECONDS:
            return error
        return NeverFits(
            f"stopped: {TIMES} requests within {SECONDS:.0f} seconds asked for more than the model can ever "
            "take; start a new conversation, or use a model with a larger window"
        )
