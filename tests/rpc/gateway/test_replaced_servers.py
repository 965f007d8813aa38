"""Servers that come back as others, behind a real gateway and scheduler."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest

from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes import fake_openai, fake_tgi
from tests.fakes.kernel import chat, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

TOKENS = 40
WHOLE = "".join(fake_tgi.word(number) for number in range(TOKENS))


@asynccontextmanager
async def tgi_kernel(count: int, **behaviour: Any) -> AsyncIterator[tuple[list[fake_tgi.FakeTgi], Any]]:
    """Run a kernel on so many TGI-shaped servers."""
    async with AsyncExitStack() as stack:
        made = [fake_tgi.Behaviour(tokens=TOKENS, **behaviour) for _ in range(count)]
        servers = [await stack.enter_async_context(fake_tgi.fake_tgi(each)) for each in made]
        backends = {"AIOS_TGI_ENDPOINTS": ",".join(server.url for server in servers)}
        kernel = await stack.enter_async_context(small_kernel(backends=backends))
        yield servers, await stack.enter_async_context(kernel.inference())


async def served(stub: Any) -> dict[str, int]:
    """Return the models that are served, with their windows."""
    answer = await stub.ListModels(pb.ListModelsRequest(), metadata=metadata())
    return {model.name: model.max_total_tokens for model in answer.models}


async def until_served(stub: Any, wanted: dict[str, int]) -> None:
    async with asyncio.timeout(10):
        while await served(stub) != wanted:  # noqa: ASYNC110 - the server raises no event
            await asyncio.sleep(0.05)


async def read_into(text: list[str], call: Any) -> None:
    async for response in call:
        text.append(response.event.delta.text)  # noqa: PERF401 - what came before a failure must stay


async def test_a_tgi_server_that_becomes_another_model_or_smaller_is_announced_anew() -> None:
    async with tgi_kernel(1) as (servers, stub):
        assert await served(stub) == {"fake": 4096}
        servers[0].behaviour.window = 64
        await until_served(stub, {"fake": 64})
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.Generate(chat("word " * 100), metadata=metadata())
        servers[0].behaviour.model = "other"
        await until_served(stub, {"other": 64})
        answer = await stub.Generate(chat("hi", max_tokens=8), metadata=metadata())
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.Generate(chat("hi", model="fake"), metadata=metadata())

        assert reason(failure.value) == "PROMPT_TOO_LONG"
        assert answer.finished.model == "other"
        assert reason(unknown.value) == "MODEL_NOT_FOUND"


async def test_an_openai_server_that_becomes_another_model_or_smaller_is_announced_anew() -> None:
    behaviour = fake_openai.Behaviour(owner="vllm")
    async with (
        fake_openai.fake_openai(behaviour) as server,
        small_kernel(backends={"AIOS_OPENAI_ENDPOINTS": server.url}) as kernel,
        kernel.inference() as stub,
    ):
        before = await served(stub)
        behaviour.model, behaviour.window = "other-chat", 512
        await until_served(stub, {"other-chat": 512})
        answer = await stub.Generate(chat("hi", max_tokens=8), metadata=metadata())

        assert before == {"fake-chat": 4096}
        assert answer.finished.model == "other-chat"


async def broken_off(servers: list[fake_tgi.FakeTgi], stub: Any, text: list[str]) -> Any:
    """Break an answer off in its middle, and let its server come back as another model."""
    request = pb.StreamGenerateRequest(generation=chat("count", max_tokens=TOKENS))
    call = stub.StreamGenerate(request, metadata=metadata(), timeout=30)
    reading = asyncio.create_task(read_into(text, call))
    await until(lambda: any(run.sent >= 5 for server in servers for run in server.seen.runs))
    first = next(server for server in servers if server.seen.runs)
    first.behaviour.model = "other"
    first.behaviour.die_after = first.seen.runs[0].sent + 2
    return reading, first


async def test_an_answer_whose_server_comes_back_as_another_model_goes_on_where_its_own_is_served() -> None:
    async with tgi_kernel(2, token_delay=0.01) as (servers, stub):
        text: list[str] = []
        reading, first = await broken_off(servers, stub, text)
        await reading

        assert "".join(text) == WHOLE
        assert len(first.seen.runs) == 1


async def test_without_one_it_ends_with_an_error_and_no_token_of_the_other_model() -> None:
    async with tgi_kernel(1, token_delay=0.01) as (servers, stub):
        text: list[str] = []
        reading, first = await broken_off(servers, stub, text)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await reading

        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason(failure.value) in {"BACKEND_FAILED", "NO_BACKEND"}
        assert WHOLE.startswith("".join(text))
        assert len(first.seen.runs) == 1


async def test_a_run_is_stopped_when_probes_see_another_model_in_its_place() -> None:
    async with tgi_kernel(1, token_delay=1.0) as (servers, stub):
        text: list[str] = []
        request = pb.StreamGenerateRequest(generation=chat("count", max_tokens=TOKENS))
        reading = asyncio.create_task(read_into(text, stub.StreamGenerate(request, metadata=metadata())))
        await until(lambda: bool(text))
        servers[0].behaviour.model = "other"
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await reading

        assert reason(failure.value) == "BACKEND_FAILED"
        assert "serves another one" in (failure.value.details() or "")
        await until(lambda: servers[0].seen.running == 0)
