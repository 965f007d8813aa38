"""The connections to servers: made when they are needed, compared before they are used, closed when idle.

A link is one server of one tenant. It holds one session at most that takes calls. A session that has to go (a
call that the server would not stop, a server that was changed) takes no more calls and ends with its last.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.clock import Clock
from services.tool.core.mcp_servers import McpServer, Offer
from services.tool.core.pins import pin, taken
from services.tool.drivers.mcp.terms import Dialled, Dials
from services.tool.errors import McpServerFailed

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Between attempts to reach a server that fails again and again. Unit: seconds."""
FORGIVEN: Final = 1
"""Failures in a row after which the next attempt is made at once."""
COMPARE_PAUSE: Final = 10.0
"""Between two comparisons, however often a server says that its tools have changed."""
COMPARE_AGE: Final = 300.0
"""Age at which a comparison is made again before the next call."""


class Book(Protocol):
    """What is kept of servers."""

    async def server(self, tenant: str, server_id: str) -> McpServer:
        """Return a server. Raises ServerNotFound."""
        ...

    async def compared(self, tenant: str, server_id: str, offer: Offer) -> McpServer:
        """Hold an offer against what was accepted. Raises ServerNotFound."""
        ...


@dataclass(slots=True)
class Opened:
    """A session that was compared."""

    dialled: Dialled
    server: McpServer
    pins: dict[str, str]
    """Of the definitions that it offers, by tool."""
    compared_at: float
    used_at: float
    calls: int = 0
    retired: bool = False
    closing: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def usable(self) -> bool:
        """Whether it takes calls."""
        return self.dialled.session.lives and not self.retired

    def accepts(self, tool: str, pinned: str) -> bool:
        """Tell whether a tool is offered as it was accepted, by the server that was."""
        return self.server.pin == self.dialled.pin and self.pins.get(tool) == pinned


async def look(dialled: Dialled, server: McpServer) -> Offer:
    """Ask a server what it offers. Raises McpServerFailed."""
    session = dialled.session
    listing = await session.offered()
    chosen, passed = await asyncio.to_thread(taken, server, listing.shown, truncated=listing.truncated)
    return Offer(chosen, passed, dialled.pin, session.protocol_version)


class Link:
    """One server. All methods belong to one event loop."""

    def __init__(self, tenant: str, server_id: str, links: "Links") -> None:
        self.tenant = tenant
        self._id = server_id
        self._links = links
        self._turn = asyncio.Lock()
        self._failures = 0
        self._pause_until = 0.0
        self.problem = ""
        """Why it could not be reached last; empty: it could, or was not tried."""
        self.connecting = False
        self.opened: Opened | None = None

    async def ready(self) -> Opened:
        """Return a session that was compared. Raises McpServerFailed, ServerNotFound and as `Dials.dial`."""
        async with self._turn:
            if self.opened is None or not self.opened.usable:
                await self._connect()
            elif self._due(self.opened):
                await self._compare(self.opened)
            assert self.opened is not None  # noqa: S101 - one of the two has made it so
            return self.opened

    def adopt(self, dialled: Dialled, server: McpServer, offer: Offer) -> None:
        """Use a session that was opened and accepted elsewhere."""
        now = self._links.clock.monotonic()
        found = {each.tool: pin(each.text) for each in offer.definitions}
        self.opened = Opened(dialled, server, found, compared_at=now, used_at=now)
        self.problem = ""

    @contextmanager
    def using(self, opened: Opened) -> Iterator[None]:
        """Count a call."""
        opened.calls += 1
        try:
            yield
        finally:
            opened.calls -= 1
            opened.used_at = self._links.clock.monotonic()
            if opened.retired and not opened.calls:
                self._close(opened)

    def worked(self) -> None:
        """Note that the server answered a call."""
        self._failures = 0

    async def lost(self, opened: Opened, why: str) -> None:
        """Note that the server did not: the session has ended."""
        if self.opened is opened:
            self.opened = None
            self._failed(why)
        await self._closed(opened)

    async def abandon(self, opened: Opened, grace: float) -> None:
        """End what was cancelled: by the server's own hand within a grace, else with its session."""
        if await opened.dialled.session.obeyed(grace):
            return
        self.retire(opened)
        if not opened.calls:
            await self._closed(opened)

    def retire(self, opened: Opened | None = None) -> None:
        """Give a session no more calls; it ends with the last that it has."""
        opened = opened or self.opened
        if opened is None:
            return
        opened.retired = True
        if self.opened is opened:
            self.opened = None
        if not opened.calls:
            self._close(opened)

    async def close(self) -> None:
        """End the session now, calls or not."""
        opened, self.opened = self.opened, None
        if opened is not None:
            await self._closed(opened)

    async def _connect(self) -> None:
        left = self._pause_until - self._links.clock.monotonic()
        if left > 0:
            raise McpServerFailed(
                f"the server failed: {self.problem}; it is tried again soon", retry_after=left
            )
        self._links.make_room(self)
        self.connecting = True
        try:
            server = await self._links.book.server(self.tenant, self._id)
            dialled = await self._links.dials.dial(self.tenant, server)
            try:
                offer = await look(dialled, server)
                server = await self._links.book.compared(self.tenant, self._id, offer)
            except BaseException:
                await dialled.session.close()
                raise
        except KernelError as error:
            self._failed(error.message)
            raise
        finally:
            self.connecting = False
        self.adopt(dialled, server, offer)

    async def _compare(self, opened: Opened) -> None:
        """Compare again; the server is asked no more often than it may make the kernel work."""
        await asyncio.sleep(max(0.0, opened.compared_at + COMPARE_PAUSE - self._links.clock.monotonic()))
        try:
            offer = await look(opened.dialled, opened.server)
        except McpServerFailed as error:
            await self.lost(opened, error.message)
            raise
        opened.server = await self._links.book.compared(self.tenant, self._id, offer)
        opened.pins = {each.tool: pin(each.text) for each in offer.definitions}
        opened.compared_at = self._links.clock.monotonic()

    def _due(self, opened: Opened) -> bool:
        age = self._links.clock.monotonic() - opened.compared_at
        return opened.dialled.session.stale or age > COMPARE_AGE

    def _failed(self, why: str) -> None:
        self.problem = why
        self._failures += 1
        doublings = self._failures - FORGIVEN - 1
        if doublings >= 0:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(doublings, 16))
            self._pause_until = self._links.clock.monotonic() + pause

    def _close(self, opened: Opened) -> None:
        if opened.closing is None:
            opened.closing = asyncio.create_task(opened.dialled.session.close())
            self._links.keep(opened.closing)

    async def _closed(self, opened: Opened) -> None:
        self._close(opened)
        assert opened.closing is not None  # noqa: S101 - made by the line before
        await asyncio.shield(opened.closing)


class Links:
    """All connections to servers of this process."""

    def __init__(
        self, dials: Dials, book: Book, clock: Clock, *, most: int, most_of_tenant: int, idle_seconds: float
    ) -> None:
        self.dials = dials
        self.book = book
        self.clock = clock
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._idle = idle_seconds
        self._links: dict[tuple[str, str], Link] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, tenant: str, server_id: str) -> Link:
        """Return the link to a server."""
        return self._links.setdefault((tenant, server_id), Link(tenant, server_id, self))

    def known(self, tenant: str, server_id: str) -> Link | None:
        """Return the link to a server, if there was ever need of one."""
        return self._links.get((tenant, server_id))

    async def forget(self, tenant: str, server_id: str) -> None:
        """End what there is with a server that is no more, or is another one now."""
        link = self._links.pop((tenant, server_id), None)
        if link is not None:
            await link.close()

    def make_room(self, wanting: Link) -> None:
        """Close idle sessions when there are too many. Raises McpServerFailed when all are in use."""
        mine = [link for link in self._links.values() if link.tenant == wanting.tenant]
        for links, most in ((mine, self._most_of_tenant), (list(self._links.values()), self._most)):
            open_ = [
                link for link in links if link.opened is not None or (link.connecting and link is not wanting)
            ]
            if len(open_) < most:
                continue
            idle = [link for link in open_ if link.opened is not None and not link.opened.calls]
            if not idle:
                raise McpServerFailed("too many MCP servers are in use at once", retry_after=1.0)
            min(idle, key=lambda link: link.opened.used_at if link.opened else 0.0).retire()

    async def sweep(self) -> None:
        """Close what nobody has used for a while."""
        before = self.clock.monotonic() - self._idle
        for link in list(self._links.values()):
            opened = link.opened
            if opened is not None and not opened.calls and opened.used_at <= before:
                link.retire(opened)

    async def stop(self) -> None:
        """End everything."""
        for link in list(self._links.values()):
            link.retire()
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in links), return_exceptions=True)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold on to a task until it is done."""
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
