"""The driver under test: the scheduler's own core and policies, fed as the gateway feeds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from services.chassis.dispatch.scheduling import Completion
from services.chassis.quotas import Cap
from services.scheduler.core.events import (
    BackendUp,
    DispatchGrant,
    Event,
    Finished,
    Preempt,
    Progress,
    Reject,
    Revoke,
    Submit,
    Tick,
    Yielded,
)
from services.scheduler.core.policies import PolicyRegistry
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import Call, ParamValue, PolicySpec, Prefix
from tests.bench.sched.engine import Engine, LiveCall
from tests.bench.sched.server import MAX_NEW_TOKENS

HOP_SECONDS: Final = 0.003
"""From a decision to the server: scheduler, gateway, HTTP. Nobody else pays this here."""

REPORT_STEPS: Final = 16
"""Steps between two reports of progress."""

MODEL: Final = "model"


@dataclass(frozen=True, slots=True)
class Setup:
    """A policy, its parameters, and what differs from the production defaults of every class."""

    policy: str
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    lane_share: float | None = None
    reserve: int = 0
    """Output tokens that room is kept for at a time; 0: all that may come."""

    informed: bool = True
    """The gateway tells shared prefixes and what the backend found cached."""


def settings(setup: Setup) -> CoreSettings:
    """Production defaults, except that nothing is refused for waiting long: no baseline refuses."""
    base = CoreSettings()
    spec = PolicySpec(setup.policy, setup.params)
    classes = {}
    for name, kind in base.classes.items():
        share = kind.lane_share if setup.lane_share is None else setup.lane_share
        classes[name] = replace(kind, policy=spec, max_wait=None, lane_share=share)
    return replace(
        base, classes=classes, reserve_tokens=setup.reserve, max_waiting=10**6, waiting=Cap.flat(10**6)
    )


class Aios:
    """Drives the server through a SchedulerCore."""

    stride = REPORT_STEPS

    def __init__(self, setup: Setup, hop: float = HOP_SECONDS) -> None:
        self.setup = setup
        self.hop = hop
        self.core = SchedulerCore(settings(setup), PolicyRegistry())
        self.refused = 0
        self._now = 0.0
        self._calls: dict[str, LiveCall] = {}
        self._running: dict[LiveCall, tuple[int, int]] = {}

    def attach(self, engine: Engine) -> None:
        """Announce the server to the core."""
        self.engine = engine
        shape = engine.server.shape
        self._tell(BackendUp("r0", MODEL, shape.slots, shape.budget), 0.0)

    def arrived(self, call: LiveCall, now: float) -> None:
        """Submit it."""
        self._calls[call.id] = call
        program = call.program
        run = program.conversation or (program.name if len(program.steps) > 1 else "")
        covered, prefixes = 0, []
        for block in call.step.shared if self.setup.informed else ():
            covered += block.tokens
            prefixes.append(Prefix(block.key, covered))
        self._tell(
            Submit(
                Call(
                    id=call.id,
                    gateway="gw",
                    agent=run or program.tenant,
                    resource=MODEL,
                    arrived_at=now,
                    tenant=program.tenant,
                    agent_kind=program.kind,
                    program=run,
                    step_index=program.turn + call.index,
                    prompt_tokens=call.step.prompt,
                    max_new_tokens=MAX_NEW_TOKENS,
                    prefixes=tuple(prefixes),
                )
            ),
            now,
        )

    def finished(self, call: LiveCall, now: float) -> None:
        """Tell the core; its room goes to the next."""
        epoch, _ = self._running.pop(call)
        del self._calls[call.id]
        cached = call.tokens_cached if self.setup.informed else None
        self._tell(Finished(call.id, Completion.COMPLETED, call.done, epoch, cached), now)

    def stopped(self, call: LiveCall, now: float) -> None:
        """Give the call back."""
        epoch, _ = self._running.pop(call)
        self._tell(Yielded(call.id, call.done, epoch=epoch), now)

    def progress(self, now: float) -> None:
        """Report what came out since the last time."""
        for call, (epoch, reported) in list(self._running.items()):
            done = self.engine.generated(call)
            if done > reported:
                self._running[call] = (epoch, done)
                self._tell(Progress(call.id, done - reported, epoch), now)

    def wakeup(self) -> float | None:
        """When the core wants a tick."""
        at = self.core.next_wakeup(self._now)
        return None if at is None else max(at, self._now + 1e-3)

    def tick(self, now: float) -> None:
        """Let the core's time pass."""
        self._tell(Tick(), now)

    def _tell(self, event: Event, now: float) -> None:
        self._now = max(self._now, now)
        for decision in self.core.step(event, self._now):
            if isinstance(decision, DispatchGrant):
                call = self._calls[decision.call_id]
                self._running[call] = (decision.epoch, call.done)
                self.engine.send(call, self._now, self.hop, decision.max_new_tokens)
            elif isinstance(decision, Preempt):
                self.engine.stop(self._calls[decision.call_id], self._now, self.hop)
            elif isinstance(decision, Reject | Revoke):
                self.refused += 1
                del self._calls[decision.call_id]
