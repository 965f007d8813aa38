"""Synchronous twin of `aios.calls.agents`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Iterator, Mapping

from aios.calls.agents import Agents
from aios.sync.portal import Portal
from aios.types.agents import AgentEvent, AgentHandle, AgentInfo, Caps, Hints, OldKeys, SyscallEvent


class SyncAgents:
    """Registers agents and steers them.

    An agent is named by its id or by `agents/{id}`; `me` is the caller.
    """

    def __init__(self, inner: Agents, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def register(
        self,
        agent_id: str = "",
        *,
        parent: str = "",
        display_name: str = "",
        kind: str = "",
        hints: Hints | None = None,
        caps: Caps | None = None,
        labels: Mapping[str, str] | None = None,
        ttl: float | None = None,
        exist_ok: bool = False,
        tenant: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> AgentHandle:
        """Register an agent and return it with its credential; `Kernel.as_agent` takes the result.

        An empty id lets the kernel make one; an empty parent makes a root for an administrator and a child
        for an agent. `caps` are the most it may ask for in its hints: the parent's by default. After `ttl`
        seconds it is killed with all below it; it never outlives its parent, whose time it has by default.
        Repeated with the same `request_id`, it is the same registration, with another key in place of the
        first. With `exist_ok` an agent that has the id already, below the same parent, is returned as it is;
        see `get_or_register`. Raises AlreadyExists when the id is taken, NotFound for an unknown parent,
        PreconditionFailed when the tree would become too large, PermissionDenied (also when the hints are
        above the caps).
        """
        return self._portal.run(
            self._inner.register(
                agent_id,
                parent=parent,
                display_name=display_name,
                kind=kind,
                hints=hints,
                caps=caps,
                labels=labels,
                ttl=ttl,
                exist_ok=exist_ok,
                tenant=tenant,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def get_or_register(
        self,
        agent_id: str,
        *,
        parent: str = "",
        display_name: str = "",
        kind: str = "",
        hints: Hints | None = None,
        caps: Caps | None = None,
        labels: Mapping[str, str] | None = None,
        ttl: float | None = None,
        tenant: str = "",
        timeout: float | None = None,
    ) -> AgentHandle:
        """Return the agent of that id, registered if it is not there yet; `Kernel.as_agent` takes the result.

        One call, so of several at once one registers it and all get it. An agent that was there
        (`existed`) stays as it is: `update` changes it. Its credential is a token without a key, which
        `as_agent` renews by this connection for as long as that may; a key that was lost is replaced by
        `issue_key`. For administrators, and agents below whom it is. Raises AlreadyExists when the id is
        another's (a person's, or an agent's below another parent) or was purged, AgentInactive when it is
        suspended or was killed (an id is not given again), ValueError for an empty id, and what `register`
        raises.
        """
        return self._portal.run(
            self._inner.get_or_register(
                agent_id,
                parent=parent,
                display_name=display_name,
                kind=kind,
                hints=hints,
                caps=caps,
                labels=labels,
                ttl=ttl,
                tenant=tenant,
                timeout=timeout,
            )
        )

    def issue_key(
        self,
        agent: str,
        *,
        old_keys: OldKeys = "end",
        reason: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> AgentHandle:
        """Make another key for an agent, as when its own was lost or has leaked; return it with the agent.

        `old_keys` says what becomes of the keys until now: `end` lets the tokens they gave go on for a day
        at most, `end_with_tokens` refuses those at once too, `keep` leaves both, up to eight keys an agent.
        For administrators and the agents above it; no agent makes a key for itself. Raises NotFound,
        AgentInactive (it was killed), QuotaExceeded, PermissionDenied, ValueError for another word.
        """
        return self._portal.run(
            self._inner.issue_key(
                agent, old_keys=old_keys, reason=reason, request_id=request_id, timeout=timeout
            )
        )

    def get(self, agent: str = "me", *, timeout: float | None = None) -> AgentInfo:
        """Return one agent. Raises NotFound, PermissionDenied."""
        return self._portal.run(self._inner.get(agent, timeout=timeout))

    def list(
        self, *, parent: str = "", limit: int | None = None, timeout: float | None = None
    ) -> list[AgentInfo]:
        """Return the agents the caller may see, in the order of their ids; with `parent` only that tree.

        `timeout` bounds each page.
        """
        return self._portal.run(self._inner.list(parent=parent, limit=limit, timeout=timeout))

    def update(
        self,
        agent: str = "me",
        *,
        display_name: str | None = None,
        kind: str | None = None,
        hints: Hints | None = None,
        caps: Caps | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        timeout: float | None = None,
    ) -> AgentInfo:
        """Change the fields that are given and return the agent.

        With `etag` only if it is unchanged since. Raises EtagMismatch, NotFound, PermissionDenied (also when
        an agent asks for more than it may have).
        """
        return self._portal.run(
            self._inner.update(
                agent,
                display_name=display_name,
                kind=kind,
                hints=hints,
                caps=caps,
                labels=labels,
                etag=etag,
                timeout=timeout,
            )
        )

    def suspend(self, agent: str, *, reason: str = "", timeout: float | None = None) -> AgentInfo:
        """Refuse the agent's and its children's new calls until they are resumed.

        Raises NotFound, PermissionDenied.
        """
        return self._portal.run(self._inner.suspend(agent, reason=reason, timeout=timeout))

    def resume(self, agent: str, *, timeout: float | None = None) -> AgentInfo:
        """End a suspension. Raises NotFound, AgentInactive when it was killed, PermissionDenied."""
        return self._portal.run(self._inner.resume(agent, timeout=timeout))

    def kill(self, agent: str, *, reason: str = "", timeout: float | None = None) -> int:
        """End an agent and its children for good and return how many ended.

        Their data stays until they are purged.

        Raises NotFound, PermissionDenied.
        """
        return self._portal.run(self._inner.kill(agent, reason=reason, timeout=timeout))

    def purge(
        self, agent: str, *, reason: str = "", request_id: str = "", timeout: float | None = None
    ) -> AgentInfo:
        """Begin to delete everything of a killed agent and of those below it, in every manager.

        It goes on in the background until the agent is gone: `get` then raises NotFound, and its id is not
        given again. What others copied stays theirs. Raises NotFound, PreconditionFailed (it lives),
        PermissionDenied.
        """
        return self._portal.run(
            self._inner.purge(agent, reason=reason, request_id=request_id, timeout=timeout)
        )

    def delete(
        self, agent: str, *, reason: str = "", request_id: str = "", timeout: float | None = None
    ) -> AgentInfo:
        """End an agent and those below it, and begin to delete everything of them: `kill` and `purge` as one.

        For administrators. Raises NotFound, PermissionDenied.
        """
        return self._portal.run(
            self._inner.delete(agent, reason=reason, request_id=request_id, timeout=timeout)
        )

    def clear_untrusted(
        self, agent: str, *, descendants: bool = False, reason: str = "", timeout: float | None = None
    ) -> int:
        """Forget that an agent has read what nobody vouches for; return how many agents had that mark.

        `descendants`: all agents below it too. For administrators and those they grant it to; never for an
        agent of the same tree. Raises NotFound, PermissionDenied.
        """
        return self._portal.run(
            self._inner.clear_untrusted(agent, descendants=descendants, reason=reason, timeout=timeout)
        )

    def watch(self, *, parent: str = "", timeout: float | None = None) -> Iterator[AgentEvent]:
        """Yield the agents as they are, then every change.

        After a broken connection the state is described again (`initial`). `timeout` bounds the whole watch.
        Unit: seconds; default: no bound. Raises PermissionDenied.
        """
        return self._portal.iterate(self._inner.watch(parent=parent, timeout=timeout))

    def trace(
        self, agent: str = "me", *, descendants: bool = False, timeout: float | None = None
    ) -> Iterator[SyscallEvent]:
        """Yield the agent's syscalls as they begin and end, with `descendants` those of all below it, too.

        A reader that falls behind loses the oldest and is told how many. `timeout` bounds the whole watch.
        Unit: seconds; default: no bound. Raises PermissionDenied.
        """
        return self._portal.iterate(self._inner.trace(agent, descendants=descendants, timeout=timeout))
