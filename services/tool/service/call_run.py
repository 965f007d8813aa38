"""One call under way in this process: what happened so far, and whoever listens."""

from collections.abc import AsyncGenerator, Callable
from enum import Enum
from typing import Final

from services.chassis.auth.identity import Principal, Scope
from services.chassis.dispatch.scheduling import CallKey
from services.chassis.joinable import EventLog, JoinableRun
from services.chassis.rpc.errors import Cancelled, Internal, KernelError, ServiceUnavailable
from services.tool.core.kept_arguments import with_arguments
from services.tool.errors import ToolChanged
from services.tool.model import Accepted, CallEvent, Progress, Started, Tool, ToolCall, WaitsForApproval
from services.tool.service.secrecy import Secrecy

KEPT_EVENTS: Final = 32
"""Progress that a slow listener may be behind before it misses some."""

_Told = WaitsForApproval | Started | Progress


class Stop(Enum):
    """Why a call is stopped before its end."""

    LEFT = "left"
    CANCELLED = "cancelled"
    UNREGISTERED = "unregistered"
    PROVIDER_GONE = "provider_gone"
    REVOKED = "revoked"
    CHANGED = "changed"
    SHUTDOWN = "shutdown"


class CallRun(JoinableRun[Stop]):
    """A call between its request and its end. Used on the event loop only."""

    def __init__(
        self, scope: Scope, tool: Tool, call: ToolCall, arguments_json: str, *, marked: bool = False
    ) -> None:
        super().__init__(run_key(scope, call.id), when_left=Stop.LEFT)
        self.scope = scope
        self.tool = tool
        self.call = call
        self.arguments_json = arguments_json
        self.marked = marked
        """Whether its caller has read what nobody vouches for."""
        self.secrecies: list[Secrecy] = []
        """What its attempts have learned of secrets."""
        self.lost_by: set[object] = set()
        """Providers that were lost while they held the call."""
        self.credentials: dict[str, Principal | None] = {}
        """Whose tokens asked for it, one of each family; None where it is not known."""
        self.error: KernelError | None = None
        """Why the request was refused; nothing is in the ledger then."""
        self._accepted: Accepted | None = None
        self._log: EventLog[_Told] = EventLog(KEPT_EVENTS)
        self._done = False
        self._told_end: list[Callable[[ToolCall | KernelError], None]] = []

    @property
    def done(self) -> bool:
        """Whether the call has ended or the request was refused."""
        return self._done

    @property
    def joinable(self) -> bool:
        """Whether a request with its identity gets its answer; a refusal is only for those who heard it."""
        return super().joinable and self.error is None

    def with_arguments(self, call: ToolCall, most: int) -> ToolCall:
        """Return a state of the call with what may be shown of its arguments, `most` bytes at most."""
        redactors = (each.redactor for each in self.secrecies if each.redactor)
        return with_arguments(call, self.arguments_json, most, redactors)

    def asked_by(self, credential: Principal | None) -> None:
        """Note a token that asked for the call."""
        self.credentials[credential.session_id if credential is not None else ""] = credential

    def accept(self, *, joined: bool) -> None:
        """Tell that the call is in the ledger, or will be when it ends."""
        self._accepted = Accepted(self.call.id, joined)
        self._log.wake()

    def publish(self, event: _Told) -> None:
        """Tell what happened."""
        self._log.publish(event)

    def finish(self, call: ToolCall) -> None:
        """Tell that the call has ended."""
        self.settle()
        self.call = call
        self._tell_end(call)

    def refuse(self, error: KernelError) -> None:
        """Tell that there is no call."""
        self.settle()
        self.error = error
        self._tell_end(error)

    def when_ended(self, tell: Callable[[ToolCall | KernelError], None]) -> None:
        """Have `tell` called with the end, or with what the request was refused with."""
        if self._done:
            tell(self.error or self.call)
        else:
            self._told_end.append(tell)

    def _tell_end(self, end: ToolCall | KernelError) -> None:
        self._done = True
        self._log.wake()
        told, self._told_end = self._told_end, []
        for tell in told:
            tell(end)

    def on_end(self) -> None:
        """Refuse what was stopped before it began, or broke: nobody listens in vain."""
        if not self._done:
            self.refuse(self.why_stopped())

    def why_stopped(self) -> KernelError:
        """Return what listeners of a call are told that was stopped before it came into the ledger."""
        match self.stop_reason:
            case None:
                return Internal("the call could not be brought to its end")
            case Stop.SHUTDOWN:
                return ServiceUnavailable("the tool manager is shutting down; call again", retry_after=1.0)
            case Stop.CHANGED:
                return ToolChanged(f"tools/{self.tool.id} changed while the call waited; call again")
            case _:
                return Cancelled("the call was cancelled")

    async def ended(self) -> ToolCall:
        """Wait for the end and return it. Raises what the request was refused with."""
        with self._log.subscribe() as changed:
            while not self._done:
                await changed.wait()
        if self.error is not None:
            raise self.error
        return self.call

    async def follow(self, *, joined: bool) -> AsyncGenerator[CallEvent, None]:
        """Tell everything in order; ends with the Call. The last listener that leaves stops the work.

        Raises what the request was refused with.
        """
        heard, accepted = 0, False
        with self.attach(), self._log.subscribe() as changed:
            while True:
                changed.reset()
                if self._accepted is not None and not accepted:
                    accepted = True
                    yield Accepted(self.call.id, joined or self._accepted.joined)
                told, heard = self._log.after(heard), self._log.position
                for event in told:  # more may be told while this listener takes them
                    yield event
                if self._done and heard == self._log.position:
                    yield await self.ended()
                    return
                await changed.wait()


def run_key(scope: Scope, call_id: str) -> CallKey:
    """Return what names a call among the runs of this process."""
    return CallKey(scope.tenant, scope.agent, call_id)
