"""Judges policy texts in a process of its own, so that no text can stop or slow the access manager."""

import json
from typing import Final

from services.access.errors import PolicyInvalid
from services.access.model.rules import Finding, Severity
from services.chassis.auth.identity import caller_or_none
from services.chassis.gate import FairGate, GateConfig, Visitor
from services.chassis.rpc.errors import FieldViolation, RequestPoisoned, ServiceUnavailable
from services.chassis.runtime.logs import logger
from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.worker_process import MIB, Blame
from services.chassis.runtime.workers import (
    Poisoned,
    WorkerDied,
    WorkerError,
    WorkerOverran,
    WorkerPool,
    WorkerSpec,
)

_log = logger(__name__)

SPEC: Final = WorkerSpec(
    name="policy-judge",
    target="services.access.adapters.cedar_handlers:judging",
    memory=256 * MIB,
    cpu=10.0,
    wall=5.0,
    longest_answer=MIB,
    # Half of what the access manager's threads have: what passes here does not overflow there.
    stack=4 * MIB,
)


TEXTS: Final = GateConfig(
    running=1,
    running_per_tenant=1,
    running_per_tree=1,
    running_per_agent=1,
    waiting=64,
    waiting_per_tenant=8,
    waiting_per_tree=4,
    waiting_per_agent=2,
)
"""One text at a time, by turns; what waits is little, since each may take seconds."""


class PolicyProcess:
    """A warm process that judges policy texts, one at a time. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        poison: PoisonList | None = None,
        told: Blame = lambda _name, _cause: None,
        spec: WorkerSpec = SPEC,
        gate: GateConfig = TEXTS,
    ) -> None:
        """As many texts wait as `gate` says."""
        self._gate = FairGate(gate)
        self._pool = WorkerPool(spec, poison=poison or PoisonList(), told=told)

    async def findings(self, text: str) -> list[Finding]:
        """List what is wrong with a text.

        Raises PolicyInvalid when the text takes too long or ends the process, RequestPoisoned when it has
        done so twice, TooManyCalls or QueueFull when too many texts wait, DeadlineExceeded,
        ServiceUnavailable when no process starts.
        """
        async with self._gate.admit(Visitor.of(caller_or_none())):
            return await self._judged(text)

    async def _judged(self, text: str) -> list[Finding]:
        try:
            answer = await self._pool.call(text.encode(errors="replace"))
        except Poisoned as error:
            raise RequestPoisoned("the policy has ended the process that reads it twice") from error
        except WorkerOverran as error:
            wall = self._pool.spec.wall
            raise _refused(f"checking the policy takes longer than {wall:g} s", "time") from error
        except WorkerDied as error:
            raise _refused("the policy is more than its parser can take", "parser") from error
        except WorkerError as error:
            raise ServiceUnavailable("policies cannot be judged right now", retry_after=1.0) from error
        try:
            return [
                Finding(Severity(one["severity"]), str(one["message"]), str(one["policy_id"]))
                for one in json.loads(answer)
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise _refused("the policy is more than its parser can take", "parser") from error

    async def warm(self) -> None:
        """Start the process, so that the first text need not wait for it. Raises ServiceUnavailable."""
        try:
            await self._pool.warm()
        except WorkerError as error:
            raise ServiceUnavailable("policies cannot be judged right now", retry_after=1.0) from error

    async def close(self) -> None:
        """End the process."""
        await self._pool.close()


def _refused(message: str, bound: str) -> PolicyInvalid:
    return PolicyInvalid(
        message, metadata={"bound": bound}, violations=[FieldViolation("policy.text", message)]
    )
