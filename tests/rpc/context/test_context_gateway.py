"""Summaries and notes through the gateway: in the caller's name, in the background, bounded in time."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from aios.api.agent.v1 import agent_pb2
from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2, resources_pb2
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from services.chassis.auth.identity import Caller, current_caller, set_caller
from services.chassis.chat import ChatMessage, Role
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from services.context.adapters.gateway_client import GatewayMemory, GatewaySummarizer, NoPeers
from services.context.core.recall import MOST_NOTE
from services.context.errors import CapabilityMissing
from services.context.model import Note
from tests.fakes import tokens
from tests.fakes.context import context_service, context_stub
from tests.fakes.rpc import serving
from tests.fakes.tokens import ISSUER_FOR_TESTS, PassOn

CHATS = (ChatMessage(Role.SYSTEM, "Keep notes."), ChatMessage(Role.USER, "New messages: ..."))


class NoBackend(KernelError):
    reason = "NO_BACKEND"
    code = Code.UNAVAILABLE


class FakeGateway(  # type: ignore[misc]  # both services have a GetUsage, which nobody calls here
    inference_pb2_grpc.InferenceServiceServicer, memory_pb2_grpc.MemoryServiceServicer
):
    """Writes one summary and knows one note."""

    def __init__(self) -> None:
        self.generated: list[inference_pb2.GenerateRequest] = []
        self.searched: list[memory_pb2.SearchNotesRequest] = []
        self.callers: list[str] = []
        self.error: KernelError | None = None

    async def Generate(self, request: Any, _context: object) -> inference_pb2.GenerateResponse:  # noqa: N802 - gRPC's name
        """Answer."""
        self._record(self.generated, request)
        response = inference_pb2.GenerateResponse()
        response.finished.message.content = "the notes"
        return response

    async def SearchNotes(self, request: Any, _context: object) -> memory_pb2.SearchNotesResponse:  # noqa: N802 - gRPC's name
        """Find."""
        self._record(self.searched, request)
        response = memory_pb2.SearchNotesResponse()
        hit = response.hits.add(score=0.5)
        hit.note.name, hit.note.content = "agents/planner/notes/n1", "x" * (2 * MOST_NOTE)
        return response

    def _record(self, into: list[Any], request: Any) -> None:
        into.append(request)
        self.callers.append(current_caller().agent)
        if self.error is not None:
            raise self.error


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED


@pytest.fixture
async def channel(gateway: FakeGateway) -> AsyncIterator[grpc.aio.Channel]:
    async with serving(
        (inference_pb2_grpc.add_InferenceServiceServicer_to_server, gateway, inference_pb2.DESCRIPTOR),
        (memory_pb2_grpc.add_MemoryServiceServicer_to_server, gateway, memory_pb2.DESCRIPTOR),
    ) as channel:
        yield channel


def as_planner(*, seconds: float = 60.0) -> None:
    """Be inside a call of the planner; fixtures run in another context."""
    token = ISSUER_FOR_TESTS.token("planner")
    set_caller(Caller("planner", "acme", token=token, trace_id="0" * 32, deadline=time.monotonic() + seconds))


@pytest.mark.parametrize(
    ("name", "number"),
    [("batch", agent_pb2.SCHEDULING_CLASS_BATCH), ("idle", agent_pb2.SCHEDULING_CLASS_IDLE)],
)
async def test_a_summary_is_an_inference_call_of_the_caller_in_the_background(
    channel: grpc.aio.Channel, gateway: FakeGateway, name: str, number: int
) -> None:
    as_planner()
    summarizer = GatewaySummarizer(channel, PassOn(), name)
    written = [await summarizer.write("demo", CHATS, most_tokens=most, seconds=5) for most in (50, 50, 60)]

    assert written == ["the notes"] * 3
    assert gateway.callers == ["planner"] * 3
    first, again, other = gateway.generated
    assert (first.model, first.max_tokens, first.hints.scheduling_class) == ("demo", 50, number)
    assert [message.content for message in first.messages] == [chat.content for chat in CHATS]
    assert first == again
    assert first.request_id != other.request_id


async def test_notes_are_searched_in_the_caller_s_name_and_cut(
    channel: grpc.aio.Channel, gateway: FakeGateway
) -> None:
    as_planner()
    found = await GatewayMemory(channel, PassOn()).search("planner", "budget", 7)

    assert found == [Note("agents/planner/notes/n1", "x" * MOST_NOTE, 0.5)]
    assert gateway.callers == ["planner"]
    (request,) = gateway.searched
    assert (request.parent, request.query, request.limit) == ("agents/planner", "budget", 7)


async def test_the_gateway_s_error_is_passed_on(channel: grpc.aio.Channel, gateway: FakeGateway) -> None:
    as_planner()
    gateway.error = NoBackend("there is none")
    with pytest.raises(KernelError) as unwritten:
        await GatewaySummarizer(channel, PassOn(), "batch").write("", CHATS, most_tokens=5, seconds=5)
    with pytest.raises(KernelError) as unfound:
        await GatewayMemory(channel, PassOn()).search("planner", "budget", 7)

    assert (unwritten.value.reason, unfound.value.reason) == ("NO_BACKEND", "NO_BACKEND")


async def test_nothing_is_asked_when_no_time_is_left(channel: grpc.aio.Channel, gateway: FakeGateway) -> None:
    as_planner(seconds=0)
    with pytest.raises(KernelError) as late:
        await GatewaySummarizer(channel, PassOn(), "batch").write("", CHATS, most_tokens=5, seconds=5)

    assert late.value.reason == "DEADLINE_EXCEEDED"
    assert gateway.generated == []


async def test_without_a_gateway_the_capability_is_missing() -> None:
    with pytest.raises(CapabilityMissing):
        await NoPeers().write("", CHATS, most_tokens=5, seconds=5)
    with pytest.raises(CapabilityMissing):
        await NoPeers().search("planner", "budget", 7)


@pytest.mark.parametrize(
    "strategy", [resources_pb2.WINDOW_STRATEGY_SUMMARIZE, resources_pb2.WINDOW_STRATEGY_RECALL]
)
async def test_a_window_tells_where_what_was_added_comes_from(
    channel: grpc.aio.Channel, strategy: resources_pb2.WindowStrategy
) -> None:
    service = context_service(
        summarizer=GatewaySummarizer(channel, PassOn(), "batch"), memory=GatewayMemory(channel, PassOn())
    )
    planner = tokens.metadata("planner")
    context = resources_pb2.Context(
        name="agents/me/contexts/trip", token_budget=4_000, recall_tokens=3_000, strategy=strategy
    )
    request = context_pb2.CreateContextRequest(context=context)
    for number in range(400):
        message = request.messages.add(token_count=20)
        message.message.role, message.message.content = chat_pb2.ROLE_USER, f"fact {number}"
    async with context_stub(service) as stub:
        await stub.CreateContext(request, metadata=planner)
        asked = context_pb2.AssembleWindowRequest(name=context.name)
        window = await stub.AssembleWindow(asked, metadata=planner)

    (added,) = window.added
    made = window.messages[added.index]
    assert not window.fallback
    assert made.position == 0
    if strategy == resources_pb2.WINDOW_STRATEGY_RECALL:
        assert [(note.name, note.score) for note in added.notes] == [("agents/planner/notes/n1", 0.5)]
        assert list(window.recalled_notes) == ["agents/planner/notes/n1"]
    else:
        (run,) = added.summary.covers
        assert made.message.content.endswith("the notes")
        assert (run.first_position, window.messages[1].position) == (1, run.last_position + 1)
        assert added.summary.HasField("create_time")
        (dropped,) = window.dropped
        assert dropped.reason == context_pb2.DROP_REASON_SUMMARIZED
        assert (dropped.first_position, dropped.last_position) == (1, run.last_position)
