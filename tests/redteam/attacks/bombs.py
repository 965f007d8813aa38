"""Messages that grow when they are opened."""

import gzip
import struct
from typing import Any

import grpc

from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground
from tests.system.world import METHODS

CALL = "tool.v1.ToolService/CallTool"
RECORDS = "storage.v1.StorageService/PutRecords"
_LARGEST = 4 << 20


def _nested(depth: int) -> bytes:
    """Return the bytes of an argument that is a list in a list in a list."""
    value = b"\x08\x00"
    for _ in range(depth):
        inner = b"\x0a" + _length(value) + value
        value = b"\x32" + _length(inner) + inner
        if len(value) > _LARGEST // 4:
            break
    return value


def _length(content: bytes) -> bytes:
    number, out = len(content), bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


@attack("message-bombs", "many empty messages, deep nesting, bad texts, sizes just above the limit")
async def bombs(ground: Ground, fire: Fire) -> None:
    empty = b"\x12\x00" * (_LARGEST // 2 - 100)
    json_text = "[" * 500_000
    shots: list[tuple[str, bytes]] = [
        (RECORDS, empty),
        (RECORDS, b"\x0a\x04\xff\xfe\xfd\xfc" * 1_000),
        (CALL, b"\x12" + _length(_nested(5_000)) + _nested(5_000)),
        (CALL, tool_pb2.CallToolRequest(tool="tools/clock", arguments_json=json_text).SerializeToString()),
        (
            CALL,
            tool_pb2.CallToolRequest(tool="tools/clock", arguments_json='{"a":' * 90_000).SerializeToString(),
        ),
        (
            CALL,
            tool_pb2.CallToolRequest(
                tool="tools/clock", arguments_json='{"a": 1e' + "9" * 5_000 + "}"
            ).SerializeToString(),
        ),
        (RECORDS, storage_pb2.PutRecordsRequest(collection="x" * 1_000_000).SerializeToString()),
        (CALL, b"\xff" * 1_000_000),
    ]
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            label, raw = shots[number % len(shots)]
            await fire.call(channel, label, raw)

        await fire.together(shoot, workers=8)


@attack("wire-bombs", "packed messages, metadata without end, messages that are too large for the wire")
async def wire(ground: Ground, fire: Fire) -> None:
    path = METHODS[CALL].path
    packed = gzip.compress(b"\x00" * (64 << 20))
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]

    async def send(raw: bytes, metadata: tuple[tuple[str, str | bytes], ...], **given: Any) -> None:
        async with grpc.aio.insecure_channel(ground.gateway, options=options) as channel:
            open_call: Any = channel.unary_stream(path)
            call = open_call(raw, metadata=metadata, timeout=20, **given)
            fire.tried += 1
            try:
                async for _ in call:
                    pass
            except grpc.aio.AioRpcError as failure:
                fire.answers[failure.code().name] += 1
                late = failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                fire.never(late, "no answer within 20 s to a bomb on the wire")

    async def shoot(number: int) -> None:
        how: tuple[tuple[str, str | bytes], ...] = tuple(ground.metadata)
        if number % 3 == 0:
            await send(b"\x00" * (64 << 20), how, compression=grpc.Compression.Gzip)
        elif number % 3 == 1:
            await send(b"", (*how, *((f"x-{n}", "y" * 100) for n in range(2_000))))
        else:
            await send(struct.pack(">BI", 1, len(packed)) + packed, how)

    await fire.together(shoot, workers=4)
