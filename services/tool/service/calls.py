"""Call tools, stop calls, and look at them."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from services.chassis.auth.identity import Principal, Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.joinable import RunRegistry
from services.chassis.quotas import Usage
from services.chassis.rpc.errors import QuotaExceeded
from services.tool.core import ledger, schemas
from services.tool.errors import ArgumentsInvalid, CallNotFound, ToolChanged, TooManyCalls
from services.tool.model import (
    CallEvent,
    CallQuery,
    CallRequest,
    CallState,
    DriverKind,
    Nothing,
    Tool,
    ToolCall,
)
from services.tool.ports import Access, CallPlace, Transaction
from services.tool.service.call_run import CallRun, Stop, run_key
from services.tool.service.dependencies import RUNNING, Dependencies
from services.tool.service.executor import CallExecutor
from services.tool.service.leases import LeaseManager
from services.tool.service.registry import Registry

_LARGE: Final = 16_384
"""Arguments of more characters are parsed and checked in a thread."""
_BATCH: Final = 500
_CHANGES: Final = 1_024
"""Tools of which it is remembered that they broke with what they were."""


class Calls:
    """The calls of all agents; those under way in this process are its runs."""

    def __init__(
        self,
        deps: Dependencies,
        registry: Registry,
        execution: CallExecutor,
        leases: LeaseManager,
        access: Access,
        *,
        kept: timedelta,
        kept_arguments: int = 4_096,
    ) -> None:
        self._kept_arguments = kept_arguments
        self._deps = deps
        self._registry = registry
        self._execution = execution
        self._leases = leases
        self._access = access
        self._kept = kept
        self._runs: RunRegistry[CallRun] = RunRegistry()
        self._changed: dict[tuple[str, str], int] = {}
        """Versions with which tools broke with the ones before; calls of those do not begin any more."""

    async def call(self, scope: Scope, request: CallRequest) -> AsyncGenerator[CallEvent, None]:
        """Run a tool, or join the call that an earlier request with the same id made.

        While that call is being stopped the request waits, and then runs the tool again or is told how the
        call ended, as the ledger has it. Ends with the Call, whether it succeeded or not; the listener that
        leaves before stops the work, unless others listen or the call is detached. Raises ToolNotFound,
        ArgumentsInvalid, TooManyCalls, IdempotencyMismatch, ServiceUnavailable, PermissionDenied.
        """
        tool = await self._registry.get(scope, request.tool)
        if request.effect_matters or request.untrusted:
            # What let the call in did not know the tool.
            needed = await self._access.needs_approval(tool, untrusted=request.untrusted)
            request = replace(request, needs_approval=request.needs_approval or needed)
        arguments_json = await _checked(tool, request.arguments)
        call = self._asked_for(tool, request, arguments_json)
        await self._runs.settled(run_key(scope, call.id))
        run, joined = self._run(scope, tool, call, request, arguments_json)
        events = run.follow(joined=joined)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    async def cancel(self, scope: Scope, actor: RequestIdentity, call_id: str) -> ToolCall:
        """Stop a call that has not ended and return how it ended. Raises CallNotFound."""
        await self._deps.once(scope, actor, Nothing, lambda _tx: Nothing())
        run = self._runs.get(run_key(scope, call_id))
        if run is not None:
            run.stop(Stop.CANCELLED)
            return await run.ended()

        def work(tx: Transaction) -> ToolCall:
            call = _found(tx, call_id)
            if not call.state.ended:
                call = ledger.interrupted(call, self._deps.clock.now())
                ledger.keep(tx, call)
            return call

        return await self._deps.write(scope, work)

    async def get(self, scope: Scope, call_id: str) -> ToolCall:
        """Return a call. Raises CallNotFound."""
        run = self._runs.get(run_key(scope, call_id))
        if run is not None:
            return self._running(run)
        return self._shown(scope, await self._deps.store.read(scope, lambda tx: _found(tx, call_id)))

    async def page(
        self, scope: Scope, query: CallQuery, *, before: tuple[datetime, str] | None, limit: int
    ) -> list[ToolCall]:
        """List calls in the ledger, newest first."""
        found = await self._deps.store.read(scope, lambda tx: tx.calls(query, before=before, limit=limit))
        return [self._shown(scope, call) for call in found]

    async def page_of_tenant(
        self, tenant: str, query: CallQuery, *, before: CallPlace | None, limit: int
    ) -> list[tuple[Scope, ToolCall]]:
        """List the calls of all agents of a tenant in the ledger, newest first."""
        found = await self._deps.store.calls_of(tenant, query, before=before, limit=limit)
        return [(scope, self._shown(scope, call)) for scope, call in found]

    async def usage(self, scope: Scope) -> list[Usage]:
        """Return how much an agent, its tree and its tenant use of each quota."""
        return await self._deps.usage(scope)

    def under_way(self, scope: Scope) -> int:
        """Count an agent's calls that have not ended in this process."""
        return self._runs.count(scope.tenant, scope.agent)

    def listeners(self, scope: Scope, call_id: str) -> int:
        """Count who hears of a call under way."""
        run = self._runs.get(run_key(scope, call_id))
        return 0 if run is None else run.listeners

    def of_tool(self, tenant: str, tool_id: str) -> int:
        """Count the calls of a tool that wait or run."""
        return sum(
            run.scope.tenant == tenant and run.tool.id == tool_id and run.tool.made is None
            for run in self._runs.every()
        )

    def changed(self, tenant: str, tool: Tool) -> None:
        """Stop the calls that wait for what a tool was before it broke with that; those that run go on."""
        self._changed.pop((tenant, tool.id), None)
        self._changed[tenant, tool.id] = tool.version
        while len(self._changed) > _CHANGES:
            del self._changed[next(iter(self._changed))]
        for run in self._runs.every():
            mine = run.scope.tenant == tenant and run.tool.id == tool.id and run.tool.made is None
            if mine and run.tool.version < tool.version and not run.call.state.begun:
                run.stop(Stop.CHANGED)

    def unregistered(self, tenant: str, tool_id: str) -> None:
        """Stop the calls that wait for a tool which is no more; those that run go on."""
        self._changed.pop((tenant, tool_id), None)
        for run in self._runs.every():
            if run.scope.tenant == tenant and run.tool.id == tool_id and not run.call.state.begun:
                run.stop(Stop.UNREGISTERED)

    def revoked(self, tenant: str, tool_id: str) -> None:
        """Stop all calls of a tool that was taken away from everybody; its owner's own version goes on."""
        for run in self._runs.every():
            shared = run.tool.made is not None and not run.tool.is_own
            if run.scope.tenant == tenant and run.tool.id == tool_id and shared:
                run.stop(Stop.REVOKED)

    def provider_gone(self, provider: Scope) -> None:
        """Stop the calls that wait for tools which only this provider could run, and nobody runs now."""
        for run in self._runs.every():
            owner = Scope(run.scope.tenant, run.tool.owner)
            if owner == provider and run.call.state is CallState.QUEUED and not self._provided(run):
                run.stop(Stop.PROVIDER_GONE)

    def end_agent(self, tenant: str, agent: str) -> None:
        """Stop all calls of an agent that was killed, detached ones too."""
        for run in self._runs.of_agent(tenant, agent):
            run.stop(Stop.CANCELLED)

    def end_revoked(self, is_revoked: Callable[[Principal], bool]) -> None:
        """Stop the detached calls that no other token asked for than revoked ones.

        The others end with the streams of their listeners.
        """
        for run in self._runs.every():
            asked = run.credentials.values()
            if run.detached and asked and all(one is not None and is_revoked(one) for one in asked):
                run.stop(Stop.CANCELLED)

    async def recover(self) -> int:
        """Settle what a process that is gone left unfinished; returns how many calls that were."""
        count = 0
        while found := await self._deps.store.unfinished(limit=_BATCH):
            await asyncio.gather(*(self._settle(scope, call) for scope, call in found))
            count += len(found)
        return count

    async def collect(self) -> None:
        """Forget calls that ended long ago."""
        before = self._deps.clock.now() - self._kept
        count = _BATCH
        while count == _BATCH:
            count = await self._deps.store.collect(ended_before=before, limit=_BATCH)

    async def stop(self) -> None:
        """Stop everything that runs and keep how it ended. The process is shutting down."""
        for run in self._runs.every():
            run.stop(Stop.SHUTDOWN)
        await self._runs.drained()

    async def _settle(self, scope: Scope, call: ToolCall) -> None:
        settled = ledger.interrupted(call, self._deps.clock.now())
        await self._deps.keep(scope, settled)

    def _asked_for(self, tool: Tool, request: CallRequest, arguments_json: str) -> ToolCall:
        return ToolCall(
            id=request.call_id or secrets.token_hex(16),
            tool=tool.id,
            arguments_sha256=ledger.digest(arguments_json),
            effect=tool.effect,
            created_at=self._deps.clock.now(),
            syscall_id=request.syscall_id,
        )

    def _run(
        self, scope: Scope, tool: Tool, call: ToolCall, request: CallRequest, arguments_json: str
    ) -> tuple[CallRun, bool]:
        """Join the run of this call, which goes on, or begin one; no other has to settle."""
        known = self._runs.get(run_key(scope, call.id))
        if known is not None:
            ledger.same_request(known.call, call)
            known.detached = known.detached or request.detach
            known.asked_by(request.credential)
            self._deps.meter.joined()
            return known, True
        if tool.made is None and tool.version < self._changed.get((scope.tenant, tool.id), 0):
            raise ToolChanged(f"tools/{tool.id} changed while the call was accepted; call again")
        owner = scope.charged
        try:
            self._deps.live.charge(owner, {RUNNING: 1})
        except QuotaExceeded as full:  # for the moment
            raise TooManyCalls(
                full.message, metadata=full.metadata, quota=full.quota, retry_after=1.0
            ) from None
        run = CallRun(scope, tool, call, arguments_json, marked=request.marked or request.untrusted)
        run.detached = request.detach
        run.asked_by(request.credential)
        self._runs.begin(
            run,
            self._execution.execute(run, request),
            f"call {call.id}",
            then=partial(self._deps.live.charge, owner, {RUNNING: -1}),
        )
        return run, False

    def _provided(self, run: CallRun) -> bool:
        provided = run.tool.driver.kind is DriverKind.PROVIDER
        return not provided or self._leases.connected(run.scope.tenant, run.tool)

    def _shown(self, scope: Scope, call: ToolCall) -> ToolCall:
        """Return a call of the ledger as it stands: what nobody runs was interrupted."""
        run = self._runs.get(run_key(scope, call.id))
        if run is not None:
            return self._running(run)
        return call if call.state.ended else ledger.interrupted(call, self._deps.clock.now())

    def _running(self, run: CallRun) -> ToolCall:
        ended = run.call.state.ended
        return run.call if ended else run.with_arguments(run.call, self._kept_arguments)


async def _checked(tool: Tool, arguments: Any) -> str:
    try:
        text = ledger.canonical(arguments)
    except ValueError as error:
        raise ArgumentsInvalid("the arguments hold a number that JSON does not have") from error
    try:
        if len(text) > _LARGE:
            await asyncio.to_thread(schemas.check_arguments, tool.parameters_schema, arguments)
        else:
            schemas.check_arguments(tool.parameters_schema, arguments)
    except ArgumentsInvalid as error:
        error.untrusted = tool.untrusted  # it quotes the schema
        raise
    return text


def _found(tx: Transaction, call_id: str) -> ToolCall:
    call = tx.call(call_id)
    if call is None:
        raise CallNotFound(f"there is no call {call_id}", metadata={"call": call_id})
    return call
