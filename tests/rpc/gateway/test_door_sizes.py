"""A body that is too large is refused as soon as that is known, whatever its length is said to be."""

import asyncio

import pytest

from tests.fakes.kernel import small_kernel
from tests.rpc.gateway.test_door import TOKEN, door

HEAD = f"POST /v1/plain HTTP/1.1\r\nhost: x\r\nauthorization: {TOKEN['authorization']}\r\n".encode()
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"content-length: 104857600\r\n\r\n", b"{"),
        (b"transfer-encoding: chunked\r\n\r\n", CHUNK),
    ],
    ids=["a hundred megabytes that were announced", "chunks without end"],
)
async def test_a_body_that_is_too_large_is_refused_before_it_has_come(head: bytes, piece: bytes) -> None:
    async with small_kernel() as kernel, door(kernel, body_bytes="250000") as (opened, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
        writer.write(HEAD + head + piece)
        sent = len(piece)
        answered = asyncio.create_task(reader.readline())
        async with asyncio.timeout(10):
            while not answered.done() and sent < 2_000_000 and piece == CHUNK:
                writer.write(piece)
                sent += len(piece)
                await asyncio.sleep(0)
            assert (await answered).split()[1] == b"413"
        assert opened._bodies.held == 0
        writer.close()
