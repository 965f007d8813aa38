"""Processes that run tools: they take calls, tell how far they are, and end them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import PermissionDenied
from services.tool.errors import ToolNotFound
from services.tool.model import CallState, DriverKind, Progress, ProviderEvent, Tool, ToolOutcome
from services.tool.service.leases import LeaseManager, ProviderStream
from services.tool.service.registry import Registry


@dataclass(frozen=True, slots=True)
class Held:
    """A call that a provider says it holds."""

    owner: str
    """The agent that called."""
    call_id: str
    lease_id: str


class Providers:
    """What provider processes ask for."""

    def __init__(self, registry: Registry, desk: LeaseManager) -> None:
        self._registry = registry
        self._desk = desk

    async def take(
        self, scope: Scope, tools: Sequence[str], *, capacity: int, instance: str
    ) -> AsyncGenerator[ProviderEvent, None]:
        """Give the calls of some tools to a process, for as long as it listens.

        Raises ToolNotFound, also for a tool that is not run by a provider, and PermissionDenied for one that
        belongs to another agent.
        """
        for tool_id in tools:
            _provided_by(await self._registry.get(scope, tool_id), scope)
        station = ProviderStream(scope, frozenset(tools), capacity, instance or scope.agent)
        events = self._desk.serve(station)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    def report(self, provider: Scope, held: Held, progress: Progress | None) -> datetime:
        """Note a sign of life and how far a call is; returns when its lease ends now. Raises LeaseLost."""
        run, expires = self._desk.renew(provider, held.owner, held.call_id, held.lease_id)
        if progress is not None:
            run.publish(progress)
        return expires

    async def complete(self, provider: Scope, held: Held, outcome: ToolOutcome) -> CallState:
        """End a call; returns once its end is kept. Raises LeaseLost, IdempotencyMismatch."""
        run = self._desk.complete(provider, held.owner, held.call_id, held.lease_id, outcome)
        return (await run.ended()).state


def _provided_by(tool: Tool, scope: Scope) -> None:
    if tool.driver.kind is not DriverKind.PROVIDER:
        raise ToolNotFound(f"tools/{tool.id} is not run by a provider")
    if tool.owner != scope.agent:
        raise PermissionDenied(f"tools/{tool.id} belongs to agents/{tool.owner}")
