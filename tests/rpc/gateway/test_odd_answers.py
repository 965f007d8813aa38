"""One agent's calls are answered oddly: they end with a typed error, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from aios.api.inference.v1 import inference_pb2 as pb
from tests.fakes.fake_openai import FakeOpenAi, fake_openai
from tests.fakes.fake_tgi import FakeTgi, fake_tgi
from tests.fakes.kernel import chat, served_by_tgi, small_kernel
from tests.fakes.odd import OddAnswer, data
from tests.fakes.rpc import reason
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

MARK = "odd one"
FAILED = [
    OddAnswer(body=data(b"{not json}")),
    OddAnswer(body=data(b'{"choices": 3, "token": 3}')),
    OddAnswer(body=data(b'{"choices":[{"delta":{"content":7}}],"token":{"id":"x","text":7}}')),
    OddAnswer(body=b"<html>", content_type="text/html"),
    OddAnswer(body=b'"\xff"', content_type="application/json"),
    OddAnswer(status=404, body=b'{"error": "no such model"}'),
    OddAnswer(status=401, body=b'{"error": "the key sk-1 is wrong"}'),
    OddAnswer(status=405, body=b"x" * 100_000),
]
REFUSED = OddAnswer(status=400, body=b'{"error": "' + b"too long " * 1000 + b'"}')


@asynccontextmanager
async def served(driver: str) -> AsyncIterator[tuple[Any, FakeOpenAi | FakeTgi]]:
    """Run a kernel on one replica; gives a stub and the server."""
    async with fake_openai() if driver == "openai" else fake_tgi() as server:
        openai = {"AIOS_OPENAI_ENDPOINTS": server.url}
        backends = served_by_tgi(server) if isinstance(server, FakeTgi) else openai
        async with small_kernel(backends=backends) as kernel, kernel.inference() as stub:
            yield stub, server


async def ask(stub: Any, agent: str, text: str) -> pb.Finished:
    """Make a call that starts at once or is refused."""
    request = chat(text)
    request.hints.max_wait.SetInParent()
    answer: pb.GenerateResponse = await stub.Generate(request, metadata=metadata(agent), timeout=20)
    return answer.finished


async def failure_of(stub: Any, agent: str) -> grpc.aio.AioRpcError:
    """Make a call that is answered oddly; returns its end."""
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await ask(stub, agent, MARK)
    return failure.value


def marked(answer: OddAnswer) -> OddAnswer:
    """Return the same answer for requests that hold the mark."""
    return OddAnswer(
        body=answer.body, status=answer.status, content_type=answer.content_type, marker=MARK.encode()
    )


@pytest.mark.parametrize("driver", ["openai", "tgi"])
async def test_odd_answers_to_one_agent_end_its_calls_and_disturb_nobody(driver: str) -> None:
    async with served(driver) as (stub, server):
        failures = []
        for answer in [*FAILED, REFUSED]:
            server.behaviour.odd = marked(answer)
            failures.append(await failure_of(stub, "mallory"))
            assert (await ask(stub, "bob", "hello")).timings.recovery_count == 0

        *failed, refused = failures
        assert {reason(each) for each in failed} == {"BACKEND_FAILED"}
        assert reason(refused) == "BACKEND_REFUSED"
        assert all(len(str(each.details())) < 400 for each in failures)
        assert "sk-1" not in "".join(str(each.details()) for each in failures)
        odd = sum(MARK in str(body) for body in server.seen.bodies)
        assert odd == len(failures)


async def test_an_agent_whose_calls_a_server_fails_on_keeps_it_from_nobody() -> None:
    async with served("openai") as (stub, server):
        server.behaviour.odd = marked(OddAnswer(status=500, body=b'{"error": "boom"}'))
        hostile = [asyncio.create_task(failure_of(stub, "mallory")) for _ in range(4)]
        await until(lambda: len(server.seen.bodies) >= len(hostile))
        for turn in range(4):
            request = chat(f"hello {turn}")
            answer = await stub.Generate(request, metadata=metadata("bob"), timeout=20)
            assert answer.finished.message.content
        ended = [reason(each) for each in await asyncio.gather(*hostile)]

        assert ended == ["BACKEND_FAILED"] * 4
        assert (await ask(stub, "bob", "at last")).message.content
