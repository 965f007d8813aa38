"""Turns: one call each, tenant by tenant and agent by agent."""

from collections.abc import Mapping
from typing import ClassVar

from services.scheduler.core.heap import Key
from services.scheduler.core.policies.base import ParamReader, PolicyContext
from services.scheduler.core.policies.fair import PATHS, FairTree
from services.scheduler.core.policies.vtc import VirtualTokenCounter
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import ParamValue


def _own_order(job: ScheduledCall) -> Key:
    return (job.call.priority, job.call.arrived_at, job.seq)


class Turns(VirtualTokenCounter):
    """Tenants take turns by weight, so do each tenant's agents; an agent's calls go by priority, then age.

    Every call costs one turn, because nobody knows beforehand what a call of a tool takes. A flood of one
    agent so delays another agent's call by at most one call of each agent that waits, weights aside.

    Source: weighted round robin in virtual time, as start-time fair queueing of equal packets: Goyal, Vin and
    Cheng, SIGCOMM'96.
    """

    name: ClassVar[str] = "turns"

    def __init__(self, params: Mapping[str, ParamValue], context: PolicyContext) -> None:
        super().__init__(params, context)
        self.tree = FairTree(PATHS[self.by], _own_order)

    def configure(self, params: ParamReader) -> None:
        """`by`: tenant (then agent) or agent."""
        self.by = params.choice("by", ("tenant", "agent"))

    def on_dispatch(self, job: ScheduledCall, now: float, uncached_tokens: int) -> None:  # noqa: ARG002 - interface
        """Charge one turn."""
        self.tree.remove(job)
        self.tree.started(job)
        self.tree.charge(job, 1.0)

    def on_tokens(self, job: ScheduledCall, tokens: int, now: float) -> None:
        """Nothing: a turn is a turn, however long the call runs."""
