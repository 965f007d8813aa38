"""What the tool manager needs from the world. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeAlias, TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.dispatch.scheduling import Completion
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Caps, Usage
from services.chassis.sandbox import port as sandbox_port
from services.tool.core.egress import EgressRequest, EgressResponse, OriginPattern
from services.tool.core.files import FileContent, FileEdit, FileList, FileStat
from services.tool.core.making import Draft, DraftState, RuntimeFacts, SharingRequest, Version
from services.tool.core.mcp_servers import KnownTool, McpServer
from services.tool.core.openapi import Read
from services.tool.core.secrets import Secret, SecretKey
from services.tool.model import (
    Approval,
    CallQuery,
    CallState,
    Narrowing,
    Progress,
    QueueRequest,
    SealedSecret,
    Tool,
    ToolCall,
    ToolOutcome,
)

T = TypeVar("T")

Sandbox = sandbox_port.Sandbox
SandboxProcess = sandbox_port.SandboxProcess


CallPlace: TypeAlias = tuple[datetime, str, str]
"""Where a call of a tenant stands: when it was made, its agent, and its id."""


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

    def secret(self, name: str) -> SealedSecret | None:
        """Return a secret of the tenant, sealed."""
        ...

    def secrets(self, *, after: str, limit: int) -> list[SealedSecret]:
        """List the tenant's secrets by name."""
        ...

    def put_secret(self, secret: SealedSecret) -> None:
        """Keep a secret, new or changed."""
        ...

    def drop_secret(self, name: str) -> None:
        """Forget a secret."""
        ...

    def draft(self, name: str) -> Draft | None:
        """Return a draft of the agent."""
        ...

    def drafts(self, *, after: str, limit: int, state: DraftState | None = None) -> list[Draft]:
        """List the agent's drafts by name, those in one state or all."""
        ...

    def put_draft(self, draft: Draft) -> int:
        """Keep a draft of the agent, new or changed; returns how large it is. Unit: bytes."""
        ...

    def draft_size(self, name: str) -> int:
        """Return how large a draft of the agent is; 0: there is none. Unit: bytes."""
        ...

    def drop_draft(self, name: str) -> None:
        """Forget a draft of the agent."""
        ...

    def version(self, name: str, number: int) -> Version | None:
        """Return what was shared of a draft of the agent, by its number; 0: the newest."""
        ...

    def versions(self, name: str, *, before: int, limit: int) -> list[Version]:
        """List what was shared of a draft, newest first, from below a number; 0: from the newest."""
        ...

    def put_version(self, version: Version) -> int:
        """Keep a version, new or revoked; returns by how much it grew. Unit: bytes."""
        ...

    def server(self, server_id: str) -> McpServer | None:
        """Return an MCP server of the tenant."""
        ...

    def servers(self, *, after: str, limit: int) -> list[McpServer]:
        """List the tenant's MCP servers by id."""
        ...

    def put_server(self, server: McpServer) -> None:
        """Keep an MCP server, new or changed."""
        ...

    def drop_server(self, server_id: str) -> None:
        """Forget an MCP server and what is known of its tools; the tools themselves stay."""
        ...

    def known_tools(self, server_id: str) -> list[KnownTool]:
        """Return what is known of an MCP server's tools, by name."""
        ...

    def put_known_tools(self, server: McpServer, known: Sequence[KnownTool]) -> None:
        """Replace what is known of an MCP server's tools."""
        ...

    def call(self, call_id: str) -> ToolCall | None:
        """Return a call of the agent."""
        ...

    def calls(self, wanted: CallQuery, *, before: tuple[datetime, str] | None, limit: int) -> list[ToolCall]:
        """List the agent's calls without answers, newest first, from before a position.

        The position is when a call was made, and its id.
        """
        ...

    def put_call(self, call: ToolCall) -> tuple[bool, int]:
        """Keep a call; return whether it is new, and how many bytes more than before it takes."""
        ...

    def narrowing(self) -> Narrowing:
        """Return what the tenant's administrators leave of where tools may send to."""
        ...

    def put_narrowing(self, narrowing: Narrowing) -> None:
        """Keep what they leave."""
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

    async def calls_of(
        self, tenant: str, wanted: CallQuery, *, before: CallPlace | None, limit: int
    ) -> list[tuple[Scope, ToolCall]]:
        """List the calls of all agents of a tenant without answers, newest first, from before a place."""
        ...

    async def unfinished(self, *, limit: int) -> list[tuple[Scope, ToolCall]]:
        """List calls of all agents that have not ended."""
        ...

    async def sealed_otherwise(
        self, key_id: str, *, after: tuple[str, str], limit: int
    ) -> list[tuple[str, SealedSecret]]:
        """List secrets that another key seals, with their tenant, from behind a tenant and a name."""
        ...

    async def tools_of(self, scope: Scope) -> list[str]:
        """Return the ids of the tools that an agent registered."""
        ...

    async def servers_of(self, scope: Scope) -> list[str]:
        """Return the ids of the MCP servers that an agent added."""
        ...

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent, its tools too, batch by batch; return what and how many."""
        ...

    async def collect(self, *, ended_before: datetime, limit: int) -> int:
        """Forget calls that ended before a time, and old answers; returns how many calls went."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One attempt of one call, as its driver gets it. The arguments match the tool's schema."""

    scope: Scope
    """The calling agent, with whose rights it runs."""
    call_id: str
    tool: Tool
    arguments: Mapping[str, Any]
    seconds: float
    """Time that the attempt may take; whoever waits ends it then. A driver may want to know it before."""
    tell: Callable[[Progress], None]
    """Tells the caller how far it is; never waits."""


class ToolDriver(Protocol):
    """Runs the tools of one kind. Passes `tests/contract/tool_drivers`."""

    async def prepare(self, scope: Scope, tool: Tool) -> Tool:
        """Check a tool that is being registered and return it as it is kept: with an effect that is true.

        Runs nothing of it. Raises CapabilityMissing, InvalidRequest, EgressDenied, SchemaInvalid.
        """
        ...

    def problem(self, scope: Scope, tool: Tool) -> str:
        """Return the error reason for which the tool cannot be called now; empty: it can."""
        ...

    async def run(self, job: Job) -> ToolOutcome:
        """Run an attempt to its end and return what came out; the tool's own failure is the outcome's error.

        When it is cancelled, everything that it started has ended before it returns, in bounded time. Raises
        ToolFailed, SandboxUnavailable, EgressDenied, ToolChanged, or what a peer refuses.
        """
        ...


class Files(Protocol):
    """The files that the running call's caller may use. Passes `tests/contract/tool_files`.

    A path is relative to the caller's own files, `notes/todo.txt`; one of another agent's is written in full,
    `agents/critic/files/notes/todo.txt`. Every method raises BadPath, and what the storage manager refuses
    with, by the caller's own rights. What nobody vouches for has marked the caller before it is returned.
    """

    async def list(self, directory: str, pattern: str, *, limit: int) -> FileList:
        """List the files below a directory (empty: all) whose path in it matches, at most `limit` of them.

        In a pattern `*` stands for any characters but a slash, `**` for any, `?` for one. A directory that is
        not there holds nothing.
        """
        ...

    async def stat(self, path: str) -> FileStat:
        """Tell what a file is."""
        ...

    async def read(self, path: str, *, limit: int, offset: int = 0) -> FileContent:
        """Return at most `limit` bytes of a file, from a place on."""
        ...

    async def write(self, edits: Sequence[FileEdit], *, request_id: str) -> Sequence[FileStat]:
        """Change several files of one agent as one write: all of them, or none where one has changed.

        Returns them in the order of `edits`; one that was deleted with an empty etag. The same `request_id`
        writes once.
        """
        ...


class Egress(Protocol):
    """The only way out of the kernel for what agents and tools ask for."""

    def reaches(self, tenant: str) -> bool:
        """Whether the operator allows a tenant's tools anything at all."""
        ...

    async def check(self, tenant: str, url: str) -> None:
        """Judge a URL without asking the network anything. Raises EgressDenied."""
        ...

    async def fetch(self, request: EgressRequest) -> EgressResponse:
        """Send a request, follow its redirects and return the answer, whatever its status.

        Nothing of it is left when this returns or raises, cancellation included. Raises EgressDenied,
        EgressFailed, ToolTimeout, ResultInvalid for an answer that is too large.
        """
        ...


class Documents(Protocol):
    """Reads documents of strangers, where that can harm nobody."""

    async def read(self, tenant: str, document: bytes) -> Read:
        """Return what an OpenAPI document offers. Raises InvalidRequest, TooManyCalls."""
        ...


class EgressRules(Protocol):
    """What the administrators of tenants leave of what the operator allows."""

    async def narrowed(self, tenant: str) -> tuple[OriginPattern, ...] | None:
        """Return the origins that a tenant's tools may reach; None: all that the operator allows."""
        ...


class FileSearch(Protocol):
    """Search in the calling agent's files."""

    async def search(self, query: str, limit: int) -> FileList:
        """Return the files that match, best first."""
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


class SecretKeys(Protocol):
    """The keys that seal secrets. They are kept apart from the database."""

    async def all(self) -> Sequence[SecretKey]:
        """Return the keys, first the one that seals; none: there are none yet. Raises SecretsUnavailable."""
        ...

    async def make(self) -> Sequence[SecretKey]:
        """Make the first key where there is none, and return the keys. Raises SecretsUnavailable."""
        ...


class Audit(Protocol):
    """The audit log of the caller's tenant."""

    async def note(
        self, method: str, action: str, resource: str, request: RequestIdentity, *, words: str = ""
    ) -> None:
        """Note that the caller does this; `words` say more. Raises what the access manager refuses with."""
        ...


class Secrets(Protocol):
    """The values that operators keep for tools."""

    async def resolve(
        self, tenant: str, names: Collection[str], bound_to: str, *also: str
    ) -> Mapping[str, Secret]:
        """Return the values of secrets by name, to be sent to one place: for drivers, when they send.

        `bound_to`: where they go: `mcpservers/{id}`, or the origin of a URL (`core.secrets.origin`); `also`:
        the other name of the same place, for a server that is reached by a URL. Raises EgressDenied for a
        secret that is meant for another place, SecretNotFound, SecretsUnavailable.
        """
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


class SharingApprovals(Protocol):
    """What persons say to tools that agents want to share. Raises what the access manager refuses with."""

    async def ask(self, scope: Scope, request: SharingRequest) -> Approval:
        """Ask for an approval, or return the open one of an equal request, which may be given already."""
        ...

    async def consume(self, scope: Scope, approval_id: str, *, sha256: str, shown_sha256: str) -> None:
        """Use an approval of exactly this, which a person was shown so. A repeat of it succeeds for a day.

        Raises ApprovalRequired, ApprovalExpired or ApprovalDecided when it does not count, or no more.
        """
        ...


class PythonRuntime(Protocol):
    """What runs the Python of drafts."""

    async def facts(self) -> RuntimeFacts:
        """Return what it is now. Raises SandboxUnavailable."""
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

    def sent(self, outcome: str) -> None:
        """Record how a request ended that the kernel sent for a tool, or refused; a metric label."""
        ...
