"""Counting through the gateway: with the caller's token, in bounded requests, or not at all."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from services.chassis.auth.identity import Caller, set_caller
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from services.context.adapters.tokenizer_client import GatewayTokenizer
from services.context.core import estimate
from tests.fakes.rpc import serving
from tests.fakes.tokens import ISSUER_FOR_TESTS, PassOn


class ModelNotFound(KernelError):
    reason = "MODEL_NOT_FOUND"
    code = Code.NOT_FOUND


class TooLong(KernelError):
    reason = "PROMPT_TOO_LONG"
    code = Code.INVALID_ARGUMENT


class Overloaded(KernelError):
    reason = "TOO_MANY_CALLS"
    code = Code.RESOURCE_EXHAUSTED


class FakeInference(inference_pb2_grpc.InferenceServiceServicer):
    """Counts a token a character, and ten for each message of a conversation."""

    def __init__(self) -> None:
        self.requests: list[inference_pb2.CountTokensRequest] = []
        self.error: KernelError | None = None

    async def CountTokens(self, request: Any, _context: object) -> inference_pb2.CountTokensResponse:  # noqa: N802 - gRPC's name
        """Count."""
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        total = sum(10 + len(message.content) for message in request.messages) + len(request.tools)
        return inference_pb2.CountTokensResponse(
            token_count=total, text_token_counts=[len(text) for text in request.texts]
        )

    async def ListModels(self, _request: Any, _context: object) -> inference_pb2.ListModelsResponse:  # noqa: N802 - gRPC's name
        """Know two models."""
        if self.error is not None:
            raise self.error
        response = inference_pb2.ListModelsResponse()
        response.models.add(name="demo", max_total_tokens=512, is_default=True)
        response.models.add(name="big", max_total_tokens=8192)
        return response


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED


@pytest.fixture
async def channel(inference: FakeInference) -> AsyncIterator[grpc.aio.Channel]:
    add = inference_pb2_grpc.add_InferenceServiceServicer_to_server
    async with serving((add, inference, inference_pb2.DESCRIPTOR)) as channel:
        yield channel


@pytest.fixture
def tokenizer(channel: grpc.aio.Channel) -> GatewayTokenizer:
    return GatewayTokenizer(channel, PassOn())


def as_planner() -> None:
    """Be inside a call of the planner; fixtures run in another context."""
    set_caller(Caller("planner", "acme", token=ISSUER_FOR_TESTS.token("planner"), trace_id="0" * 32))


def said(content: str) -> ChatMessage:
    return ChatMessage(Role.USER, content)


async def test_messages_are_counted_each_alone_with_the_marks(tokenizer: GatewayTokenizer) -> None:
    as_planner()
    call = ChatMessage(Role.ASSISTANT, "", (ToolCall("c", "find", "{}"),))
    counts = await tokenizer.each("demo", [said("four"), said(""), call])

    assert counts is not None
    assert counts[:2] == [estimate.MARKS + 4, estimate.MARKS]
    assert counts[2] > 2 * estimate.MARKS


async def test_long_and_many_texts_are_cut_into_requests(
    tokenizer: GatewayTokenizer, inference: FakeInference
) -> None:
    as_planner()
    chats = [said("x" * 100_000), *(said("y") for _ in range(600)), said("\u4f60" * 400_000)]
    counts = await tokenizer.each("demo", chats)

    assert counts is not None
    assert counts[0] == estimate.MARKS + 100_000
    assert counts[1:601] == [estimate.MARKS + 1] * 600
    assert counts[601] == estimate.MARKS + 400_000
    assert all(len(request.texts) <= 256 for request in inference.requests)
    assert all(len(text.encode()) <= 65_536 for request in inference.requests for text in request.texts)


async def test_a_conversation_is_counted_with_template_and_tools(tokenizer: GatewayTokenizer) -> None:
    as_planner()

    assert await tokenizer.together("demo", [said("four"), said("more")], [ToolDefinition("t")]) == 29


async def test_a_conversation_too_long_to_send_is_not_counted(
    tokenizer: GatewayTokenizer, inference: FakeInference
) -> None:
    as_planner()

    assert await tokenizer.together("demo", [said("a")] * 2000, []) is None
    assert await tokenizer.together("demo", [said("a" * 2_000_000)], []) is None
    assert inference.requests == []


@pytest.mark.parametrize(("model", "size"), [("", 512), ("big", 8192), ("none", None)])
async def test_the_window_of_a_model_is_looked_up(
    tokenizer: GatewayTokenizer, model: str, size: int | None
) -> None:
    as_planner()

    assert await tokenizer.window(model) == size


async def test_a_gateway_that_cannot_be_asked_means_an_estimate(
    tokenizer: GatewayTokenizer, inference: FakeInference
) -> None:
    as_planner()
    inference.error = Overloaded("full")

    assert await tokenizer.each("demo", [said("a")]) is None
    assert await tokenizer.together("demo", [said("a")], []) is None
    assert await tokenizer.window("demo") is None


async def test_a_conversation_that_is_not_counted_because_it_cannot_fit_means_an_estimate(
    tokenizer: GatewayTokenizer, inference: FakeInference
) -> None:
    as_planner()
    inference.error = TooLong("the prompt has at least 9999 tokens")

    assert await tokenizer.together("demo", [said("a")], []) is None


async def test_a_model_that_is_not_there_is_told(
    tokenizer: GatewayTokenizer, inference: FakeInference
) -> None:
    as_planner()
    inference.error = ModelNotFound("no such model")
    with pytest.raises(KernelError) as told:
        await tokenizer.each("none", [said("a")])

    assert (told.value.reason, told.value.code) == ("MODEL_NOT_FOUND", Code.NOT_FOUND)
