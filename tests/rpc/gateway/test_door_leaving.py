"""Clients that leave the door at any moment: nothing goes on without them, and nothing is kept of them."""

import asyncio
import contextlib
import gc
import json
import logging
import random
import traceback
from typing import Any

import pytest

from gateway.http.server import Door
from tests.fakes import fake_tgi
from tests.fakes.examples import examples
from tests.fakes.fake_tgi import Behaviour
from tests.fakes.kernel import small_kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS
from tests.fakes.waiting import until

HELLO = [{"role": "user", "content": "hello"}]
MESSAGE = {"model": "m", "max_tokens": 50, "messages": HELLO}
REQUESTS: tuple[tuple[str, Any], ...] = (
    ("/v1/chat/completions", {"messages": HELLO}),
    ("/v1/chat/completions", {"messages": HELLO, "stream": True}),
    ("/v1/chat/completions", {"messages": HELLO, "n": 3}),
    ("/v1/chat/completions", {"messages": HELLO, "n": 3, "stream": True}),
    ("/v1/completions", {"prompt": ["a", "b"], "stream": True, "max_tokens": 50}),
    ("/v1/messages", MESSAGE),
    ("/v1/messages", {**MESSAGE, "stream": True}),
    ("/v1/responses", {"input": "hello", "store": False}),
    ("/v1/responses", {"input": "hello", "store": False, "stream": True}),
    ("/v1/embeddings", {"input": ["x" * 1000] * 200}),
)


@pytest.mark.hypothesis  # so that the long run tries more of it
async def test_clients_that_leave_at_any_moment_leave_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    async with small_kernel(Behaviour(tokens=20, token_delay=0.01, slots=4)) as kernel:
        assert kernel.gateway is not None
        [door] = kernel.gateway._listeners
        assert isinstance(door, Door)
        caplog.clear()
        for wave in range(examples(2)):
            await asyncio.gather(*(_leave(door.port, 100 * wave + number) for number in range(40)))
        await until(lambda: door._connections == 0)
        await until(lambda: kernel.tgi.seen.running == 0)
        await until(
            lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith("/aios.")]
        )

        assert door._bodies.held == 0
        assert door._identities is not None
        assert door._identities.sessions._running == {}
        gc.collect()
        await asyncio.sleep(0)
        assert told == []
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR and _ours(record)]


def _ours(record: logging.LogRecord) -> bool:
    """Whether a record is the kernel's.

    The fake model server complains about its own client, the kernel, and gRPC about streams that end with it.
    """
    if record.name.startswith("grpc"):
        return False
    trace = record.exc_info[2] if record.exc_info else None
    return not any(frame.filename == fake_tgi.__file__ for frame in traceback.extract_tb(trace))


async def _leave(port: int, seed: int) -> None:
    """Send a request, perhaps not all of it, and leave at some moment in some way."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    path, body = REQUESTS[seed % len(REQUESTS)]
    request = _written(path, json.dumps(body).encode(), chance)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(request if chance.random() < 0.8 else request[: chance.randrange(len(request))])
        await asyncio.sleep(chance.choice((0, 0.001, 0.01, 0.1, 0.3)) * chance.random())
        async with asyncio.timeout(0.5):
            match chance.randrange(4):
                case 0:
                    await reader.read(chance.randrange(1, 2000))
                case 1:
                    writer.write_eof()
                    await reader.read(100)
                case 2:
                    writer.write(request * 3)
                    await reader.read(100_000)
                case _:
                    pass
    writer.transport.abort()


def _written(path: str, body: bytes, chance: random.Random) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", f"authorization: Bearer {ISSUER_FOR_TESTS.token('planner')}"]
    if chance.random() < 0.3:
        lines.append(f"idempotency-key: {chance.randrange(3)}{path}{len(body)}")
    if chance.random() < 0.3:
        head = "\r\n".join([*lines, "transfer-encoding: chunked"])
        return head.encode() + b"\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    head = "\r\n".join([*lines, f"content-length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body
