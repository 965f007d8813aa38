"""A canary secret through everything that a call of a tool leaves: none of it shows the value."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from aios.api.tool.v1 import tool_pb2
from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.tool.core.redaction import forms
from services.tool.core.secrets import MARKER
from services.tool.errors import ToolFailed
from services.tool.model import (
    CallError,
    ContentPart,
    Driver,
    DriverKind,
    Effect,
    HttpEndpoint,
    Progress,
    Tool,
    ToolOutcome,
)
from services.tool.ports import Job, Secrets, Transaction
from services.tool.service.secrets import SecretVault
from services.tool.store.sql import MIGRATIONS, SqlStore
from tests.fakes import tokens
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated
from tests.fakes.tool import FakeApprovals, FakeSecretKeys, tool_service, tool_stub

if TYPE_CHECKING:
    from aios.api.tool.v1.tool_pb2_grpc import ToolServiceAsyncStub

CANARY: Final = 'sk-canary"é/0123456789'
PLACE: Final = "https://api.example.com"
PLANNER: Final = tokens.metadata("planner")
TENANT: Final = Scope("acme", "root")


class Careless:
    """A driver that resolves a secret and says it in the way that its tool is named after."""

    def __init__(self) -> None:
        self.secrets: Secrets | None = None
        self.resolved: list[str] = []

    async def prepare(self, _scope: Scope, tool: Tool) -> Tool:
        """Take everything."""
        return tool

    def problem(self, _scope: Scope, _tool: Tool) -> str:
        """Find nothing wrong."""
        return ""

    async def run(self, job: Job) -> ToolOutcome:
        """Say it."""
        assert self.secrets is not None
        value = (await self.secrets.resolve(job.scope.tenant, ["github"], PLACE))["github"].reveal()
        self.resolved.append(job.tool.id)
        encoded = base64.b64encode(f"me:{value}".encode()).decode()
        match job.tool.id:
            case "result":
                return ToolOutcome(value={value: [value, encoded, json.dumps(value), "x" * 70_000 + value]})
            case "pieces":
                return ToolOutcome(pieces=(ContentPart(text=value), ContentPart(data_base64=encoded)))
            case "error":
                return ToolOutcome(
                    error=CallError("TOOL_FAILED", value, details_json=json.dumps({"k": value}))
                )
            case "raises":
                raise ToolFailed(f"said {value}", metadata={"said": value}) from ValueError(value)
            case "crashes":
                raise RuntimeError(f"said {value}")
            case "progress":
                for piece in ("so far ", value[:7], value[7:], " and", value[:5]):
                    job.tell(Progress(message=value, partial_output=piece))
        return ToolOutcome(value={"ok": True})


class World:
    """A tool manager with a canary in it, on a database in a file."""

    def __init__(self, stub: ToolServiceAsyncStub, driver: Careless, folder: Path) -> None:
        self.stub = stub
        self.driver = driver
        self.folder = folder

    async def told(self, tool: str) -> bytes:
        """Call a tool and return everything that its caller is told, now and later."""
        request = tool_pb2.CallToolRequest(
            tool=f"tools/{tool}", arguments_json=json.dumps({"said": CANARY}), request_id=tool
        )
        said = []
        try:
            stream = self.stub.CallTool(request, metadata=PLANNER)
            said += [event.SerializeToString() async for event in stream]
        except grpc.aio.AioRpcError as failure:
            said.append(f"{failure.details()} {failure.trailing_metadata()!r}".encode())
            said += [
                bytes(value) for _, value in failure.trailing_metadata() or () if isinstance(value, bytes)
            ]
        name = tool_pb2.GetCallRequest(name=f"agents/me/calls/{tool}")
        kept = await self.stub.GetCall(name, metadata=PLANNER)
        listed = await self.stub.ListCalls(tool_pb2.ListCallsRequest(parent="agents/me"), metadata=PLANNER)
        return b"\n".join((*said, kept.SerializeToString(), listed.SerializeToString()))

    def files(self) -> bytes:
        """Return all that is in the folder of the database."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.iterdir()) if path.is_file())


@asynccontextmanager
async def made(folder: Path, approvals: FakeApprovals | None = None) -> AsyncIterator[World]:
    async with migrated(f"sqlite:///{folder / 'tool.db'}", MIGRATIONS) as database:
        store, keys, driver = SqlStore(database, FakeClock()), FakeSecretKeys(), Careless()
        driver.secrets = SecretVault(store, keys)
        service = tool_service(
            store=store, secret_keys=keys, drivers={DriverKind.HTTP: driver}, approvals=approvals
        )
        actor = RequestIdentity("root", "SetSecret", "r1", admin=True)
        await service.secrets.set(TENANT, actor, "github", CANARY, PLACE)
        http = HttpEndpoint(url=PLACE, method="GET", secret_headers={"authorization": "github"})

        def work(tx: Transaction) -> None:
            for name in ("result", "pieces", "error", "raises", "crashes", "progress"):
                tx.put_tool(
                    Tool(
                        id=name,
                        owner="planner",
                        parameters_schema='{"type":"object"}',
                        effect=Effect.REVERSIBLE if approvals is None else Effect.IRREVERSIBLE,
                        driver=Driver(DriverKind.HTTP, http=http),
                    )
                )

        await store.write(TENANT, work)
        async with tool_stub(service) as stub:
            yield World(stub, driver, folder)


@pytest.mark.parametrize("way", ["result", "pieces", "error", "raises", "crashes", "progress"])
async def test_whatever_a_tool_does_with_its_secret_nobody_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, way: str
) -> None:
    async with made(tmp_path) as world:
        told = await world.told(way)
        files = world.files()
    assert world.driver.resolved == [way]
    assert MARKER.encode() in told or way == "crashes"
    logged = caplog.text + "".join(capfd.readouterr())
    for form in forms(CANARY):
        assert form not in told
        assert form not in logged.encode()
        assert form not in files


async def test_output_that_comes_in_pieces_comes_whole_but_for_the_secret(tmp_path: Path) -> None:
    async with made(tmp_path) as world:
        request = tool_pb2.CallToolRequest(tool="tools/progress", arguments_json="{}")
        events = [event async for event in world.stub.CallTool(request, metadata=PLANNER)]
    output = "".join(event.progress.partial_output for event in events)
    assert output == f"so far {MARKER} and{CANARY[:5]}"


async def test_a_secret_is_not_resolved_before_a_person_approved(tmp_path: Path) -> None:
    async with made(tmp_path, FakeApprovals()) as world:
        request = tool_pb2.CallToolRequest(tool="tools/result", arguments_json="{}")
        with pytest.raises(grpc.aio.AioRpcError):
            [event async for event in world.stub.CallTool(request, metadata=PLANNER)]
        assert world.driver.resolved == []
