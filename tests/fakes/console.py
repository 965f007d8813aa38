"""The gateway's listener with nothing but the console on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from prometheus_client import CollectorRegistry

from gateway.http.config import DoorConfig
from gateway.http.console import routes
from gateway.http.console.settings import ConsoleSettings
from gateway.http.core.aliases import Served
from gateway.http.server import Door
from services.chassis.auth.tokens import Authenticator
from services.chassis.rpc.local import LocalChannel
from services.chassis.runtime.clock import SystemClock
from tests.fakes.tokens import ISSUER_FOR_TESTS


class NoKernel:
    """A channel whose calls are never made."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_options: None


@asynccontextmanager
async def console_door(
    settings: ConsoleSettings | None = None,
    *,
    channel: Any = None,
    authenticator: Authenticator | None = None,
    registry: CollectorRegistry | None = None,
    config: DoorConfig | None = None,
) -> AsyncIterator[Door]:
    """Run a listener with a console in front of what is behind `channel`; without one, of nothing."""
    door = Door(
        config or DoorConfig(),
        lambda fittings: [routes.dialect(fittings, settings or ConsoleSettings())],
        authenticator=authenticator or ISSUER_FOR_TESTS.verifier(),
        clock=SystemClock(),
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
