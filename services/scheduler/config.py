"""Configuration of the scheduler, read from `AIOS_SCHEDULER_*`."""

from dataclasses import dataclass, replace
from datetime import timedelta

from services.chassis.dispatch.scheduling import SchedulingClass
from services.chassis.quotas import Cap
from services.chassis.runtime.config import SettingRefused
from services.scheduler.core.settings import CoreSettings
from services.scheduler.model import PolicySpec
from services.scheduler.service.past_calls import Keeping


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulerConfig:
    """Limits and policies of one scheduler process."""

    policy: str = "adaptive"
    """Policy of the classes interactive, normal and batch at the start: adaptive, fifo, rr, priority, stride,
    mlfq, vtc, sjf, edf, las, or one that an installed package offers. SetPolicy changes it at run time."""

    tool_policy: str = "turns"
    """Policy of the same classes for calls of tools at the start: turns, or any of the others."""

    quantum_tokens: int = 0
    """Quantum of the rr policy. Unit: tokens. Default: the policy's own."""

    max_waiting: int = 10_000
    """Calls of one lane that may wait; more are refused."""

    quota_waiting_calls: Cap = Cap(1_000, 2_500, 8_000)
    """Calls of one lane that may wait for an agent, its tree and its tenant; more are refused."""

    reserve_tokens: int = 0
    """Output tokens that room is kept for at a time on an inference server; a longer answer waits for its
    next part. Pays on servers short of KV cache, from 128 on. Default: all that a call may produce."""

    kept_slot_from: int = 8
    """Slots from which on a replica, or a tool, keeps its last free one for trees of agents that run nothing
    there: who comes next need not wait for the end of another's call. 0: none does."""

    backend_grace_seconds: timedelta = timedelta(seconds=30)
    """Time a call may wait for a replica of its model to appear at all."""

    def __post_init__(self) -> None:
        """Refuse numbers below their least. Raises ValueError."""
        for setting, least in (("quantum_tokens", 0), ("max_waiting", 1), ("reserve_tokens", 0)):
            if getattr(self, setting) < least:
                raise SettingRefused(setting, f"expected at least {least}, got {getattr(self, setting)}")
        if self.kept_slot_from == 1 or self.kept_slot_from < 0:
            raise SettingRefused("kept_slot_from", f"expected 0 or at least 2, got {self.kept_slot_from}")

    past_calls_keep: timedelta = timedelta(days=7)
    """How long calls that ended are kept to be listed. 0: none are kept, and those kept before are deleted.
    Unit: seconds."""

    past_calls_per_agent: int = 1_000
    """Calls that ended and are kept of an agent; the oldest go."""

    past_calls_per_tenant: int = 200_000
    """Calls that ended and are kept of a tenant; the oldest go."""

    usage_keep: timedelta = timedelta(days=30)
    """How long the hourly sums of what ended calls took are kept. Unit: seconds."""

    def keeping(self) -> Keeping:
        """Return what is kept of calls that ended."""
        return Keeping(
            calls=self.past_calls_keep,
            sums=self.usage_keep,
            of_agent=self.past_calls_per_agent,
            of_tenant=self.past_calls_per_tenant,
        )

    def core_settings(self, first_epoch: int) -> CoreSettings:
        """Return the settings of the core."""
        default = CoreSettings()
        params = {"quantum": self.quantum_tokens} if self.quantum_tokens and self.policy == "rr" else {}
        spec, tools = PolicySpec(self.policy, params), PolicySpec(self.tool_policy)
        changed = {SchedulingClass.INTERACTIVE, SchedulingClass.NORMAL, SchedulingClass.BATCH}
        return replace(
            default,
            classes={
                kind: replace(settings, policy=spec, tool_policy=tools) if kind in changed else settings
                for kind, settings in default.classes.items()
            },
            max_waiting=self.max_waiting,
            waiting=self.quota_waiting_calls,
            reserve_tokens=self.reserve_tokens,
            kept_slot_from=self.kept_slot_from,
            backend_grace=self.backend_grace_seconds.total_seconds(),
            first_epoch=first_epoch,
        )
