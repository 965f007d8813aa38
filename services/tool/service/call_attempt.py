"""The work of one call: approval, queue, tool, and what came out of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeVar

from services.chassis.dispatch.scheduling import Completion
from services.chassis.rpc.errors import ApprovalRequired, KernelError
from services.chassis.runtime.logs import logger
from services.tool.core import ledger, schemas
from services.tool.core.locks import allowances, lock_names
from services.tool.core.made_tools import visible
from services.tool.errors import (
    ProviderLost,
    SandboxLost,
    ToolChanged,
    ToolFailed,
    ToolNotFound,
    ToolTimeout,
    UnknownOutcome,
)
from services.tool.model import (
    CallRequest,
    CallState,
    DriverKind,
    Progress,
    QueueRequest,
    Started,
    Tool,
    ToolCall,
    ToolOutcome,
    WaitsForApproval,
)
from services.tool.ports import Job, Queue, Ticket
from services.tool.service.call_run import CallRun, Stop
from services.tool.service.dependencies import Dependencies
from services.tool.service.leases import LeaseEndedError, LeaseManager, NoRoomError
from services.tool.service.secrecy import secrecy

T = TypeVar("T")

_log = logger(__name__)

SOON_SECONDS: Final = 0.05
"""A call that gets its turn within this time is not entered as waiting."""
_ELSEWHERE: Final = frozenset({DriverKind.HTTP, DriverKind.MCP})
"""Whose tools run where nothing tells whether they have stopped."""
MAX_ATTEMPTS: Final = 3
"""Providers that one call may lose before it is given up."""
ROOM_SECONDS: Final = 0.05
"""How long a call in its turn waits for room that is just being given back, before it queues again."""


@dataclass(frozen=True, slots=True)
class AttemptPorts:
    """What all calls work with."""

    deps: Dependencies
    leases: LeaseManager
    queue: Queue
    look_seconds: float
    """Time between two looks at an approval."""


class CallAttempt:
    """The work of one run."""

    def __init__(self, ports: AttemptPorts, run: CallRun, request: CallRequest) -> None:
        self._deps = ports.deps
        self._leases = ports.leases
        self._queue = ports.queue
        self._look_seconds = ports.look_seconds
        self._run = run
        self._request = request
        self._spent = not (run.tool.needs_approval or request.needs_approval)
        self._untrusted = run.tool.returns_untrusted
        self._provided = run.tool.driver.kind is DriverKind.PROVIDER
        # Nothing is lost when a harmless built-in simply runs again, so it is entered when it ends: one
        # durable write instead of two.
        self.entered_at_end = (
            not self._provided and run.call.effect.repeatable and not request.detach and self._spent
        )
        self._entered = False
        self._losses = 0
        self._asked = self._deps.clock.monotonic()

    async def outcome(self) -> ToolCall:
        """Run the tool and return how the call ended. Raises only what the ledger does."""
        call = await self._ended()
        return replace(call, untrusted=self._untrusted and call.attempts > 0)

    async def _ended(self) -> ToolCall:
        run, now = self._run, self._deps.clock.now
        try:
            outcome = await self._queued()
            self._untrusted = run.tool.exposes(provider_untrusted=outcome.untrusted)
            if outcome.error is not None:
                return ledger.refused_by_tool(run.call, outcome.error, now())
            text = await _checked(run.tool, outcome.value)
        except asyncio.CancelledError:
            return self._stopped()
        except (LeaseEndedError, SandboxLost):
            return ledger.interrupted(run.call, now())
        except _LedgerError as failure:
            raise failure.cause from failure
        except KernelError as error:
            return self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is its failure, and nobody else's
            _log.error("a tool failed unexpectedly", exc=error, tool=run.tool.id)
            return ledger.failed(run.call, ToolFailed("the tool failed unexpectedly"), now())
        return ledger.succeeded(run.call, text, outcome.pieces, now())

    def _stopped(self) -> ToolCall:
        run, now = self._run, self._deps.clock.now()
        run.absorb_stop()
        match run.stop_reason:
            case Stop.LEFT | Stop.CANCELLED:
                return self._as_seen(ledger.cancelled(run.call, now, left=run.stop_reason is Stop.LEFT))
            case Stop.SHUTDOWN:
                return ledger.interrupted(run.call, now)
            case Stop.UNREGISTERED | Stop.REVOKED:
                how = "revoked" if run.stop_reason is Stop.REVOKED else "removed"
                return ledger.failed(run.call, ToolNotFound(f"tools/{run.tool.id} was {how}"), now)
            case Stop.CHANGED:
                return ledger.failed(run.call, run.why_stopped(), now)
            case Stop.PROVIDER_GONE:
                lost = ProviderLost(f"no process provides tools/{run.tool.id} any more", retry_after=1.0)
                return ledger.failed(run.call, lost, now)
            case None:
                return ledger.failed(run.call, ToolFailed("the tool gave up"), now)

    def _failed(self, error: KernelError) -> ToolCall:
        run, now = self._run, self._deps.clock.now()
        match error:
            case UnknownOutcome():
                return ledger.unknown(run.call, error, now)
            case ToolTimeout():
                return self._as_seen(ledger.failed(run.call, error, now))
            case _:
                return ledger.failed(run.call, error, now)

    def _as_seen(self, stopped: ToolCall) -> ToolCall:
        """Return how a call ended that was stopped, as far as the kernel can see what stopped."""
        if self._run.tool.driver.kind in _ELSEWHERE:
            return ledger.stopped_elsewhere(self._run.call, stopped)
        return stopped

    async def _queued(self) -> ToolOutcome:
        run = self._run
        if not self._spent:
            await self._approved()
        if self.entered_at_end:
            run.accept(joined=False)
        if self._provided:
            self._expect_provider()
        turn = await self._queue.join(
            QueueRequest(
                scope=run.scope,
                call_id=run.call.id,
                tool=run.tool,
                locks=lock_names(run.tool, self._request.arguments),
                allowances=allowances(run.tool),
                max_wait=self._request.wait_seconds,
                places=self._leases if self._provided else None,
            )
        )
        completion = Completion.FAILED
        try:
            outcome = await self._in_turns(turn)
            completion = Completion.FAILED if outcome.error is not None else Completion.COMPLETED
        except asyncio.CancelledError:
            completion = Completion.CANCELLED
            raise
        finally:
            turn.ended(completion)
        return outcome

    async def _in_turns(self, turn: Ticket) -> ToolOutcome:
        """Run in the first turn in which a process has room and keeps the call to its end.

        A call that has a turn and cannot run gives it back and waits in the queue again, where everybody sees
        it: the room it was granted went to a call of another tool, or its provider was lost.
        """
        while True:
            await self._granted(turn)
            try:
                return await self._in_turn(turn)
            except NoRoomError:
                pass
            except LeaseEndedError as lost:
                await self._lost(lost)
            turn.wait_again()

    async def _lost(self, lost: LeaseEndedError) -> None:
        """Make the call ready to wait again after its provider was lost; raise when it must not run again."""
        run = self._run
        self._losses += 1
        if lost.sent and not run.call.effect.repeatable:
            raise lost
        if not lost.sent:  # it never left this process, so this attempt was none
            run.call = replace(run.call, attempts=run.call.attempts - 1, started_at=None, provider="")
        run.call = replace(run.call, state=CallState.QUEUED)
        if self._losses >= MAX_ATTEMPTS:
            text = f"{MAX_ATTEMPTS} processes were lost while they ran the call"
            raise ProviderLost(text, retry_after=1.0)
        self._expect_provider()
        if not lost.sent:
            await self._enter()

    def _expect_provider(self) -> None:
        tool = self._run.tool
        if not self._leases.connected(self._run.scope.tenant, tool):
            raise ProviderLost(f"no process provides tools/{tool.id} right now", retry_after=1.0)

    async def _granted(self, turn: Ticket) -> None:
        """Wait for the turn; a call that does not get it at once is in the ledger meanwhile."""
        admitted = False
        try:
            try:
                async with asyncio.timeout(SOON_SECONDS) as soon:
                    await turn.granted()
            except TimeoutError:
                if not soon.expired():
                    raise
                if not self.entered_at_end:
                    await self._enter()
                await turn.granted()
            admitted = True
        finally:
            self._deps.meter.waited(self._run.tool, self._waited, admitted=admitted)

    async def _in_turn(self, turn: Ticket) -> ToolOutcome:
        """Run, unless the kernel takes the turn back."""

        async def obey() -> None:
            await turn.revoked()
            self._run.stop(Stop.CANCELLED)

        watch = asyncio.create_task(obey())
        try:
            return await self._by_driver(turn)
        finally:
            watch.cancel()

    async def _approved(self) -> None:
        """Wait until a person has approved the call; it is spent only when the call begins."""
        run, request, approvals = self._run, self._request, self._deps.approvals
        if request.approval:
            approval = await approvals.poll(request.approval)
        else:
            approval = await approvals.ask(run.scope, run.tool, run.call, run.arguments_json)
        run.call = replace(run.call, approval=approval.id)
        if not approval.approved and not request.wait_for_approval:
            raise ApprovalRequired(
                f"approvals/{approval.id} must be approved first", metadata={"approval": approval.id}
            )
        if not approval.approved:
            run.call = replace(run.call, state=CallState.WAITING_APPROVAL)
            await self._enter()
            run.publish(WaitsForApproval(approval))
        while not approval.approved:
            await asyncio.sleep(self._look_seconds)
            approval = await approvals.poll(approval.id)
        run.call = replace(run.call, state=CallState.QUEUED)
        self._asked = self._deps.clock.monotonic()

    async def _by_driver(self, turn: Ticket) -> ToolOutcome:
        if self._provided:
            return await self._by_provider(turn)
        run = self._run
        driver = self._deps.driver(run.tool.driver.kind)
        job = Job(
            scope=run.scope,
            call_id=run.call.id,
            tool=run.tool,
            arguments=self._request.arguments,
            seconds=self._seconds,
            tell=lambda progress: self._tell(secret.progress(progress)),
        )
        await self._begin("")
        self._tell_started()
        with secrecy() as secret:
            run.secrecies.append(secret)
            try:
                return await secret.run(lambda: self._limited(lambda: driver.run(job)))
            finally:
                if rest := secret.rest():
                    self._tell(Progress(partial_output=rest))

    def _tell(self, progress: Progress) -> None:
        """Pass on how far the tool is, unless the call has been stopped meanwhile."""
        if not self._run.done:
            self._run.publish(replace(progress, untrusted=self._run.tool.returns_untrusted))

    async def _by_provider(self, turn: Ticket) -> ToolOutcome:
        lease = await self._leases.assign(self._run, ROOM_SECONDS, turn)
        with self._leases.leased(lease):
            await self._begin(lease.stream.instance)
            deadline = self._deps.clock.now() + timedelta(seconds=self._seconds)
            self._leases.dispatch(lease, deadline)
            if not lease.outcome.done():
                self._tell_started()

            async def outcome() -> ToolOutcome:
                return await lease.outcome

            return await self._limited(outcome)

    async def _begin(self, provider: str) -> None:
        """Note that the tool begins to run; durably before it does, unless it is harmless."""
        run = self._run
        if run.tool.made is not None:
            _must_be_same(run.tool, await self._as_it_is())
        if not self._spent:
            await self._deps.approvals.consume(run.scope, run.call.approval, run.call, await self._as_it_is())
            self._spent = True
        run.call = ledger.started(run.call, self._deps.clock.now(), provider=provider)
        if not self.entered_at_end and not (self._entered and run.call.effect.repeatable):
            await self._enter()

    async def _as_it_is(self) -> Tool:
        """Return the tool as it is registered now: a person approved what it was. Raises ToolNotFound."""
        run = self._run
        if not run.tool.owner:  # the kernel's own never change
            return run.tool
        found = await self._deps.store.read(run.scope, lambda tx: visible(tx, run.scope.agent, run.tool.id))
        if found is None:
            raise ToolNotFound(f"tools/{run.tool.id} was removed")
        return found

    def _tell_started(self) -> None:
        call = self._run.call
        self._run.publish(Started(call.started_at or call.created_at, self._waited, call.attempts))

    async def _enter(self) -> None:
        call, entered = self._run.call, self._entered
        try:
            await self._deps.keep(self._run.scope, call)
        except KernelError as error:
            raise _LedgerError(error) from error
        self._entered = True
        if not entered:
            self._run.accept(joined=False)

    async def _limited(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._seconds) as limit:
                return await work()
        except TimeoutError as error:
            if limit.expired():
                raise ToolTimeout(f"the tool ran longer than {self._seconds:g} s and was stopped") from error
            raise

    @property
    def _seconds(self) -> float:
        own, asked = self._run.tool.timeout_seconds, self._request.run_seconds
        return own if asked is None else min(own, asked)

    @property
    def _waited(self) -> float:
        return self._deps.clock.monotonic() - self._asked


def _must_be_same(tool: Tool, now: Tool) -> None:
    """Raise ToolChanged when what an agent made has been changed, rolled back or replaced since."""
    if tool.made != now.made:
        raise ToolChanged(f"tools/{tool.id} changed while the call waited; call again")


async def _checked(tool: Tool, value: object) -> str:
    """Return a result as JSON text, held against the tool's schema. Raises ResultInvalid.

    A large one is written and checked in a thread: any agent may provide a tool and send many.
    """
    if schemas.is_small(value):
        return schemas.check_result(tool.result_schema, value)
    return await asyncio.to_thread(schemas.check_result, tool.result_schema, value)


class _LedgerError(Exception):
    """The ledger could not be written: not the tool's failure, and nothing ran."""

    def __init__(self, cause: KernelError) -> None:
        super().__init__(cause.message)
        self.cause = cause
