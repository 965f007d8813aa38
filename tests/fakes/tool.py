"""A tool manager in this process, on any store, with scripted functions, and a stub of it over a socket."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aios.api.tool.v1 import tool_pb2, tool_pb2_grpc
from services.chassis import codec
from services.chassis.auth.authz_client import Authorizer
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import ApprovalRequired, InvalidRequest, ServiceUnavailable
from services.chassis.runtime.clock import Clock
from services.chassis.sandbox.nowhere import Nowhere
from services.tool.adapters import openapi_handler
from services.tool.adapters.access_client import CallersAccess
from services.tool.config import ToolConfig
from services.tool.core.files import FileList, FileStat
from services.tool.core.openapi import Read
from services.tool.core.secrets import SecretKey
from services.tool.drivers.builtin.catalog import TOOLS
from services.tool.drivers.builtin.functions import BuiltinDriver
from services.tool.drivers.builtin.workers import Workers
from services.tool.drivers.mcp.terms import Dials
from services.tool.errors import SecretsUnavailable
from services.tool.main import build
from services.tool.model import Approval, DriverKind, Tool, ToolCall, ToolOutcome
from services.tool.ports import (
    Approvals,
    Audit,
    Documents,
    Job,
    PythonRuntime,
    Queue,
    SecretKeys,
    SharingApprovals,
    Store,
    ToolDriver,
)
from services.tool.service.facade import ToolService
from services.tool.servicer import ToolServicer
from tests.fakes.access import AllowOwner
from tests.fakes.clock import FakeClock
from tests.fakes.files import MemoryFiles
from tests.fakes.meters import RecordingMeter
from tests.fakes.rpc import serving
from tests.fakes.stores.tool import InMemoryStore
from tests.fakes.tool_making import FakePeople, FakeRuntime
from tests.fakes.tool_queue import LocalQueue
from tests.fakes.web import way_out

Function = Callable[[Mapping[str, Any]], Awaitable[Any]]


class FakeFiles:
    """A FileSearch that knows some paths."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths

    async def search(self, query: str, limit: int) -> FileList:
        """Return the files whose paths hold the query."""
        found = [path for path in self.paths if query in path][:limit]
        return FileList(tuple(FileStat(path, 0, "e1") for path in found))


class ScriptedBuiltins:
    """The real built-in functions and further ones that a test scripts; counts how often each ran."""

    def __init__(self, clock: Clock, **functions: Function) -> None:
        self._real = BuiltinDriver(
            clock,
            FakeFiles("notes/todo.txt", "notes/done.txt"),
            MemoryFiles(),
            Workers(),
            way_out(["https://*"]).guard,
            sandbox=Nowhere("tests"),
        )
        self._functions = functions
        self.runs: Counter[str] = Counter()

    async def prepare(self, scope: Scope, tool: Tool) -> Tool:
        """Let the scripted functions pass."""
        return tool if tool.driver.function in self._functions else await self._real.prepare(scope, tool)

    def problem(self, scope: Scope, tool: Tool) -> str:
        """Return nothing for the scripted functions."""
        return "" if tool.driver.function in self._functions else self._real.problem(scope, tool)

    async def run(self, job: Job) -> ToolOutcome:
        """Run one."""
        function = job.tool.driver.function
        self.runs[function] += 1
        if function in self._functions:
            return ToolOutcome(value=await self._functions[function](job.arguments))
        return await self._real.run(job)


class FakeApprovals:
    """A person whose say a test sets: None (undecided), True or False; keeps what was asked and spent."""

    def __init__(self) -> None:
        self.say: bool | None = None
        self.asked: list[tuple[str, str]] = []
        self.spent: list[str] = []
        self._open = 0
        self._tool: Tool | None = None

    async def ask(self, _scope: Scope, tool: Tool, _call: ToolCall, arguments_json: str) -> Approval:
        """Ask, or return the open approval."""
        self.asked.append((tool.id, arguments_json))
        self._tool = tool
        return self._approval(f"a{self._open}")

    async def poll(self, approval_id: str) -> Approval:
        """Return the approval."""
        if self.say is False:
            raise ApprovalRequired("rejected")
        return self._approval(approval_id)

    async def consume(self, _scope: Scope, approval_id: str, _call: ToolCall, tool: Tool) -> None:
        """Use the approval."""
        if tool != self._tool:
            raise ApprovalRequired("approved for another version of the tool")
        if not self.say or approval_id in self.spent:
            raise ApprovalRequired("not approved")
        self.spent.append(approval_id)
        self._open += 1
        self.say = None

    def _approval(self, approval_id: str) -> Approval:
        return Approval(approval_id, bool(self.say), datetime(2030, 1, 1, tzinfo=UTC))


class FakeSecretKeys:
    """Keys that a test puts in; at first there is none yet, and one can be made."""

    def __init__(self, *keys: SecretKey) -> None:
        self.keys = keys
        self.missing = False

    async def all(self) -> Sequence[SecretKey]:
        """Return the keys."""
        if self.missing:
            raise SecretsUnavailable("there is no key for secrets")
        return self.keys

    async def make(self) -> Sequence[SecretKey]:
        """Make the first key."""
        self.keys = self.keys or (SecretKey("k1", bytes(32)),)
        return await self.all()


class FakeAudit:
    """An audit log in RAM: what was noted, by method and resource."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.down = False

    async def note(
        self, method: str, action: str, resource: str, _request: RequestIdentity, *, words: str = ""
    ) -> None:
        """Note it, unless the log cannot be reached."""
        if self.down:
            raise ServiceUnavailable("the audit log cannot be reached")
        self.noted.append((method, action, resource))
        self.words.append(words)


class InThisProcess:
    """Reads documents here, as the worker would."""

    async def read(self, _tenant: str, document: bytes) -> Read:
        """Return what a document offers."""
        found = codec.decode(Read, openapi_handler.read(document))
        if found.problem:
            raise InvalidRequest.field("document", found.problem)
        return found


class Gate:
    """A function that runs until the test lets it go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.inside = 0

    async def __call__(self, _arguments: Mapping[str, Any]) -> Any:
        """Wait to be let go."""
        self.inside += 1
        self.entered.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        finally:
            self.inside -= 1
        return {"result": "done"}


def tool_service(
    *,
    config: ToolConfig | None = None,
    store: Store | None = None,
    clock: Clock | None = None,
    meter: RecordingMeter | None = None,
    authorizer: Authorizer | None = None,
    builtins: ScriptedBuiltins | None = None,
    approvals: Approvals | None = None,
    queue: Queue | None = None,
    drivers: Mapping[DriverKind, ToolDriver] | None = None,
    documents: Documents | None = None,
    dials: Dials | None = None,
    grace_seconds: float = 0.2,
    secret_keys: SecretKeys | None = None,
    audit: Audit | None = None,
    sharing: SharingApprovals | None = None,
    runtime: PythonRuntime | None = None,
) -> ToolService:
    """Wire a tool manager; what is not given is a fake."""
    clock = clock or FakeClock()
    return build(
        config or ToolConfig(),
        store=store or InMemoryStore(),
        clock=clock,
        meter=meter or RecordingMeter(),
        access=CallersAccess(authorizer or AllowOwner()),
        drivers={DriverKind.BUILTIN: builtins or ScriptedBuiltins(clock), **(drivers or {})},
        documents=documents or InThisProcess(),
        given=TOOLS,
        approvals=approvals or FakeApprovals(),
        queue=queue or LocalQueue(),
        secret_keys=secret_keys or FakeSecretKeys(),
        audit=audit or FakeAudit(),
        sharing=sharing or FakePeople(),
        runtime=runtime or FakeRuntime(),
        dials=dials,
        grace_seconds=grace_seconds,
    )


@asynccontextmanager
async def tool_stub(
    service: ToolService | None = None, *, authorizer: Authorizer | None = None
) -> AsyncIterator["tool_pb2_grpc.ToolServiceAsyncStub"]:
    """Serve a tool manager on a free port and yield a stub of it; stops its calls at the end."""
    authorizer = authorizer or AllowOwner()
    service = service or tool_service(authorizer=authorizer)
    add = tool_pb2_grpc.add_ToolServiceServicer_to_server
    async with serving((add, ToolServicer(service), tool_pb2.DESCRIPTOR), authorizer=authorizer) as channel:
        stub: tool_pb2_grpc.ToolServiceAsyncStub = tool_pb2_grpc.ToolServiceStub(channel)
        yield stub
    await service.calls.stop()
    await service.servers.stop()
