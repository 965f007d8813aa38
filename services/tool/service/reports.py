"""How providers said that calls ended: remembered so that one that comes again is known, and little else.

What a report held is not kept: a result of megabytes would stay for as long as its provider likes to go on.
"""

import copy
import hashlib
from collections import OrderedDict
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import IdempotencyMismatch, KernelError
from services.tool.model import CallState, ToolCall, ToolOutcome
from services.tool.service.call_run import CallRun

KEPT_OF_ONE: Final = 512
"""Reports of one provider that are remembered, the last ones."""
KEPT_PROVIDERS: Final = 4_096
"""Providers whose reports are remembered."""


class Report:
    """One report, and how its call ended."""

    __slots__ = ("_digest", "_end", "_run", "call_id", "owner")

    def __init__(self, run: CallRun, outcome: ToolOutcome) -> None:
        self.owner = run.scope.agent
        self.call_id = run.call.id
        self._digest = _digest(outcome)
        self._run: CallRun | None = run
        self._end: CallState | KernelError = run.call.state
        run.when_ended(self._ended)

    def check(self, outcome: ToolOutcome) -> None:
        """Raise IdempotencyMismatch for another outcome than the one that was reported first."""
        if self._digest != _digest(outcome):
            raise IdempotencyMismatch("the call was completed with another outcome")

    async def ended(self) -> CallState:
        """Wait until the end is kept and return it. Raises what the call was refused with."""
        if self._run is not None:
            return (await self._run.ended()).state
        if isinstance(self._end, CallState):
            return self._end
        raise copy.copy(self._end)

    def _ended(self, end: ToolCall | KernelError) -> None:
        # The error that is raised elsewhere refers to frames, and these to the call with all it holds.
        self._end = copy.copy(end) if isinstance(end, KernelError) else end.state
        self._run = None


class Reports:
    """The last reports of each provider. Used on the event loop only."""

    def __init__(self) -> None:
        self._of: OrderedDict[Scope, OrderedDict[str, Report]] = OrderedDict()

    def keep(self, provider: Scope, lease_id: str, run: CallRun, outcome: ToolOutcome) -> Report:
        """Remember a report."""
        own = self._of.setdefault(provider, OrderedDict())
        self._of.move_to_end(provider)
        report = own[lease_id] = Report(run, outcome)
        if len(own) > KEPT_OF_ONE:
            own.popitem(last=False)
        if len(self._of) > KEPT_PROVIDERS:
            self._of.popitem(last=False)
        return report

    def get(self, provider: Scope, lease_id: str) -> Report | None:
        """Return a provider's report about a lease."""
        own = self._of.get(provider)
        return None if own is None else own.get(lease_id)


def _digest(outcome: ToolOutcome) -> bytes:
    return outcome.digest or hashlib.sha256(repr(outcome).encode(errors="surrogatepass")).digest()
