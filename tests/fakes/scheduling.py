"""Builders for scheduler tests: calls, settings, and a small world that plays gateway and backend."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from services.chassis.dispatch.scheduling import Completion, SchedulingClass
from services.scheduler.core.events import (
    BackendUp,
    Decision,
    DispatchGrant,
    Event,
    Finished,
    Preempt,
    Progress,
    Reject,
    Revoke,
    Submit,
    Tick,
    TimelineEvent,
    TimelineKind,
    Yielded,
)
from services.scheduler.core.policies import PolicyRegistry
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.core.settings import ClassSettings, CoreSettings
from services.scheduler.model import Call, ParamValue, PolicySpec

MODEL = "llama"


def call(name: str, **fields: Any) -> Call:
    """Build a call of 100 prompt and 50 output tokens unless told otherwise."""
    defaults: dict[str, Any] = {
        "id": name,
        "gateway": "gw",
        "agent": "planner",
        "resource": MODEL,
        "arrived_at": 0.0,
        "prompt_tokens": 100,
        "max_new_tokens": 50,
    }
    return Call(**(defaults | fields))


def settings(
    policy: str = "fifo", params: Mapping[str, ParamValue] | None = None, **fields: Any
) -> CoreSettings:
    """Build settings where every class is under one policy; other fields as given."""
    base = CoreSettings()
    spec = PolicySpec(policy, params or {})
    classes = {name: replace(kind, policy=spec) for name, kind in base.classes.items()}
    return replace(base, **({"classes": classes} | fields))


def with_class(base: CoreSettings, name: SchedulingClass, **fields: Any) -> CoreSettings:
    """Change the settings of one class."""
    changed: ClassSettings = replace(base.classes[name], **fields)
    return replace(base, classes={**base.classes, name: changed})


@dataclass
class Desk:
    """One core and what it decided; answers read like sentences in tests."""

    core: SchedulerCore
    now: float = 0.0
    grants: list[DispatchGrant] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    preempts: list[Preempt] = field(default_factory=list)
    revokes: list[Revoke] = field(default_factory=list)
    timeline: list[TimelineEvent] = field(default_factory=list)

    def tell(self, event: Event, at: float | None = None) -> list[Decision]:
        """Step the core; time never goes back."""
        self.now = self.now if at is None else max(self.now, at)
        decisions = self.core.step(event, self.now)
        for decision in decisions:
            kinds: dict[type, list[Any]] = {
                DispatchGrant: self.grants,
                Reject: self.rejects,
                Preempt: self.preempts,
                Revoke: self.revokes,
                TimelineEvent: self.timeline,
            }
            kinds[type(decision)].append(decision)
        return decisions

    def submit(self, name: str, at: float | None = None, **fields: Any) -> list[Decision]:
        """Submit a call that arrives now."""
        self.now = self.now if at is None else max(self.now, at)
        return self.tell(Submit(call(name, **({"arrived_at": self.now} | fields))))

    def progress(self, name: str, tokens: int, at: float | None = None) -> list[Decision]:
        """Report tokens."""
        return self.tell(Progress(name, tokens), at)

    def finish(self, name: str, at: float | None = None, tokens: int | None = None) -> list[Decision]:
        """End a run well."""
        return self.tell(Finished(name, Completion.COMPLETED, tokens), at)

    def give_back(self, name: str, tokens_done: int, at: float | None = None) -> list[Decision]:
        """Answer a preemption."""
        return self.tell(Yielded(name, tokens_done), at)

    def tick(self, at: float) -> list[Decision]:
        """Let time pass."""
        return self.tell(Tick(), at)

    @property
    def order(self) -> list[str]:
        """Calls in the order they were granted."""
        return [grant.call_id for grant in self.grants]

    def kinds(self) -> list[TimelineKind]:
        """Kinds of the timeline so far."""
        return [event.kind for event in self.timeline]


def desk(
    core_settings: CoreSettings | None = None,
    *,
    slots: int = 1,
    tokens: int | None = 100_000,
    replicas: int = 1,
    registry: PolicyRegistry | None = None,
    **backend: Any,
) -> Desk:
    """Build a core with backends r0, r1, ... that are up."""
    made = Desk(SchedulerCore(core_settings or settings(), registry))
    for number in range(replicas):
        made.tell(BackendUp(f"r{number}", MODEL, slots, tokens, **backend))
    made.timeline.clear()
    return made


def serve_all(d: Desk, seconds: float = 1.0) -> list[str]:
    """Let each call run for `seconds` and finish, one after another; give the order of grants."""
    while d.core.stats(d.now).running:
        d.finish(d.order[-1], at=d.now + seconds)
    return d.order
