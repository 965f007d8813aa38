"""Call tools, stop calls, and look at them."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any, Final

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.tool.core import ledger, schemas
from services.tool.errors import CallNotFound, TooManyCalls
from services.tool.model import CallEvent, CallQuery, CallRequest, Nothing, Tool, ToolCall
from services.tool.ports import Transaction
from services.tool.service.call_run import CallRun, Stop
from services.tool.service.dependencies import Dependencies
from services.tool.service.executor import CallExecutor
from services.tool.service.registry import Registry

_LARGE: Final = 16_384
"""Arguments of more characters are parsed and checked in a thread."""
_BATCH: Final = 500


class Calls:
    """The calls of all agents; those under way in this process are its runs."""

    def __init__(
        self, deps: Dependencies, registry: Registry, execution: CallExecutor, *, most: int, kept: timedelta
    ) -> None:
        self._deps = deps
        self._registry = registry
        self._execution = execution
        self._most = most
        self._kept = kept
        self._runs: dict[tuple[Scope, str], CallRun] = {}
        self._under_way: Counter[Scope] = Counter()

    async def call(self, scope: Scope, wish: CallRequest) -> AsyncGenerator[CallEvent, None]:
        """Run a tool, or join the call that an earlier request with the same id made.

        Ends with the Call, whether it succeeded or not; the listener that leaves before stops the work,
        unless others listen or the call is detached. Raises ToolNotFound, ArgumentsInvalid, TooManyCalls,
        IdempotencyMismatch.
        """
        tool = await self._registry.get(scope, wish.tool)
        arguments_json = await _checked(tool, wish.arguments)
        run, joined = self._run(scope, tool, wish, arguments_json)
        events = run.follow(joined=joined)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    async def cancel(self, scope: Scope, actor: RequestIdentity, call_id: str) -> ToolCall:
        """Stop a call that has not ended and return how it ended. Raises CallNotFound."""
        await self._deps.once(scope, actor, Nothing, lambda _tx: Nothing())
        run = self._runs.get((scope, call_id))
        if run is not None:
            run.stop(Stop.CANCELLED)
            return await run.ended()

        def work(tx: Transaction) -> ToolCall:
            call = _found(tx, call_id)
            if not call.state.ended:
                call = ledger.interrupted(call, self._deps.clock.now())
                tx.put_call(call)
            return call

        return await self._deps.store.write(scope, work)

    async def get(self, scope: Scope, call_id: str) -> ToolCall:
        """Return a call. Raises CallNotFound."""
        run = self._runs.get((scope, call_id))
        if run is not None:
            return run.call
        return self._shown(scope, await self._deps.store.read(scope, lambda tx: _found(tx, call_id)))

    async def page(
        self, scope: Scope, query: CallQuery, *, before: tuple[datetime, str] | None, limit: int
    ) -> list[ToolCall]:
        """List calls in the ledger, newest first."""
        found = await self._deps.store.read(scope, lambda tx: tx.calls(query, before=before, limit=limit))
        return [self._shown(scope, call) for call in found]

    def under_way(self, scope: Scope) -> int:
        """Count an agent's calls that have not ended in this process."""
        return self._under_way[scope]

    def listeners(self, scope: Scope, call_id: str) -> int:
        """Count who hears of a call under way."""
        run = self._runs.get((scope, call_id))
        return 0 if run is None else run.listeners

    def unregistered(self, tenant: str, tool_id: str) -> None:
        """Stop the calls that wait for a tool which is no more; those that run go on."""
        for (scope, _), run in list(self._runs.items()):
            if scope.tenant == tenant and run.tool.id == tool_id and not run.call.state.begun:
                run.stop(Stop.UNREGISTERED)

    def end_agent(self, tenant: str, agent: str) -> None:
        """Stop all calls of an agent that was killed, detached ones too."""
        if not self.under_way(Scope(tenant, agent)):
            return
        for (scope, _), run in list(self._runs.items()):
            if scope == Scope(tenant, agent):
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
        runs = list(self._runs.values())
        for run in runs:
            run.stop(Stop.SHUTDOWN)
        await asyncio.gather(*(run.task for run in runs if run.task is not None))

    async def _settle(self, scope: Scope, call: ToolCall) -> None:
        settled = ledger.interrupted(call, self._deps.clock.now())
        await self._deps.store.write(scope, lambda tx: tx.put_call(settled))

    def _run(self, scope: Scope, tool: Tool, wish: CallRequest, arguments_json: str) -> tuple[CallRun, bool]:
        now = self._deps.clock.now()
        call = ToolCall(
            id=wish.call_id or secrets.token_hex(16),
            tool=tool.id,
            arguments_sha256=ledger.digest(arguments_json),
            effect=tool.effect,
            created_at=now,
            syscall_id=wish.syscall_id,
        )
        known = self._runs.get((scope, call.id))
        if known is not None and not known.done:
            ledger.same_request(known.call, call)
            known.detached = known.detached or wish.detach
            self._deps.meter.joined()
            return known, True
        if self._under_way[scope] >= self._most:
            text = f"agents/{scope.agent} has {self._most} calls under way"
            raise TooManyCalls(text, retry_after=1.0)
        return self._start(CallRun(scope, tool, call, arguments_json), wish), False

    def _start(self, run: CallRun, wish: CallRequest) -> CallRun:
        key = run.scope, run.call.id
        run.detached = wish.detach
        self._runs[key] = run
        self._under_way[run.scope] += 1

        def ended(_task: object) -> None:
            if self._runs.get(key) is run:
                del self._runs[key]
            self._under_way[run.scope] -= 1
            if not self._under_way[run.scope]:
                del self._under_way[run.scope]

        run.task = asyncio.create_task(self._execution.execute(run, wish), name=f"call {run.call.id}")
        run.task.add_done_callback(ended)
        return run

    def _shown(self, scope: Scope, call: ToolCall) -> ToolCall:
        """Return a call of the ledger as it stands: what nobody runs was interrupted."""
        run = self._runs.get((scope, call.id))
        if run is not None:
            return run.call
        return call if call.state.ended else ledger.interrupted(call, self._deps.clock.now())


async def _checked(tool: Tool, arguments: Any) -> str:
    text = ledger.canonical(arguments)
    if len(text) > _LARGE:
        await asyncio.to_thread(schemas.check_arguments, tool.parameters_schema, arguments)
    else:
        schemas.check_arguments(tool.parameters_schema, arguments)
    return text


def _found(tx: Transaction, call_id: str) -> ToolCall:
    call = tx.call(call_id)
    if call is None:
        raise CallNotFound(f"there is no call {call_id}", metadata={"call": call_id})
    return call
