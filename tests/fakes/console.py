"""The gateway's listener with nothing but the console on it, and a browser of few words."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
from prometheus_client import CollectorRegistry

from gateway.http.config import DoorConfig
from gateway.http.console import routes
from gateway.http.console.model import Session
from gateway.http.console.settings import ConsoleSettings
from gateway.http.core.aliases import Served
from gateway.http.server import Door
from services.chassis.auth.tokens import Authenticator
from services.chassis.rpc.local import LocalChannel
from services.chassis.runtime.clock import Clock, SystemClock
from tests.fakes.tokens import ISSUER_FOR_TESTS

SECRET = "a secret of all gateways"
WHO = "api/aios.api.access.v1.AccessService/WhoAmI"
"""Where a page asks the kernel whom its session stands for."""


class NoKernel:
    """A channel whose calls are never made."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_options: None


@dataclass
class JournalFake:
    """Keeps who came and went; the real one appends to the audit log."""

    noted: list[tuple[str, str]] = field(default_factory=list)

    async def note(self, session: Session, done: str, peer: str) -> None:  # noqa: ARG002 - the port's
        """Keep it."""
        self.noted.append((session.agent, done))


@asynccontextmanager
async def console_door(
    settings: ConsoleSettings | None = None,
    *,
    channel: Any = None,
    authenticator: Authenticator | None = None,
    registry: CollectorRegistry | None = None,
    config: DoorConfig | None = None,
    clock: Clock | None = None,
    journal: JournalFake | None = None,
) -> AsyncIterator[Door]:
    """Run a listener with a console in front of what is behind `channel`; without one, of nothing."""
    made = clock or SystemClock()
    door = Door(
        config or DoorConfig(),
        lambda fittings: [
            routes.dialect(
                fittings,
                settings or ConsoleSettings(),
                journal=journal or JournalFake(),
                secret=SECRET,
                clock=made,
            )
        ],
        authenticator=authenticator or ISSUER_FOR_TESTS.verifier(),
        clock=made,
        registry=registry or CollectorRegistry(),
        served=lambda: Served(frozenset(), ""),
        room=lambda _tenant, _agent: (256, 255),
        host="127.0.0.1",
        port=0,
    )
    await door.start(cast("LocalChannel", NoKernel() if channel is None else channel))
    try:
        yield door
    finally:
        await door.drain()
        await door.stop(1.0)


@dataclass
class Browser:
    """Sends what a page of the console would, and keeps its cookie."""

    http: aiohttp.ClientSession
    cookie: str = ""
    set_cookie: str = ""
    """The last header by which the console set it."""

    def headers(self, **more: str) -> dict[str, str]:
        """Return the headers of a page's request."""
        named = {"x-aios-console": "1", "sec-fetch-site": "same-origin"}
        named |= {name.replace("_", "-"): value for name, value in more.items()}
        return {**named, "cookie": self.cookie} if self.cookie else named

    async def ask(self, method: str, path: str, body: Any = None, **more: str) -> tuple[int, Any]:
        """Send a request; return status and JSON."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        async with self.http.request(
            method, f"/console/{path}", data=data, headers=self.headers(**more)
        ) as answer:
            self._keep(answer)
            text = await answer.read()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def sign_in(self, credential: str) -> tuple[int, Any]:
        """Sign in with a key or token."""
        return await self.ask("POST", "session", {"credential": credential})

    @asynccontextmanager
    async def stream(self, *topics: dict[str, Any]) -> AsyncIterator["Events"]:
        """Open a stream."""
        body = json.dumps({"topics": topics})
        async with self.http.post("/console/stream", data=body, headers=self.headers()) as answer:
            self._keep(answer)
            yield Events(answer)

    def _keep(self, answer: aiohttp.ClientResponse) -> None:
        for header in answer.headers.getall("set-cookie", []):
            self.set_cookie = header
            self.cookie = header.partition(";")[0]


class Events:
    """The events of a stream, one after the other."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self._rest = b""

    async def next(self) -> tuple[str, Any]:
        """Return kind and data of the next event; ("closed", None) at the end."""
        while True:
            while b"\n\n" in self._rest:
                block, _, self._rest = self._rest.partition(b"\n\n")
                lines = dict(
                    line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":")
                )
                if lines:
                    return lines["event"], json.loads(lines["data"])
            piece = await self.answer.content.readany()
            if not piece:
                return "closed", None
            self._rest += piece


@asynccontextmanager
async def browser(door: Door) -> AsyncIterator[Browser]:
    """Open a browser at a door."""
    jar = aiohttp.DummyCookieJar()
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{door.port}", cookie_jar=jar, timeout=timeout
    ) as http:
        yield Browser(http)
