"""What the suite of the protocol's authors expects a server to have, as far as the kernel can have it.

The suite fixes names of tools, and of resources `test://...`. The tools are those of a provider; the
resources are files of the agent, and the way in between says `aios://files/` where the suite says `test://`,
and shows the key.
"""

import asyncio
import base64
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from aios._transport import Transport
from aios.api.tool.v1 import resources_pb2 as res
from aios.api.tool.v1 import tool_pb2 as pb
from aios.calls.provider import Provider
from aios.kernel import Kernel
from aios.toolkit import Tool

OURS: Final = b"aios://files/"
THEIRS: Final = b"test://"
_APPROVAL: Final = re.compile(r"approvals/[a-z0-9._-]+[a-z0-9]")
_OWN_HEADERS: Final = frozenset({"content-length", "transfer-encoding", "connection"})
"""Headers that each connection has of its own."""

PIXEL: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SOUND: Final = b"RIFF\x24\x00\x00\x00WAVEfmt "

FILES: Final[Mapping[str, bytes]] = {
    "static-text": b"This is the content of the static text resource.",
    "static-binary": PIXEL,
    "template/123/data": b'{"id":"123","templateTest":true,"data":"Data for ID: 123"}',
    "watched-resource": b"Watched.",
}

NO_ARGUMENTS: Final[dict[str, Any]] = {"type": "object", "properties": {}}
SCHEMA_2020_12: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
HEADERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "priority": {"type": "integer", "x-mcp-header": "Priority"},
        "verbose": {"type": "boolean", "x-mcp-header": "Verbose"},
        "query": {"type": "string"},
    },
}

APPROVED: Final[Mapping[str, int]] = {
    "test_input_required_result_elicitation": 1_000_000,
    "test_input_required_result_request_state": 1,
    "test_input_required_result_multi_round": 2,
    "test_input_required_result_tampered_state": 1,
}
"""Tools whose calls a person must approve, and how often that person is asked before doing so."""

Report = Callable[[float, float], Awaitable[None]]
Outcome = res.CallResult | res.CallError
Work = Callable[[Report], Awaitable[Outcome]]


def _returns(*pieces: res.Content, value: str = "null") -> Work:
    async def work(_report: Report) -> Outcome:
        return res.CallResult(value_json=value, content=pieces)

    return work


async def _fails(_report: Report) -> Outcome:
    return res.CallError(reason="TOOL_FAILED", message="This tool intentionally returns an error for testing")


async def _progresses(report: Report) -> Outcome:
    for done in (0.0, 50.0, 100.0):
        await report(done, 100.0)
        await asyncio.sleep(0.05)
    return res.CallResult(value_json='"done"')


_IMAGE: Final = res.Content(data=PIXEL, media_type="image/png")
_EMBEDDED: Final = res.Content(text='{"test":"data","value":123}', media_type="application/json")

TOOLS: Final[Mapping[str, tuple[Work, dict[str, Any]]]] = {
    "test_simple_text": (
        _returns(value='"This is a simple text response for testing."'),
        NO_ARGUMENTS,
    ),
    "test_image_content": (_returns(_IMAGE), NO_ARGUMENTS),
    "test_audio_content": (_returns(res.Content(data=SOUND, media_type="audio/wav")), NO_ARGUMENTS),
    "test_embedded_resource": (_returns(_EMBEDDED), NO_ARGUMENTS),
    "test_multiple_content_types": (
        _returns(res.Content(text="Multiple content types test:"), _IMAGE, _EMBEDDED),
        NO_ARGUMENTS,
    ),
    "test_error_handling": (_fails, NO_ARGUMENTS),
    "test_tool_with_progress": (_progresses, NO_ARGUMENTS),
    "json_schema_2020_12_tool": (_returns(value='"ok"'), SCHEMA_2020_12),
    "test_custom_headers": (_returns(value='"ok"'), HEADERS),
    **{name: (_returns(value='"state-ok"'), NO_ARGUMENTS) for name in APPROVED},
}
CHANGING: Final = "test_trigger_tool_change"
"""A tool that registers another one."""


class FixtureProvider(Provider):
    """A provider whose results have pieces of every kind; the SDK's own returns JSON alone."""

    async def _outcome(self, call: pb.TakenCall) -> Outcome:
        async def report(done: float, total: float) -> None:
            progress = pb.CallProgress(progress=done, total=total)
            request = pb.ReportCallProgressRequest(call=call.call, lease_id=call.lease_id, progress=progress)
            await self._transport.call(request, pb.ReportCallProgressResponse)

        name = call.tool.removeprefix("tools/")
        if name == CHANGING:
            await _register(self._transport, f"new-{call.call.rpartition('/')[2]}", NO_ARGUMENTS)
            return res.CallResult(value_json="null")
        work, _schema = TOOLS[name]
        return await work(report)


class Person:
    """Decides about calls, in the kernel, whenever a client is told that they wait."""

    def __init__(self, admin: Kernel) -> None:
        self._admin = admin
        self._asked: Counter[str] = Counter()

    async def hear(self, answer: bytes) -> None:
        """Look at what a client is told, before it hears it."""
        if b"input_required" not in answer:
            return
        for approval in set(_APPROVAL.findall(answer.decode())):
            self._asked[approval] += 1
            found = next(one for one in await self._admin.access.approvals() if one.name == approval)
            if self._asked[approval] >= APPROVED[found.resource.removeprefix("tools/")]:
                await self._admin.access.decide(approval, approve=True)


@asynccontextmanager
async def fixtures(kernel: Kernel, admin: Kernel, agent: str) -> AsyncIterator[None]:
    """Give an agent the files, and provide the tools as that agent, whom the administrator lets do so."""
    for path, content in FILES.items():
        await kernel.files.write(path, content)
    await admin.access.grant(agent, "tools/", ["tool.register"], prefix=True)
    transport = kernel.tools._transport
    for name, (_work, schema) in TOOLS.items():
        await _register(transport, name, schema)
    await _register(transport, CHANGING, NO_ARGUMENTS)
    tools = [Tool(lambda: None, name=name, description=name) for name in (*TOOLS, CHANGING)]
    async with FixtureProvider(transport, tools, capacity=8, instance="conformance"):
        yield


async def _register(transport: Transport, name: str, schema: Mapping[str, Any]) -> None:
    tool = res.Tool(
        name=f"tools/{name}",
        description=f"{name} of the conformance suite.",
        parameters_schema_json=json.dumps(schema),
        effect=res.TOOL_EFFECT_IDEMPOTENT,
        requires_approval=name in APPROVED,
        provider=res.ProviderDriver(),
    )
    await transport.call(pb.RegisterToolRequest(tool=tool), pb.RegisterToolResponse)


@asynccontextmanager
async def way_in(url: str, key: str, person: Person) -> AsyncIterator[str]:
    """Lead a client that has no key to `/mcp` of a door, with one. Yields the address that it uses."""
    async with aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout()) as session:
        passage = _Passage(f"{url}/mcp", key, person)

        async def lead(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            with contextlib.suppress(ConnectionError):  # the client had enough
                await passage.lead(session, request, answer)
            return answer

        app = web.Application()
        app.router.add_route("*", "/mcp", lead)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
        finally:
            await runner.cleanup()


@dataclass(frozen=True, slots=True)
class _Passage:
    """How requests get to the door."""

    url: str
    key: str
    person: Person

    async def lead(
        self, session: aiohttp.ClientSession, request: web.Request, answer: web.StreamResponse
    ) -> None:
        """Pass a request on with the key, and pass the answer back."""
        headers = {
            name: value.replace(THEIRS.decode(), OURS.decode())
            for name, value in request.headers.items()
            if name.lower() not in _OWN_HEADERS
        }
        headers |= {"authorization": f"Bearer {self.key}"}
        body = (await request.read()).replace(THEIRS, OURS)
        async with session.request(request.method, self.url, headers=headers, data=body) as got:
            answer.set_status(got.status)
            for name, value in got.headers.items():
                if name.lower() not in _OWN_HEADERS:
                    answer.headers.add(name, value)
            await answer.prepare(request)
            async for piece in got.content.iter_any():
                await self.person.hear(piece)
                await answer.write(piece.replace(OURS, THEIRS))
            await answer.write_eof()
