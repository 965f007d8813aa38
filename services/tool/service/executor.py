"""From a request to its end in the ledger: one task a call."""

import asyncio
from contextlib import nullcontext
from dataclasses import replace

from services.chassis.rpc.errors import Internal, KernelError
from services.chassis.runtime.logs import logger
from services.tool.core import ledger
from services.tool.model import CallRequest, ToolCall
from services.tool.ports import Queue
from services.tool.service.call_attempt import AttemptPorts, CallAttempt
from services.tool.service.call_run import CallRun
from services.tool.service.dependencies import Dependencies
from services.tool.service.leases import LeaseManager

_log = logger(__name__)


class CallExecutor:
    """Runs calls."""

    def __init__(
        self,
        deps: Dependencies,
        leases: LeaseManager,
        queue: Queue,
        *,
        look_seconds: float,
        kept_arguments: int = 4_096,
    ) -> None:
        self._kept_arguments = kept_arguments
        self._deps = deps
        self._ports = AttemptPorts(deps, leases, queue, look_seconds)

    async def execute(self, run: CallRun, request: CallRequest) -> None:
        """Bring a run to its end, whatever happens. The body of the run's task."""
        try:
            known = await self._known(run, request)
            if known is not None:
                run.accept(joined=True)
                run.finish(known)
                return
            attempt = CallAttempt(self._ports, run, request)
            new = attempt.entered_at_end and not run.call.attempts
            async with self._deps.place(run.scope) if new else nullcontext():
                call = run.with_arguments(await attempt.outcome(), self._kept_arguments)
                run.settle()
                await self._deps.keep(run.scope, call)
            self._deps.meter.ended(run.tool, call.state, _seconds(call))
            run.finish(call)
        except KernelError as error:
            run.refuse(error)
        except asyncio.CancelledError:
            run.refuse(run.why_stopped())
        except Exception as error:  # noqa: BLE001 - a defect here must not leave listeners waiting
            _log.error("a call could not be brought to its end", exc=error, tool=run.tool.id)
            run.refuse(Internal("the call could not be brought to its end"))

    async def _known(self, run: CallRun, request: CallRequest) -> ToolCall | None:
        """Return the call that an earlier request with this id made, None when it is to be made now."""
        if not request.call_id:
            return None
        found = await self._deps.store.read(run.scope, lambda tx: tx.call(run.call.id))
        if found is None:
            return None
        ledger.same_request(found, run.call)
        known = found
        if not known.state.ended:  # by a process that is gone: its runs end before it does
            known = ledger.interrupted(known, self._deps.clock.now())
        if known.repeatable:
            run.call = replace(run.call, attempts=known.attempts, created_at=known.created_at)
            return None
        if known is not found:
            await self._deps.keep(run.scope, known)
        self._deps.meter.joined()
        return known


def _seconds(call: ToolCall) -> float:
    ended = call.ended_at or call.created_at
    return max(0.0, (ended - call.created_at).total_seconds())
