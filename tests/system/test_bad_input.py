"""Whatever comes in, a call ends soon and with a typed error, and nobody else notices."""

import asyncio
import random
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.rpc import error_details_pb2

from aios.api.common.v1 import errors_pb2
from aios.api.context.v1 import context_pb2, resources_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.tool.v1 import tool_pb2
from services.chassis.rpc.client import MAX_MESSAGE_BYTES
from services.chassis.rpc.methods import Audience
from tests.fakes.fake_tgi import Behaviour, FakeTgi
from tests.fakes.kernel import chat
from tests.fakes.waiting import until
from tests.system.cluster import Cluster, cluster
from tests.system.world import (
    FROM_OUTSIDE,
    METHODS,
    Metadata,
    Outcome,
    Stubs,
    bearer,
    details_of,
    open_channel,
    send,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
]

GENERATE = "inference.v1.InferenceService/Generate"
CALL = "tool.v1.ToolService/CallTool"
PUT = "memory.v1.MemoryService/PutNote"
WAITING = 4
SLOTS = 2
REASONS = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118 - no mapping
INTERNALS = re.compile(
    r"Traceback|\.py\b|/site-packages|/work/|/tmp/|/root/|/home/|<class|object at 0x|\w+(Error|Exception)\b"
)
"""What no message may show: Python, and where it lies."""


@dataclass
class Ground:
    """A kernel on a backend that does what a test says, and one agent."""

    kernel: Cluster
    tgi: FakeTgi
    stubs: Stubs
    agent: Metadata
    reckless: Metadata
    """Of an agent that may end itself."""
    well_behaved: Metadata

    async def refusal(self, label: str, request: Any, **options: Any) -> str:
        """Send a call that must fail, and return its reason."""
        outcome = await send(self.stubs.channel, label, request, self.agent, **options)
        check_typed(outcome)
        return outcome.reason


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground() -> AsyncIterator[Ground]:
    tgi = FakeTgi(Behaviour(slots=SLOTS))
    await tgi.start()
    extra = {"AIOS_SCHEDULER_MAX_WAITING": str(WAITING), "AIOS_TGI_SLOTS": str(SLOTS)}
    extra["AIOS_GATEWAY_REFUSALS_PER_SECOND"] = "1000"  # some thousand come
    async with cluster(tgi=(tgi.url,), extra=extra) as kernel, open_channel(kernel.plan.gateway) as channel:
        stubs, admin = Stubs(channel), bearer(kernel.admin_token)
        agents = [await stubs.register(admin, name) for name in ("clumsy", "reckless", "careful")]
        yield Ground(kernel, tgi, stubs, *agents)
    await tgi.stop()


def check_typed(outcome: Outcome) -> None:
    """Check that a call failed, with one known reason and a message for people."""
    infos = []
    for detail in details_of(outcome):
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
    message = (outcome.error.details() if outcome.error is not None else "") or ""
    assert [info.domain for info in infos] == ["aios"], outcome.text
    assert infos[0].reason in REASONS, outcome.text
    assert infos[0].reason != "INTERNAL", outcome.text
    assert message.strip(), outcome.text
    shown = outcome.seen.decode(errors="replace")
    assert not INTERNALS.search(shown), INTERNALS.search(shown)


@asynccontextmanager
async def undisturbed(ground: Ground) -> AsyncIterator[None]:
    """Let a well-behaved agent work all the while: every call of its succeeds."""
    rounds, stop = 0, asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        stubs, metadata = ground.stubs, ground.well_behaved
        while not stop.is_set():
            value = f"value {rounds}"
            put = memory_pb2.PutNoteRequest(note={"name": "agents/me/notes/n", "content": value})
            await stubs.memory.PutNote(put, metadata=metadata, timeout=10)
            get = memory_pb2.GetNoteRequest(name="agents/me/notes/n")
            assert (await stubs.memory.GetNote(get, metadata=metadata, timeout=10)).note.content == value
            call = tool_pb2.CallToolRequest(
                tool="tools/calculator", arguments_json=f'{{"expression": "{rounds} + 1"}}'
            )
            events = [event async for event in stubs.tools.CallTool(call, metadata=metadata, timeout=10)]
            assert events[-1].result.result.value.struct_value["result"] == rounds + 1
            rounds += 1

    working = asyncio.create_task(work())
    try:
        yield
        before = rounds
        await until(lambda: rounds > before or working.done())
    finally:
        stop.set()
        await working


async def test_no_bytes_break_any_method(ground: Ground) -> None:
    """Malformed, empty, too deep, of another charset, random: typed, or a proper answer."""
    rng = random.Random(4)  # noqa: S311 - reproducible
    bodies = {
        "malformed": b"\xff\xff\xff\xff",
        "cut short": b"\x0a\x7fshort",
        "empty": b"",
        "no text": b"\x0a\x02\xff\xfe",
        "too deep": b"\x0a\x7e" * 60,
        "random": rng.randbytes(300),
        "unknown field": b"\xfa\x3f\x03abc",
    }
    async with undisturbed(ground):
        last = "access.v1.AccessService/RevokeToken"  # an empty one revokes the token it comes with
        for label in [*(each for each in FROM_OUTSIDE if each != last), last]:
            outcomes = await asyncio.gather(
                *(send(ground.stubs.channel, label, body, ground.reckless) for body in bodies.values())
            )
            for name, outcome in zip(bodies, outcomes, strict=True):
                if outcome.error is not None and not _sampled(outcome):
                    check_typed(outcome)
                if name in {"malformed", "cut short"} and METHODS[label].audience is not Audience.PUBLIC:
                    assert outcome.reason in {"MALFORMED_REQUEST", "PERMISSION_DENIED"}, outcome.text


def _sampled(outcome: Outcome) -> bool:
    """Whether a watch was only left after a moment."""
    endless = METHODS[outcome.label].server_streaming
    return endless and outcome.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_request_that_is_too_large_is_refused_by_every_method(ground: Ground) -> None:
    async with undisturbed(ground):
        for label, method in FROM_OUTSIDE.items():
            body = b"\xfa\x3f" + _varint(method.max_request_bytes) + b"x" * method.max_request_bytes
            if len(body) > MAX_MESSAGE_BYTES:
                continue

            assert await ground.refusal(label, body) == "REQUEST_TOO_LARGE"


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


async def test_what_the_transport_itself_refuses_ends_at_once(ground: Ground) -> None:
    async with undisturbed(ground):
        huge = await send(ground.stubs.channel, PUT, b"x" * (MAX_MESSAGE_BYTES + 1), ground.agent)
        many = (*ground.agent, *((f"x-{number}", "y" * 100) for number in range(10_000)))
        crowded = await send(ground.stubs.channel, PUT, b"", many)

    assert huge.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert crowded.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("size", [20_000, 40_000])
async def test_large_metadata_is_refused_with_a_reason_every_time(ground: Ground, size: int) -> None:
    metadata = (*ground.agent, ("x-large", "y" * size))
    outcomes = [await send(ground.stubs.channel, PUT, b"", metadata) for _ in range(10)]

    for outcome in outcomes:
        check_typed(outcome)
    assert {outcome.reason for outcome in outcomes} == {"REQUEST_TOO_LARGE"}


@pytest.mark.parametrize("path", ["/aios.api.memory.v1.MemoryService/Nope", "/x.Y/Z", "/", "nothing"])
async def test_an_unknown_method_is_typed(ground: Ground, path: str) -> None:
    open_call: Any = ground.stubs.channel.unary_unary(path)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await open_call(b"", metadata=ground.agent, timeout=5)

    outcome = Outcome(
        path, failure.value.code(), "", (failure.value.details() or "").encode(), (), failure.value
    )
    check_typed(outcome)


def deep_struct(levels: int) -> Struct:
    """Nest lists."""
    value = Value(number_value=1)
    for _ in range(levels):
        value = Value(list_value=ListValue(values=[value]))
    return Struct(fields={"expression": value})


def bombs() -> dict[str, tuple[str, Any]]:
    """Return requests that are small on the wire and large or deep in memory."""
    lists = "[" * 20_000 + "]" * 20_000
    schema = '{"properties": ' + '{"a": {"properties": ' * 2_000 + "{}" + "}}" * 2_000 + "}"
    message = b"\x12\x00"  # an empty chat message
    return {
        "deep JSON arguments": (
            CALL,
            tool_pb2.CallToolRequest(tool="tools/calculator", arguments_json=lists),
        ),
        "deep arguments": (
            CALL,
            tool_pb2.CallToolRequest(tool="tools/calculator", arguments=deep_struct(20)),
        ),
        "deep schema": (GENERATE, chat("x", constraint={"json_schema": schema})),
        "a million empty messages": (GENERATE, message * 1_000_000),
        "exploding regular expression": (GENERATE, chat("x", constraint={"regex": "(" * 2000})),
        "deep tool parameters": (
            GENERATE,
            chat("x", tools=[{"name": "t", "description": "d", "parameters_schema_json": lists}]),
        ),
    }


async def test_bombs_are_refused(ground: Ground) -> None:
    async with undisturbed(ground):
        for name, (label, request) in bombs().items():
            outcome = await send(ground.stubs.channel, label, request, ground.agent)

            assert outcome.error is not None, name
            check_typed(outcome)


REFUSALS: dict[str, tuple[str, Any, str]] = {
    "unknown tool": (CALL, tool_pb2.CallToolRequest(tool="tools/none"), "TOOL_NOT_FOUND"),
    "bad arguments": (
        CALL,
        tool_pb2.CallToolRequest(tool="tools/calculator", arguments_json='{"expression": 5}'),
        "TOOL_ARGUMENTS_INVALID",
    ),
    "arguments that are no JSON": (
        CALL,
        tool_pb2.CallToolRequest(tool="tools/calculator", arguments_json="{"),
        "TOOL_ARGUMENTS_INVALID",
    ),
    "unknown model": (GENERATE, chat("x", model="gpt-99"), "MODEL_NOT_FOUND"),
    "a schema that is no JSON": (GENERATE, chat("x", constraint={"json_schema": "{"}), "CONSTRAINT_INVALID"),
    "a schema that does not compile": (
        GENERATE,
        chat("x", constraint={"json_schema": '{"properties": {"a": {"type": "nonsense"}}}'}),
        "CONSTRAINT_INVALID",
    ),
    "a schema that leads elsewhere": (
        GENERATE,
        chat("x", constraint={"json_schema": '{"properties": {"a": {"$ref": "http://127.0.0.1:1/s.json"}}}'}),
        "CONSTRAINT_INVALID",
    ),
    "a regular expression that does not compile": (
        GENERATE,
        chat("x", constraint={"regex": "("}),
        "CONSTRAINT_INVALID",
    ),
    "tools beside a constraint": (
        GENERATE,
        chat("x", constraint={"regex": "a"}, tools=[{"name": "t", "description": "d"}]),
        "INVALID_REQUEST",
    ),
    "no prompt": (GENERATE, inference_pb2.GenerateRequest(), "INVALID_REQUEST"),
    "a role that does not exist": (
        GENERATE,
        inference_pb2.GenerateRequest(messages=[inference_pb2.GenerateRequest().messages.add(role=99)]),
        "INVALID_REQUEST",
    ),
    "a prompt over the window": (GENERATE, chat("word " * 5_000), "PROMPT_TOO_LONG"),
    "an answer over the window": (GENERATE, chat("x", max_tokens=100_000), "PROMPT_TOO_LONG"),
    "a bad page token": (
        "memory.v1.MemoryService/ListNotes",
        memory_pb2.ListNotesRequest(parent="agents/me", page_token="nonsense"),
        "INVALID_PAGE_TOKEN",
    ),
    "a name of another kind": (
        "memory.v1.MemoryService/GetNote",
        memory_pb2.GetNoteRequest(name="agents/me/files/x"),
        "INVALID_REQUEST",
    ),
    "a name that climbs": (
        "storage.v1.StorageService/StatFile",
        context_pb2.GetContextRequest(name="agents/me/files/../../etc/passwd"),
        "PATH_INVALID",
    ),
    "a thousand mistakes": (
        "context.v1.ContextService/AppendMessages",
        context_pb2.AppendMessagesRequest(
            name="agents/me/contexts/c", messages=[resources_pb2.Message()] * 1_000
        ),
        "INVALID_REQUEST",
    ),
    "something that is not there": (
        "context.v1.ContextService/GetContext",
        context_pb2.GetContextRequest(name="agents/me/contexts/none"),
        "CONTEXT_NOT_FOUND",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_bad_request_is_refused_for_its_own_reason(ground: Ground, name: str) -> None:
    label, request, reason = REFUSALS[name]

    assert await ground.refusal(label, request) == reason


async def test_an_expired_deadline_is_typed_or_the_clients_own(ground: Ground) -> None:
    ground.tgi.behaviour.latency = 5.0
    try:
        async with undisturbed(ground):
            outcome = await send(ground.stubs.channel, GENERATE, chat("x"), ground.agent, timeout=0.2)
    finally:
        ground.tgi.behaviour.latency = 0.0

    assert outcome.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: ground.tgi.seen.running == 0)


async def test_a_full_queue_refuses_at_once_and_serves_who_got_in(ground: Ground) -> None:
    ground.tgi.behaviour.latency = 0.3
    try:
        async with undisturbed(ground):
            outcomes = await asyncio.gather(
                *(
                    send(ground.stubs.channel, GENERATE, chat(f"q {secrets.token_hex(4)}"), ground.agent)
                    for _ in range(30)
                )
            )
    finally:
        ground.tgi.behaviour.latency = 0.0

    refused = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in refused:
        check_typed(outcome)
    assert {outcome.reason for outcome in refused} == {"QUEUE_FULL"}
    assert len(outcomes) - len(refused) >= SLOTS + WAITING


async def test_what_a_failing_backend_says_of_itself_is_not_passed_on(ground: Ground) -> None:
    ground.tgi.behaviour.error = (500, "Traceback: RuntimeError in /srv/model.py", "generation")
    request = chat("x", max_tokens=4, request_id=f"n{secrets.token_hex(4)}")
    try:
        async with undisturbed(ground):
            reason = await ground.refusal(GENERATE, request)
    finally:
        ground.tgi.behaviour.error = None

    assert reason in {"BACKEND_FAILED", "NO_BACKEND", "WAIT_EXPIRED"}


async def test_a_dead_backend_is_told_and_a_living_one_is_used_again(ground: Ground) -> None:
    port = ground.tgi.port
    await ground.tgi.stop()
    request = chat("x", max_tokens=2)
    request.hints.max_wait.FromMilliseconds(300)
    async with undisturbed(ground):
        reason = await ground.refusal(GENERATE, request)
        await ground.tgi.start(port)
        async with asyncio.timeout(20):
            while (await send(ground.stubs.channel, GENERATE, request, ground.agent)).error:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    assert reason in {"NO_BACKEND", "BACKEND_FAILED", "WAIT_EXPIRED"}
