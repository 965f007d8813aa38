"""What the tool manager needs from the world. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.dispatch.scheduling import Completion
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Caps, Usage
from services.tool.model import Approval, CallQuery, CallState, QueueRequest, Tool, ToolCall

T = TypeVar("T")


class Transaction(Protocol):
    """One transaction on the registry of a tenant and the ledger of one of its agents."""

    def tool(self, tool_id: str) -> Tool | None:
        """Return a tool of the tenant."""
        ...

    def tools(self, *, after: str, limit: int) -> list[Tool]:
        """List the tenant's tools by id."""
        ...

    def put_tool(self, tool: Tool) -> None:
        """Keep a tool, new or changed."""
        ...

    def drop_tool(self, tool_id: str) -> None:
        """Forget a tool."""
        ...

    def call(self, call_id: str) -> ToolCall | None:
        """Return a call of the agent."""
        ...

    def calls(self, wanted: CallQuery, *, before: tuple[datetime, str] | None, limit: int) -> list[ToolCall]:
        """List the agent's calls without answers, newest first, from before a position.

        The position is when a call was made, and its id.
        """
        ...

    def put_call(self, call: ToolCall) -> None:
        """Keep a call, new or changed."""
        ...

    def count(self, **changes: int) -> None:
        """Note what the scope has more, or less, of each quota."""
        ...

    def charge(self, agent: str, **changes: int) -> None:
        """Note what an agent of the tenant has more, or less."""
        ...

    def settle(self, caps: Caps) -> None:
        """Charge what was noted, answers that are kept included, once and last in a transaction.

        Raises QuotaExceeded when a sum that grows would pass its cap; the transaction must then be undone.
        """
        ...

    def used(self, caps: Caps) -> list[Usage]:
        """Return what the scope, its tree and its tenant use of each quota."""
        ...

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer to this request, or None. Raises IdempotencyMismatch."""
        ...

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request."""
        ...


class Store(Protocol):
    """Registry and ledger. A transaction that raises changes nothing; one that returns is durable."""

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a consistent view."""
        ...

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction of its own."""
        ...

    async def unfinished(self, *, limit: int) -> list[tuple[Scope, ToolCall]]:
        """List calls of all agents that have not ended."""
        ...

    async def tools_of(self, scope: Scope) -> list[str]:
        """Return the ids of the tools that an agent registered."""
        ...

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent, its tools too, batch by batch; return what and how many."""
        ...

    async def collect(self, *, ended_before: datetime, limit: int) -> int:
        """Forget calls that ended before a time, and old answers; returns how many calls went."""
        ...


class Builtins(Protocol):
    """The functions that come with the kernel."""

    def has(self, function: str) -> bool:
        """Whether there is such a function."""
        ...

    async def run(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """Run one for the calling agent; returns a JSON value. Raises ToolFailed, or what a peer refuses."""
        ...


class FileSearch(Protocol):
    """Search in the calling agent's files."""

    async def search(self, query: str, limit: int) -> list[str]:
        """Return the paths that match, best first."""
        ...


class Access(Protocol):
    """What the running call's caller may do."""

    async def needs_approval(self, tool: Tool, *, untrusted: bool) -> bool:
        """Tell whether the caller may call a tool only with a person's approval, its effect being known.

        `untrusted`: the call is about what nobody vouches for. Raises PermissionDenied, AccessUnavailable.
        """
        ...

    async def may(self, action: str, resource: str) -> bool:
        """Tell whether the caller may act on a resource. Raises AccessUnavailable."""
        ...


class Approvals(Protocol):
    """What persons say to calls that need it. Every method raises what the access manager refuses with."""

    async def ask(self, scope: Scope, tool: Tool, call: ToolCall, arguments_json: str) -> Approval:
        """Ask for an approval of a call, or return the open one of an equal call."""
        ...

    async def poll(self, approval_id: str) -> Approval:
        """Return the calling agent's approval. Raises ApprovalRequired when it was rejected."""
        ...

    async def consume(self, scope: Scope, approval_id: str, call: ToolCall, tool: Tool) -> None:
        """Use an approval for a call of a tool as it is now.

        Raises ApprovalRequired when it is not for that call and that tool, or not given.
        """
        ...


class Ticket(Protocol):
    """A call's place in the queue, and then its turn."""

    async def granted(self) -> None:
        """Wait for the turn. Raises ToolBusy, SchedulerUnavailable, or what the scheduler refuses with."""
        ...

    async def revoked(self) -> None:
        """Wait until the kernel wants the running call to end."""
        ...

    def room_taken(self) -> None:
        """Note that the call has room at the process that runs it."""
        ...

    def room_freed(self) -> None:
        """Note that the room is free again, though the turn is not over yet."""
        ...

    def wait_again(self) -> None:
        """Give the turn back, because the call cannot run just now, and wait for another one."""
        ...

    def ended(self, completion: Completion) -> None:
        """Give the turn back, or the place in the queue. Idempotent."""
        ...


class Queue(Protocol):
    """Where calls wait for their turn at a tool and for the things they need alone."""

    async def join(self, needs: QueueRequest) -> Ticket:
        """Put the calling agent's call into the queue. Raises AccessUnavailable."""
        ...


class Meter(Protocol):
    """What the tool manager records."""

    def waited(self, tool: Tool, seconds: float, *, admitted: bool) -> None:
        """Record a wait for a tool's turn."""
        ...

    def ended(self, tool: Tool, state: CallState, seconds: float) -> None:
        """Record a call that ended `seconds` after it was made."""
        ...

    def revoked(self, reason: str) -> None:
        """Record a call taken back from a provider."""
        ...

    def joined(self) -> None:
        """Record a repeated request that got the first one's call."""
        ...
