"""Connections to a backend are kept, and a dead one costs its call nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from gateway.inference.backends.openai.client import OpenAiClient
from gateway.inference.errors import BackendUnavailable, BackendUnreachable
from tests.fakes.waiting import until

EVENT = b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Write a piece of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


ANSWER = HEAD + chunk(EVENT) + chunk(b"data: [DONE]\n\n") + chunk(b"")
CUT = HEAD + chunk(EVENT)


class Server:
    """Gives each request the next answer, and closes the connection after one that is no whole one."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = self.requests = self.open = 0
        self.dies = False
        self.stop: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"-Length" in line)
                await reader.readexactly(length)
                self.requests += 1
                if self.dies:
                    self.stop()
                    return
                answer = self.answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if answer != ANSWER:
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()
            self.open -= 1


@asynccontextmanager
async def served(*answers: bytes) -> AsyncIterator[tuple[Server, OpenAiClient]]:
    """Run a server with such answers and a client of it."""
    made = Server(*answers)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.stop = server.close
    client = OpenAiClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield made, client
    finally:
        await client.close()
        server.close()
        await server.wait_closed()
        await until(lambda: not made.open)


async def generate(client: OpenAiClient) -> str:
    """Ask once and return the text."""
    async with aclosing(client.stream("/v1/chat/completions", {})) as chunks:
        return "".join([each.text async for each in chunks])


async def test_calls_one_after_another_share_a_connection() -> None:
    async with served(*[ANSWER] * 4) as (server, client):
        for _ in range(4):
            assert await generate(client) == "a"

        assert (server.requests, server.connections) == (4, 1)


async def test_a_kept_connection_that_was_dropped_unseen_costs_a_call_nothing() -> None:
    async with served(ANSWER, b"", ANSWER) as (server, client):
        assert await generate(client) == "a"
        assert await generate(client) == "a"

        assert (server.requests, server.connections) == (3, 2)


async def test_a_request_is_sent_again_only_once() -> None:
    async with served(ANSWER, b"", b"", ANSWER) as (server, client):
        await generate(client)
        with pytest.raises(BackendUnavailable):
            await generate(client)

        assert server.requests == 3


async def test_a_server_that_died_of_a_request_on_a_kept_connection_counts_as_died() -> None:
    async with served(ANSWER) as (server, client):
        await generate(client)
        server.dies = True
        with pytest.raises(BackendUnavailable) as failure:
            await generate(client)

        assert not isinstance(failure.value, BackendUnreachable)


async def test_a_request_on_a_new_connection_is_not_sent_again() -> None:
    async with served(b"", ANSWER) as (server, client):
        with pytest.raises(BackendUnavailable):
            await generate(client)

        assert server.requests == 1


async def test_a_request_whose_answer_had_begun_is_not_sent_again() -> None:
    async with served(ANSWER, CUT, ANSWER) as (server, client):
        await generate(client)
        with pytest.raises(BackendUnavailable):
            await generate(client)

        assert server.requests == 2


async def test_a_stream_that_is_left_closes_its_connection() -> None:
    async with served(CUT + chunk(EVENT) * 1000, ANSWER) as (server, client):
        async with aclosing(client.stream("/v1/chat/completions", {})) as chunks:
            await anext(chunks)
        await until(lambda: not server.open)

        assert await generate(client) == "a"
        assert server.connections == 2


async def test_a_server_that_never_ends_its_body_loses_its_connection_and_delays_nobody() -> None:
    endless = ANSWER.removesuffix(chunk(b"")) + chunk(b": more\n\n")
    async with served(endless, ANSWER) as (server, client):
        assert await generate(client) == "a"
        assert await generate(client) == "a"

        assert server.connections == 2
