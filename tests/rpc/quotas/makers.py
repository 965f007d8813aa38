"""How an agent makes one more of each thing that has a quota, by manager."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from aios.api.access.v1 import resources_pb2 as access_resources
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2, context_pb2_grpc
from aios.api.context.v1 import resources_pb2 as context_resources
from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from aios.api.storage.v1 import resources_pb2 as storage_resources
from aios.api.storage.v1 import storage_pb2, storage_pb2_grpc
from aios.api.tool.v1 import making_pb2, secrets_pb2, tool_pb2, tool_pb2_grpc
from aios.api.tool.v1 import resources_pb2 as tool_resources
from services.access.config import AccessConfig
from services.access.core.agent_tree import TreeLimits
from services.access.main import servicers
from services.access.model.agents import Agent, AgentState
from services.access.ports.store import Transaction
from services.chassis.dispatch.scheduling import Hints
from services.chassis.quotas import caps_of
from services.chassis.rpc.client import Metadata
from services.context.config import ContextConfig
from services.context.servicer import ContextServicer
from services.memory.config import MemoryConfig
from services.memory.servicer import MemoryServicer
from services.storage.config import StorageConfig
from services.storage.main import servicer as storage_servicer
from services.storage.model import StorageLimits
from services.tool.config import ToolConfig
from services.tool.core.mcp_servers import McpServer
from services.tool.drivers.mcp.terms import Dialled
from services.tool.model import DriverKind
from services.tool.servicer import ToolServicer
from tests.fakes import tokens
from tests.fakes.access_manager import desk
from tests.fakes.clock import FakeClock
from tests.fakes.context import context_service
from tests.fakes.mcp_servers import FakeDials, FakeServer
from tests.fakes.memory import memory_service
from tests.fakes.quotas import ROOT, TREES, WithTrees, local_channel
from tests.fakes.storage import Kernel
from tests.fakes.stores.access import MemoryStore
from tests.fakes.tool import Gate, ScriptedBuiltins, tool_service
from tests.fakes.tool_making import FakePython, PeopleWhoAgree

UNIT: Final = 10_000
"""What one more takes of a quota of bytes, and up to a sixth less."""
_SIZE: Final = 9_000
TENANT: Final = "acme"
OPEN: Final[list[Any]] = []
"""Streams that agents have open."""
ADMIN: Final = tokens.metadata("boss", kind="admin")

Make = Callable[[Any, str, int], Awaitable[Any]]
"""Makes one more, by a stub, as an agent; the number tells it from others."""


@dataclass(frozen=True)
class Manager:
    """A manager under test."""

    config: type[Any]
    build: Callable[[Any, Path], Awaitable[Any]]
    """Returns a stub of a manager with a config, and a folder for its files."""
    usage: Callable[[Any, Metadata], Awaitable[Any]]
    """Asks for the usage of the caller."""
    makes: dict[str, Make]
    """By quota."""
    of_tenant: frozenset[str] = frozenset()
    """Those that belong to the tenant; administrators make them."""


async def write(stub: Any, who: str, number: int, **more: Any) -> None:
    request = storage_pb2.WriteFileRequest(name=f"agents/me/files/{number}", content=b"x" * _SIZE, **more)
    await stub.WriteFile(request, metadata=tokens.metadata(who))


async def delete(stub: Any, who: str, number: int) -> None:
    await write(stub, who, number)
    await stub.DeleteFile(
        storage_pb2.DeleteFileRequest(name=f"agents/me/files/{number}"), metadata=tokens.metadata(who)
    )


async def begin(stub: Any, who: str, number: int) -> str:
    request = storage_pb2.BeginUploadRequest(file=f"agents/me/files/{number}")
    return str((await stub.BeginUpload(request, metadata=tokens.metadata(who))).upload.name)


async def chunk(stub: Any, who: str, number: int) -> None:
    request = storage_pb2.UploadChunkRequest(upload=await begin(stub, who, number), data=b"x")
    await stub.UploadChunk(request, metadata=tokens.metadata(who))


async def record(stub: Any, who: str, number: int, collection: str = "c") -> None:
    new = storage_resources.Record(key=f"r{number}")
    request = storage_pb2.PutRecordsRequest(collection=f"agents/me/collections/{collection}", records=[new])
    await stub.PutRecords(request, metadata=tokens.metadata(who))


async def collection(stub: Any, who: str, number: int) -> None:
    await record(stub, who, number, f"c{number}")


async def note(stub: Any, who: str, number: int, request_id: str = "") -> None:
    new = memory_pb2.Note(name=f"agents/me/notes/{number}", content="x" * _SIZE)
    await stub.PutNote(
        memory_pb2.PutNoteRequest(note=new, request_id=request_id), metadata=tokens.metadata(who)
    )


async def link(stub: Any, who: str, number: int) -> None:
    for key in (number, 1_000 + number):
        await note(stub, who, key)
    there = memory_pb2.NoteLink(note=f"agents/me/notes/{1_000 + number}")
    request = memory_pb2.LinkNotesRequest(name=f"agents/me/notes/{number}", add=[there])
    await stub.LinkNotes(request, metadata=tokens.metadata(who))


async def context(stub: Any, who: str, number: int, request_id: str = "") -> None:
    said = chat_pb2.ChatMessage(role=chat_pb2.ROLE_USER, content="x" * _SIZE)
    request = context_pb2.CreateContextRequest(
        context=context_resources.Context(name=f"agents/me/contexts/c{number}"),
        messages=[context_resources.Message(message=said)],
        request_id=request_id,
    )
    await stub.CreateContext(request, metadata=tokens.metadata(who))


async def snapshot(stub: Any, who: str, number: int) -> None:
    state = context_resources.Snapshot(
        name=f"agents/me/generations/g{number}", model="demo", prompt_text="x" * _SIZE, sequence=1
    )
    await stub.SaveSnapshot(context_pb2.SaveSnapshotRequest(snapshot=state), metadata=tokens.metadata(who))


async def _storage(config: StorageConfig, _folder: Path) -> Any:
    limits = StorageLimits(versions=config.max_versions, caps=caps_of(config))
    channel = local_channel(storage_servicer(Kernel(limits=limits).service))
    return storage_pb2_grpc.StorageServiceStub(channel)


async def _memory(config: MemoryConfig, _folder: Path) -> Any:
    servicer = MemoryServicer(memory_service(config=config))
    add = memory_pb2_grpc.add_MemoryServiceServicer_to_server
    return memory_pb2_grpc.MemoryServiceStub(local_channel((add, servicer, memory_pb2.DESCRIPTOR)))


async def _context(config: ContextConfig, _folder: Path) -> Any:
    servicer = ContextServicer(context_service(config=config, authorizer=WithTrees()))
    add = context_pb2_grpc.add_ContextServiceServicer_to_server
    return context_pb2_grpc.ContextServiceStub(local_channel((add, servicer, context_pb2.DESCRIPTOR)))


async def register(stub: Any, who: str, number: int) -> None:
    request = agent_pb2.RegisterAgentRequest(parent="agents/me", agent_id=f"x{number}")
    await stub.agents.RegisterAgent(request, metadata=tokens.metadata(who))


async def grant(stub: Any, who: str, number: int, request_id: str = "") -> None:
    new = access_resources.Grant(
        grantee=f"agents/{ROOT}", resource=f"agents/{who}/notes/{number}", actions=["memory.read"]
    )
    request = access_pb2.CreateGrantRequest(grant=new, request_id=request_id)
    await stub.access.CreateGrant(request, metadata=tokens.metadata(who))


async def approval(stub: Any, who: str, number: int) -> None:
    arguments = f"{number}".zfill(_SIZE)
    digest = hashlib.sha256(arguments.encode()).hexdigest()
    wanted = access_resources.Approval(
        agent=f"agents/{who}", action="tool.call", resource="tools/x", arguments_sha256=digest
    )
    request = access_pb2.RequestApprovalRequest(tenant=TENANT, approval=wanted, arguments=arguments)
    await stub.access.RequestApproval(request, metadata=tokens.metadata("tool", kind="service"))


async def revoke(stub: Any, who: str, number: int) -> None:
    request = access_pb2.RevokeTokenRequest(token_id=f"{who}-{number}")
    await stub.access.RevokeToken(request, metadata=tokens.metadata(who))


async def tool(stub: Any, who: str, number: int, request_id: str = "", **driver: Any) -> None:
    new = tool_resources.Tool(
        name=f"tools/{who}-{number}",
        description="A test.",
        effect=tool_resources.TOOL_EFFECT_REVERSIBLE,
        parameters_schema_json='{"type": "object"}',
        **(driver or {"provider": tool_resources.ProviderDriver()}),
    )
    request = tool_pb2.RegisterToolRequest(tool=new, request_id=request_id)
    await stub.RegisterTool(request, metadata=tokens.metadata(who))


async def secret(stub: Any, _who: str, number: int) -> None:
    request = secrets_pb2.SetSecretRequest(
        name=f"secrets/s{number}", value="a secret value", bound_to="https://api.example.com"
    )
    await stub.SetSecret(request, metadata=ADMIN)


async def draft(stub: Any, who: str, number: int) -> str:
    new = making_pb2.ToolDraft(
        name=f"agents/me/drafts/d{number}",
        description="A test.",
        python=tool_resources.PythonDriver(source="# order\n" + "#" * 8_200, function="f"),
        examples=[making_pb2.ToolExample(result_schema_json="{}")] * 2,
    )
    request = making_pb2.DraftToolRequest(draft=new)
    return str((await stub.DraftTool(request, metadata=tokens.metadata(who))).draft.name)


async def tool_version(stub: Any, who: str, number: int) -> None:
    name = await draft(stub, who, number)
    await stub.TestDraft(making_pb2.TestDraftRequest(name=name), metadata=tokens.metadata(who))
    await stub.ShareDraft(making_pb2.ShareDraftRequest(name=name), metadata=tokens.metadata(who))


async def call(stub: Any, who: str, _number: int) -> None:
    request = tool_pb2.CallToolRequest(tool="tools/clock", arguments_json="{}")
    async for event in stub.CallTool(request, metadata=tokens.metadata(who)):
        assert event


async def long_call(stub: Any, who: str, number: int) -> None:
    await tool(stub, who, number, builtin=tool_resources.BuiltinDriver(function="long"))
    request = tool_pb2.CallToolRequest(tool=f"tools/{who}-{number}", arguments_json="{}")
    async for event in stub.CallTool(request, metadata=tokens.metadata(who)):
        assert event


async def tell_long(_arguments: Mapping[str, Any]) -> Any:
    return {"result": "x" * (UNIT - 1_200)}


class Everywhere(FakeDials):
    """Dials that reach a server without tools wherever they are told to go."""

    async def dial(self, tenant: str, server: McpServer) -> Dialled:
        """Open a session."""
        self.servers.setdefault(server.id, FakeServer())
        return await super().dial(tenant, server)


async def mcp_server(stub: Any, who: str, number: int) -> None:
    web = tool_resources.McpHttp(url="https://mcp.example.com/mcp")
    server = tool_resources.McpServer(name=f"mcpservers/{who}-{number}", http=web)
    await stub.AddMcpServer(tool_pb2.AddMcpServerRequest(server=server), metadata=tokens.metadata(who))


async def running(stub: Any, who: str, number: int) -> None:
    await tool(stub, who, number, builtin=tool_resources.BuiltinDriver(function="slow"))
    request = tool_pb2.CallToolRequest(tool=f"tools/{who}-{number}", arguments_json="{}", detach=True)
    await first(stub.CallTool(request, metadata=tokens.metadata(who)))


async def provider(stub: Any, who: str, number: int) -> None:
    await tool(stub, who, number)
    request = tool_pb2.TakeCallsRequest(tools=[f"tools/{who}-{number}"])
    await first(stub.TakeCalls(request, metadata=tokens.metadata(who)))


async def first(stream: Any) -> None:
    """Read what a stream begins with, and leave it open."""
    events = aiter(stream)
    await anext(events)
    OPEN.append(events)


async def group(stub: Any, _who: str, number: int) -> None:
    new = access_resources.Group(name=f"groups/g{number}")
    await stub.access.CreateGroup(access_pb2.CreateGroupRequest(group=new), metadata=ADMIN)


async def membership(stub: Any, who: str, number: int) -> None:
    await group(stub, who, number)
    request = access_pb2.AddMemberRequest(group=f"groups/g{number}", member=f"agents/{ROOT}")
    await stub.access.AddMember(request, metadata=ADMIN)


async def policy(stub: Any, _who: str, number: int) -> None:
    new = access_resources.Policy(
        name="policies/p", text=f'@id("p") forbid(principal, action, resource) when {{ 1 > {number} }};'
    )
    await stub.access.PutPolicy(access_pb2.PutPolicyRequest(policy=new), metadata=ADMIN)


def _insert(agent: Agent, tx: Transaction) -> bool:
    return tx.agents.insert(agent)


async def _tool(config: ToolConfig, _folder: Path) -> Any:
    builtins = ScriptedBuiltins(FakeClock(), slow=Gate(), long=tell_long)
    service = tool_service(
        config=config,
        authorizer=WithTrees(),
        builtins=builtins,
        drivers={DriverKind.PYTHON: FakePython()},
        sharing=PeopleWhoAgree(),
        dials=Everywhere(),
    )
    servicer = ToolServicer(service)
    add = tool_pb2_grpc.add_ToolServiceServicer_to_server
    return tool_pb2_grpc.ToolServiceStub(local_channel((add, servicer, tool_pb2.DESCRIPTOR)))


async def _access(config: AccessConfig, folder: Path) -> Any:
    store, now = MemoryStore(), FakeClock().now()
    made = await asyncio.to_thread(desk, store, folder, caps=caps_of(config), tree=TreeLimits())
    for name, root in TREES.items():
        above = () if name == root else (root,)
        agent = Agent(
            tenant=TENANT,
            id=name,
            parent="".join(above),
            ancestors=above,
            display_name=name,
            kind="",
            hints=Hints(),
            labels={},
            suspended=False,
            state=AgentState.ACTIVE,
            revision=1,
            create_time=now,
            update_time=now,
        )
        await store.write(partial(_insert, agent))
    channel = local_channel(*servicers(made.manager))
    return SimpleNamespace(
        agents=agent_pb2_grpc.AgentServiceStub(channel), access=access_pb2_grpc.AccessServiceStub(channel)
    )


def _usage(pb: Any) -> Callable[[Any, Metadata], Awaitable[Any]]:
    return lambda stub, who: stub.GetUsage(pb.GetUsageRequest(name="agents/me"), metadata=who)


MANAGERS: Final = {
    "storage": Manager(
        StorageConfig,
        _storage,
        _usage(storage_pb2),
        {
            "bytes": write,
            "files": write,
            "versions": write,
            "trash": delete,
            "uploads": begin,
            "chunks": chunk,
            "collections": collection,
            "records": record,
            "replies": lambda stub, who, number: write(stub, who, number, request_id=f"r{number}"),
        },
    ),
    "memory": Manager(
        MemoryConfig,
        _memory,
        _usage(memory_pb2),
        {
            "notes": note,
            "note_bytes": note,
            "links": link,
            "replies": lambda stub, who, number: note(stub, who, number, f"r{number}"),
        },
    ),
    "context": Manager(
        ContextConfig,
        _context,
        _usage(context_pb2),
        {
            "contexts": context,
            "messages": context,
            "context_bytes": context,
            "snapshots": snapshot,
            "snapshot_bytes": snapshot,
            "replies": lambda stub, who, number: context(stub, who, number, f"r{number}"),
        },
    ),
    "access": Manager(
        AccessConfig,
        _access,
        lambda stub, who: stub.access.GetUsage(access_pb2.GetUsageRequest(name="agents/me"), metadata=who),
        {
            "agents": register,
            "agent_rows": register,
            "grants": grant,
            "grant_rows": grant,
            "open_approvals": approval,
            "open_approval_bytes": approval,
            "approval_rows": approval,
            "revocations": revoke,
            "groups": group,
            "memberships": membership,
            "policy_versions": policy,
            "replies": lambda stub, who, number: grant(stub, who, number, f"r{number}"),
        },
        of_tenant=frozenset({"groups", "memberships", "policy_versions"}),
    ),
    "tool": Manager(
        ToolConfig,
        _tool,
        _usage(tool_pb2),
        {
            "tools": tool,
            "drafts": draft,
            "draft_bytes": draft,
            "tool_changes": draft,
            "tool_versions": tool_version,
            "mcp_servers": mcp_server,
            "secrets": secret,
            "calls": call,
            "call_bytes": long_call,
            "running_calls": running,
            "provider_streams": provider,
            "replies": lambda stub, who, number: tool(stub, who, number, f"r{number}"),
        },
        of_tenant=frozenset({"secrets"}),
    ),
}
