"""A console in front of a real access manager, and a browser at it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from gateway.http.console.settings import ConsoleSettings
from gateway.http.server import Door
from services.access.adapters.local_authorizer import LocalAuthorizer
from services.access.main import authenticator, servicers
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.processes import PROCESSES
from services.chassis.rpc.local import LocalChannel
from tests.fakes.access_manager import TENANT, Desk, desk
from tests.fakes.console import Browser, JournalFake, browser, console_door
from tests.fakes.rpc import running
from tests.fakes.stores.access import MemoryStore

SETTINGS = ConsoleSettings(guesses_per_address=3, streams_per_session=2)


@dataclass
class World:
    desk: Desk
    door: Door
    browser: Browser
    journal: JournalFake
    registry: CollectorRegistry

    @property
    def admin_token(self) -> str:
        """The administrator's token that a kernel leaves in a file."""
        holder = Principal(agent="admin", tenant=TENANT, kind=Kind.ADMIN)
        keys, now = self.desk.keys, self.desk.clock.now()
        return keys.issue(holder, now=now, after=None, lifetime=timedelta(days=30)).text

    async def key(self, agent: str) -> str:
        """Register an agent and return its key."""
        return (await self.desk.register(agent)).key

    def counted(self, outcome: str) -> float:
        """Return how many attempts ended so."""
        return self.registry.get_sample_value("aios_console_sign_ins_total", {"outcome": outcome}) or 0.0


@asynccontextmanager
async def console_world(folder: Path) -> AsyncIterator[World]:
    """Run it; keys lie in `folder`."""
    made = await asyncio.to_thread(desk, MemoryStore(), folder)
    manager, journal, registry = made.manager, JournalFake(), CollectorRegistry()
    trusted = authenticator(manager, made.keys, PROCESSES)
    rules = LocalAuthorizer(manager.checks, manager.marks)
    async with (
        running(*servicers(manager), authenticator=trusted, authorizer=rules) as server,
        console_door(
            SETTINGS,
            channel=LocalChannel(server._pipeline),
            authenticator=trusted,
            clock=made.clock,
            journal=journal,
            registry=registry,
        ) as door,
        browser(door) as page,
    ):
        yield World(made, door, page, journal, registry)
