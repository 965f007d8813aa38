"""Synchronous twin of `aios.calls.queue`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from aios.calls.queue import Queue
from aios.sync.portal import Portal
from aios.types.agents import SchedulingClass
from aios.types.queue import (
    AgentSyscalls,
    AgentUsage,
    ClassPolicy,
    Explanation,
    PastSyscall,
    Policies,
    QueueState,
    ScheduleEvent,
    Syscall,
    Waits,
)


class SyncQueue:
    """Shows the scheduler's queue. An agent sees its own calls, an administrator its tenant's."""

    def __init__(self, inner: Queue, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def state(self, *, timeout: float | None = None) -> QueueState:
        """Return how many calls wait and run per class, and what each replica holds.

        Raises PermissionDenied.
        """
        return self._portal.run(self._inner.state(timeout=timeout))

    def explain(self, call: str, *, timeout: float | None = None) -> Explanation:
        """Return why a call waits: who is ahead, the binding limit, the predicted start.

        `call` is its id, its name or the name of a generation. Raises NotFound when it neither waits nor
        runs.
        """
        return self._portal.run(self._inner.explain(call, timeout=timeout))

    def explain_first(self, top: int = 20, *, agent: str = "", timeout: float | None = None) -> Waits:
        """Return why the first `top` waiting calls wait (at most 100), in one answer.

        Of one agent and its children, or all that the caller may see. Raises InvalidRequest,
        PermissionDenied.
        """
        return self._portal.run(self._inner.explain_first(top, agent=agent, timeout=timeout))

    def cancel(self, call: str, *, timeout: float | None = None) -> bool:
        """Cancel a call; True when it was still waiting or running. Raises NotFound, PermissionDenied."""
        return self._portal.run(self._inner.cancel(call, timeout=timeout))

    def policies(
        self, *, lane: Literal["inference", "tool"] = "inference", timeout: float | None = None
    ) -> Policies:
        """Return which policy is in charge of each class of a lane, and which there are."""
        return self._portal.run(self._inner.policies(lane=lane, timeout=timeout))

    def set_policy(
        self,
        policy: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        scheduling_class: SchedulingClass = "unspecified",
        lane: Literal["inference", "tool"] = "inference",
        timeout: float | None = None,
    ) -> Sequence[ClassPolicy]:
        """Put a policy in charge of a class of a lane, or of all of them; calls stay where they are.

        Raises InvalidRequest for an unknown policy or parameter, PermissionDenied.
        """
        return self._portal.run(
            self._inner.set_policy(
                policy, parameters=parameters, scheduling_class=scheduling_class, lane=lane, timeout=timeout
            )
        )

    def watch(
        self, *, agent: str = "", initial: bool = False, timeout: float | None = None
    ) -> Iterator[ScheduleEvent]:
        """Yield what happens to calls from now on.

        With `initial` an event `known_started` comes first, then one `known` for each call that waits or
        runs, then `known_ended`, then all that happened since. After a broken connection events in between
        are missing; with `initial` the watch then begins anew with `known_started`: forget what was known.
        `timeout` bounds the whole watch. Unit: seconds; default: no bound.
        """
        return self._portal.iterate(self._inner.watch(agent=agent, initial=initial, timeout=timeout))

    def counts(
        self, *, agent: str = "", limit: int | None = None, timeout: float | None = None
    ) -> list[AgentSyscalls]:
        """Return how many calls wait and run of each agent that has any, by name.

        Of one agent and its children, or all that the caller may see. `timeout` bounds each page.
        """
        return self._portal.run(self._inner.counts(agent=agent, limit=limit, timeout=timeout))

    def past(
        self,
        agent: str = "me",
        *,
        ended_after: datetime | None = None,
        ended_before: datetime | None = None,
        failed_only: bool = False,
        lane: Literal["", "inference", "tool"] = "",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[PastSyscall]:
        """Return calls of an agent that have ended and are still kept, newest first.

        `failed_only` leaves out those that completed or were cancelled. `timeout` bounds each page. Raises
        PermissionDenied, Unavailable.
        """
        return self._portal.run(
            self._inner.past(
                agent,
                ended_after=ended_after,
                ended_before=ended_before,
                failed_only=failed_only,
                lane=lane,
                limit=limit,
                timeout=timeout,
            )
        )

    def usage(
        self,
        *,
        agent: str = "",
        since: datetime | None = None,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[AgentUsage]:
        """Return what ended calls took, for each agent itself and with all below it, by lane.

        Of one agent and its children, or all that the caller may see. `since` counts from the beginning of
        its hour; default: a day ago. `timeout` bounds each page. Raises PermissionDenied, Unavailable.
        """
        return self._portal.run(self._inner.usage(agent=agent, since=since, limit=limit, timeout=timeout))

    def list(
        self,
        *,
        agent: str = "",
        states: Sequence[Literal["waiting", "running", "preempting"]] = (),
        scheduling_classes: Sequence[SchedulingClass] = (),
        lane: Literal["", "inference", "tool"] = "",
        without_children: bool = False,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[Syscall]:
        """Return the calls that wait or run, of one agent and its children or all that the caller may see.

        `states`, `scheduling_classes` and `lane` leave out others, `without_children` those of the agents
        below. `timeout` bounds each page.
        """
        return self._portal.run(
            self._inner.list(
                agent=agent,
                states=states,
                scheduling_classes=scheduling_classes,
                lane=lane,
                without_children=without_children,
                limit=limit,
                timeout=timeout,
            )
        )
