"""Who is at the door: requests under way, and the sessions of the older revisions, counted agent by agent.

A session belongs to the credential that opened it and ends with it. The SDK keeps what a session is made of;
this keeps whose it is, when it was used last and what it follows in the kernel.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.http.mcp.settings import McpSettings
from gateway.http.mcp.syscalls import Caller
from gateway.http.mcp.watches import FileWatch
from services.chassis.bodies import Root, own_root
from services.chassis.quotas import Cap, Owner
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import AgentInactive, KernelError
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger
from services.chassis.shares import Shares

_log = logger(__name__)

_RETRY_SECONDS: Final = 5.0
_CHECKS_AT_ONCE: Final = 16

Check = Callable[[Caller], Awaitable[None]]
"""Asks the kernel whether a caller may still call. Raises KernelError."""
Close = Callable[[str, Caller], Awaitable[None]]
"""Ends a session of the SDK."""


@dataclass(eq=False, slots=True)
class Session:
    """A session of revision 2025-11-25 or older."""

    id: str
    caller: Caller
    used: float
    """When its last request ended, on the monotonic clock."""
    owner: Owner
    """Whom it is charged to."""
    busy: int = 0
    """Requests and streams that are open now."""
    watch: FileWatch | None = None


@dataclass(eq=False, slots=True)
class Visit:
    """One request while it is answered."""

    caller: Caller
    lasting: bool
    """Whether it is a stream without an end of its own, which ends with the credential."""
    task: "asyncio.Task[object] | None" = field(default_factory=asyncio.current_task)


class Sessions:
    """All requests and sessions of this gateway's door."""

    def __init__(
        self, settings: McpSettings, clock: Clock, check: Check, close: Close, root: Root = own_root
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._check = check
        self._close = close
        self._sessions: dict[str, Session] = {}
        self._root = root
        self.session_shares = Shares(
            "mcp_sessions", Cap.of(settings.sessions_per_agent), retry_after=_RETRY_SECONDS
        )
        """Sessions, and those that are being opened."""
        self.request_shares = Shares(
            "mcp_requests", Cap.of(settings.requests_per_agent), retry_after=_RETRY_SECONDS
        )
        self._visits: set[Visit] = set()

    @property
    def open(self) -> int:
        """How many sessions there are."""
        return len(self._sessions)

    @property
    def requests(self) -> int:
        """How many requests and streams are under way."""
        return len(self._visits)

    def _owner(self, caller: Caller) -> Owner:
        tenant, agent = caller.agent.split("/", 1)
        return Owner(tenant, agent, self._root(*caller.holder))

    def find(self, session_id: str, caller: Caller) -> Session | None:
        """Return the session, if it is the caller's."""
        session = self._sessions.get(session_id)
        return session if session is not None and session.caller.credential == caller.credential else None

    @contextmanager
    def visit(self, caller: Caller, *, lasting: bool, session_id: str = "") -> Iterator[None]:
        """Count a request while it is answered. Raises TooManyCalls."""
        owner = self._owner(caller)
        self.request_shares.take(owner)
        visit = Visit(caller, lasting)
        session = self.find(session_id, caller)
        self._visits.add(visit)
        if session is not None:
            session.busy += 1
        try:
            yield
        finally:
            self._visits.discard(visit)
            self.request_shares.give_back(owner)
            if session is not None:
                session.busy -= 1
                session.used = self._clock.monotonic()

    @contextmanager
    def opening(self, caller: Caller) -> Iterator[Callable[[str], None]]:
        """Keep a place for a session, and yield what takes its id. Raises TooManyCalls."""
        owner = self._owner(caller)
        self.session_shares.take(owner)
        kept: set[str] = set()

        def opened(session_id: str) -> None:
            self._sessions[session_id] = Session(session_id, caller, self._clock.monotonic(), owner)
            kept.add(session_id)

        try:
            yield opened
        finally:
            if not kept:
                self.session_shares.give_back(owner)

    async def end(self, session_id: str) -> None:
        """Forget a session, and stop what it follows."""
        session = self._sessions.pop(session_id, None)
        if session is None:
            return
        self.session_shares.give_back(session.owner)
        if session.watch is not None:
            await session.watch.stop()
        await self._close(session_id, session.caller)

    async def end_all(self) -> None:
        """End every session."""
        for session_id in list(self._sessions):
            await self.end(session_id)

    async def sweep(self) -> None:
        """End sessions that were idle for too long, and what belongs to credentials that are no good now."""
        idle_since = self._clock.monotonic() - self._settings.session_idle_seconds.total_seconds()
        for session in list(self._sessions.values()):
            if not session.busy and session.used <= idle_since:
                await self.end(session.id)
        callers = {session.caller.credential: session.caller for session in self._sessions.values()}
        callers |= {visit.caller.credential: visit.caller for visit in self._visits if visit.lasting}
        places = asyncio.Semaphore(_CHECKS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for caller in callers.values():
                group.create_task(self._check_one(caller, places))

    async def _check_one(self, caller: Caller, places: asyncio.Semaphore) -> None:
        async with places:
            try:
                await self._check(caller)
            except KernelError as error:
                if error.code is Code.UNAUTHENTICATED or error.reason == AgentInactive.reason:
                    _log.info("a credential is no good any more", agent=caller.agent, why=error.reason)
                    await self._end_of(caller.credential)

    def cut_lasting(self, credential: str | None = None) -> None:
        """Cut the streams without an end of their own: all, or those of a credential."""
        for visit in [visit for visit in self._visits if visit.lasting]:
            if credential in (None, visit.caller.credential) and visit.task is not None:
                visit.task.cancel()  # its connection closes with it

    async def _end_of(self, credential: str) -> None:
        """End the sessions and streams of a credential."""
        self.cut_lasting(credential)
        for session in list(self._sessions.values()):
            if session.caller.credential == credential:
                await self.end(session.id)
