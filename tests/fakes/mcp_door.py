"""The gateway's listener with its MCP server, in front of a fake kernel, and stock clients of it."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import aiohttp
import grpc
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from prometheus_client import CollectorRegistry

from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import resources_pb2, tool_pb2
from aios.errors import Unauthenticated
from aios.kernel import Kernel
from aios.testing import FakeKernel
from aios.testing.caller import Caller as KernelCaller
from gateway.http.config import DoorConfig
from gateway.http.core.aliases import Served
from gateway.http.dialect import Dialect
from gateway.http.fittings import Fittings
from gateway.http.mcp import routes
from gateway.http.mcp.door import McpDoor
from gateway.http.mcp.settings import McpSettings
from gateway.http.server import Door
from services.chassis.auth.tokens import Authenticator
from services.chassis.rpc.errors import CredentialRevoked
from services.chassis.rpc.local import LocalChannel
from services.chassis.rpc.status import peer_error
from services.chassis.runtime.clock import SystemClock

CURRENT = "2026-07-28"
BEFORE = "legacy"
"""The modes of the stock client that speak the current revision and the one before."""

SETTINGS = McpSettings(check_seconds=timedelta(seconds=0.05), tools_poll_seconds=timedelta(seconds=0.05))


class KernelErrors:
    """A channel whose calls raise KernelError, as those within the gateway do."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, *args: Any, **options: Any) -> Any:
        """Return what makes a call that answers once."""
        call = self._channel.unary_unary(*args, **options)

        async def answer(*request: Any, **more: Any) -> Any:
            try:
                return await call(*request, **more)
            except grpc.aio.AioRpcError as failure:
                raise peer_error(failure) from failure

        return answer

    def unary_stream(self, *args: Any, **options: Any) -> Any:
        """Return what makes a call that answers with a stream."""
        call = self._channel.unary_stream(*args, **options)

        async def events(*request: Any, **more: Any) -> AsyncGenerator[Any, None]:
            running = call(*request, **more)
            try:
                async for event in running:
                    yield event
            except grpc.aio.AioRpcError as failure:
                raise peer_error(failure) from failure
            finally:
                running.cancel()

        return events

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


Script = Callable[[tool_pb2.CallToolRequest], AsyncIterator[tool_pb2.CallToolResponse]]


class ScriptedTools:
    """Adds tools to a fake kernel that answer with whatever events a test wants."""

    def __init__(self, tools: Any) -> None:
        self._tools = tools
        self._scripts: dict[str, Script] = {}
        self.listing: Callable[[Any, KernelCaller], Awaitable[Any]] = tools.list_tools
        """What answers ListTools."""

    def script(self, name: str, events: Script, **fields: Any) -> None:
        """Have a tool whose calls send these events; `fields` are those of the tool."""
        tool = resources_pb2.Tool(name=f"tools/{name}", description=f"Does {name}.", etag="1", **fields)
        self._tools._tools[tool.name] = tool
        self._scripts[tool.name] = events

    async def list_tools(self, request: Any, caller: KernelCaller) -> Any:
        """ListTools."""
        return await self.listing(request, caller)

    async def call_tool(
        self, request: tool_pb2.CallToolRequest, caller: KernelCaller
    ) -> AsyncIterator[tool_pb2.CallToolResponse]:
        """CallTool."""
        script = self._scripts.get(request.tool)
        events: Any = self._tools.call_tool(request, caller) if script is None else script(request)
        async with aclosing(events):
            async for event in events:
                yield event

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tools, name)


def succeeded(**result: Any) -> tool_pb2.CallToolResponse:
    """Build the last event of a call that succeeded; the arguments are those of CallResult."""
    call = resources_pb2.Call(
        name="agents/a/calls/1",
        state=resources_pb2.CALL_STATE_SUCCEEDED,
        result=resources_pb2.CallResult(**result),
        attempt_count=1,
    )
    return tool_pb2.CallToolResponse(sequence=9, result=call)


class WatchedFiles:
    """Adds WatchFiles to a fake kernel's files."""

    def __init__(self, files: Any) -> None:
        self._files = files
        self._watchers: list[tuple[str, asyncio.Queue[storage_pb2.WatchFilesResponse]]] = []
        self.opened = 0
        """How often a watch was opened."""
        self._sequence = 0

    @property
    def watching(self) -> int:
        """How many watches are open."""
        return len(self._watchers)

    async def watch_files(
        self, request: storage_pb2.WatchFilesRequest, caller: KernelCaller
    ) -> AsyncIterator[storage_pb2.WatchFilesResponse]:
        """WatchFiles, without a memory of earlier events."""
        parent = caller.resolve(request.parent)
        entry = (parent, asyncio.Queue[storage_pb2.WatchFilesResponse]())
        self._watchers.append(entry)
        self.opened += 1
        try:
            yield storage_pb2.WatchFilesResponse(sequence=self._sequence)
            while True:
                yield await entry[1].get()
        finally:
            self._watchers.remove(entry)

    async def write_file(
        self, request: storage_pb2.WriteFileRequest, caller: KernelCaller
    ) -> storage_pb2.WriteFileResponse:
        """WriteFile, which the watches hear of."""
        written: storage_pb2.WriteFileResponse = await self._files.write_file(request, caller)
        self._sequence += 1
        change = storage_pb2.FILE_CHANGE_CREATED if written.created else storage_pb2.FILE_CHANGE_UPDATED
        event = storage_pb2.WatchFilesResponse(sequence=self._sequence, change=change, file=written.file)
        for parent, events in self._watchers:
            if written.file.name.startswith(f"{parent}/"):
                events.put_nowait(event)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


class FakeAuthenticator:
    """Knows the tokens of a fake kernel, which are no JWTs."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    async def authenticate(self, token: str) -> None:
        """Look at a token. Raises CredentialRevoked for one that the kernel does not take."""
        try:
            self._kernel.caller(token)
        except Unauthenticated as error:
            raise CredentialRevoked(error.message) from None


def current(method: str, params: dict[str, Any] | None = None, **headers: str) -> tuple[Any, dict[str, str]]:
    """Build a request of the current revision, and its headers."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": CURRENT,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "by hand", "version": "1"},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": meta}}
    return body, {"mcp_protocol_version": CURRENT, "mcp_method": method} | headers


@asynccontextmanager
async def stock_client(url: str, key: str, mode: str = CURRENT, **options: Any) -> AsyncIterator[Any]:
    """Connect the SDK's own client to an address, with a key."""
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, **options) as client:
            yield client


class McpWorld:
    """A fake kernel, the gateway's listener in front of it, and the MCP server there."""

    def __init__(self, kernel: FakeKernel, files: WatchedFiles, tools: ScriptedTools) -> None:
        self.kernel = kernel
        self.files = files
        self.tools = tools
        self.registry = CollectorRegistry()
        self.address = ""
        self.door: Door
        self.mcp: McpDoor
        self.http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Where MCP is spoken."""
        return f"{self.address}/mcp"

    def dialect(self, fittings: Fittings, settings: McpSettings) -> Dialect:
        """Make the MCP dialect, and keep hold of what is behind it."""
        made = routes.dialect(fittings, settings)
        self.mcp = made.mounts[0][1].__self__  # type: ignore[attr-defined]
        return made

    def counted(self, method: str, outcome: str) -> float:
        """Return how many requests of a method ended so."""
        labels = {"method": method, "outcome": outcome}
        return self.registry.get_sample_value("aios_mcp_requests_total", labels) or 0.0

    async def key(self, agent: str) -> str:
        """Register an agent and return its key."""
        async with self.kernel.connect() as admin:
            registered = await admin.agents.register(agent)
        return registered.credential.agent_key

    @asynccontextmanager
    async def as_agent(self, key: str) -> AsyncIterator[Kernel]:
        """Connect to the kernel as the agent with a key, over gRPC."""
        agent = self.kernel._agents._keys[key]
        token = next(token for token, (owner, _) in self.kernel._agents._tokens.items() if owner == agent)
        async with self.kernel.connect(token) as kernel:
            yield kernel

    def revoke(self, key: str) -> None:
        """Have the kernel take a key no more, nor what it was exchanged for."""
        agents = self.kernel._agents
        agent = agents._keys.pop(key)
        agents._tokens = {token: owner for token, owner in agents._tokens.items() if owner[0] != agent}

    @asynccontextmanager
    async def client(self, key: str, mode: str = CURRENT, **options: Any) -> AsyncIterator[Any]:
        """Connect a stock client."""
        async with stock_client(self.url, key, mode, **options) as client:
            yield client

    def post(self, key: str | None, body: Any, *, url: str = "", **headers: str) -> Any:
        """Send a request by hand, of the current revision if the headers say so."""
        named = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["authorization"] = f"Bearer {key}"
        data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        return self.http.post(url or self.url, data=data, headers=named)

    @asynccontextmanager
    async def listener(
        self, settings: McpSettings, config: DoorConfig | None = None
    ) -> AsyncIterator[tuple[str, Door]]:
        """Run a gateway's listener in front of the kernel. Yields its address and itself."""
        channel = grpc.aio.insecure_channel(self.kernel.endpoint)
        door = Door(
            config or DoorConfig(),
            lambda fittings: [self.dialect(fittings, settings)],
            authenticator=cast("Authenticator", FakeAuthenticator(self.kernel)),
            clock=SystemClock(),
            registry=CollectorRegistry() if self.address else self.registry,
            served=lambda: Served(frozenset(), ""),
            room=lambda _tenant, _agent: (256, 255),
            host="127.0.0.1",
            port=0,
        )
        await door.start(cast("LocalChannel", KernelErrors(channel)))
        try:
            yield f"http://127.0.0.1:{door.port}", door
        finally:
            await door.drain()
            await door.stop(1.0)
            await channel.close()


@asynccontextmanager
async def mcp_world(
    settings: McpSettings = SETTINGS, *, config: DoorConfig | None = None, **changes: Any
) -> AsyncIterator[McpWorld]:
    """Run a fake kernel and the listener in front of it; `changes` are those to the settings."""
    kernel = FakeKernel()
    files, tools = WatchedFiles(kernel.area("StorageService")), ScriptedTools(kernel.area("ToolService"))
    kernel._areas |= {"StorageService": files, "ToolService": tools}
    async with kernel:
        world = McpWorld(kernel, files, tools)
        async with (
            world.listener(replace(settings, **changes), config) as (world.address, world.door),
            aiohttp.ClientSession() as world.http,
        ):
            yield world
