"""Processes that run tools: they take calls, tell how far they are, and end them."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import PermissionDenied
from services.tool.errors import ToolNotFound
from services.tool.model import (
    CallState,
    DriverKind,
    HeldCall,
    LeaseTerms,
    Progress,
    ProviderEvent,
    Tool,
    ToolOutcome,
)
from services.tool.service.dependencies import STREAMS, Dependencies
from services.tool.service.leases import LeaseManager, ProviderStream
from services.tool.service.registry import Registry


class Providers:
    """What provider processes ask for."""

    def __init__(self, deps: Dependencies, registry: Registry, leases: LeaseManager) -> None:
        self._deps = deps
        self._registry = registry
        self._leases = leases

    async def take(
        self,
        scope: Scope,
        tools: Sequence[str],
        *,
        capacity: int,
        instance: str,
        process: str = "",
        held: Sequence[HeldCall] = (),
    ) -> AsyncGenerator[ProviderEvent, None]:
        """Give the calls of some tools to a process, for as long as it listens.

        `held` are the calls that the process has in hand from earlier streams. Raises ToolNotFound, also for
        a tool that is not run by a provider, PermissionDenied for one that belongs to another agent, and
        AgentInactive when the provider is suspended or killed, QuotaExceeded when too many streams are open.
        """
        for tool_id in tools:
            _provided_by(await self._registry.get(scope, tool_id), scope)
        stream = ProviderStream(scope, frozenset(tools), capacity, instance or scope.agent, process)
        self._deps.live.charge(scope.charged, {STREAMS: 1})
        events = self._leases.serve(stream, held)
        try:
            async for event in events:
                yield event
        finally:
            self._deps.live.charge(scope.charged, {STREAMS: -1})
            await events.aclose()

    def report(self, provider: Scope, held: HeldCall, progress: Progress | None) -> LeaseTerms:
        """Note a sign of life and how far a call is; returns when its lease ends now. Raises LeaseLost."""
        run, terms = self._leases.renew(provider, held.owner, held.call_id, held.lease_id)
        if progress is not None:
            untrusted = run.tool.exposes(provider_untrusted=progress.untrusted)
            run.publish(replace(progress, untrusted=untrusted))
        return terms

    async def complete(self, provider: Scope, held: HeldCall, outcome: ToolOutcome) -> CallState:
        """End a call; returns once its end is kept. Raises LeaseLost, IdempotencyMismatch."""
        report = self._leases.complete(provider, held.owner, held.call_id, held.lease_id, outcome)
        return await report.ended()


def _provided_by(tool: Tool, scope: Scope) -> None:
    if tool.driver.kind is not DriverKind.PROVIDER:
        raise ToolNotFound(f"tools/{tool.id} is not run by a provider")
    if tool.owner != scope.agent:
        raise PermissionDenied(f"tools/{tool.id} belongs to agents/{tool.owner}")
