"""One call of each kind, by raw clients that read every byte: what is timed is the server's side."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

import aiohttp
import grpc

from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc

PROMPT: Final = "say something"
SECONDS: Final = 300.0
Call = Callable[[int], Coroutine[None, None, None]]
"""Makes one call; the number chooses the key."""


class CallFailed(Exception):
    """A call did not end as it should; the message holds what the server said."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of call through one dialect."""

    name: str
    path: str
    body: Callable[[str, int], dict[str, object]]
    """Model and tokens to body."""
    end: bytes
    """What a complete answer holds."""
    stream: bool = True


def _messages(model: str, tokens: int) -> dict[str, object]:
    turn = {"role": "user", "content": PROMPT}
    return {"model": model, "messages": [turn], "max_tokens": tokens}


def _responses(model: str, tokens: int) -> dict[str, object]:
    return {"model": model, "input": PROMPT, "max_output_tokens": tokens, "store": False}


UNARY: Final = Kind("chat, whole", "/v1/chat/completions", _messages, b'"finish_reason"', stream=False)
CHAT: Final = Kind("chat, stream", "/v1/chat/completions", _messages, b"[DONE]")
RESPONSES: Final = Kind("Responses, stream", "/v1/responses", _responses, b"event: response.completed")
MESSAGES: Final = Kind("Messages, stream", "/v1/messages", _messages, b"event: message_stop")


class Web:
    """Calls over HTTP."""

    def __init__(self, url: str, keys: list[str]) -> None:
        self._url = url
        self._keys = keys
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=SECONDS)
        )

    def call(self, kind: Kind, model: str, tokens: int) -> Call:
        """Return what makes one call."""
        asked = kind.body(model, tokens) | ({"stream": True} if kind.stream else {})
        body = json.dumps(asked).encode()

        async def one(number: int) -> None:
            key = self._keys[number % len(self._keys)]
            headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
            async with self._session.post(self._url + kind.path, data=body, headers=headers) as answer:
                last = b""
                async for part in answer.content.iter_any():
                    last = (last + part)[-4096:]
                if answer.status != 200 or kind.end not in last:
                    raise CallFailed(f"{kind.name}: {answer.status} {last[-500:]!r}")

        return one

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


class Grpc:
    """Calls by generated stubs."""

    def __init__(self, endpoint: str, tokens: list[str]) -> None:
        self._channel = grpc.aio.insecure_channel(endpoint)
        self._stub: inference_pb2_grpc.InferenceServiceAsyncStub = inference_pb2_grpc.InferenceServiceStub(
            self._channel
        )
        self._metadata = [(("authorization", f"Bearer {token}"),) for token in tokens]

    def call(self, *, stream: bool, model: str, tokens: int) -> Call:
        """Return what makes one call."""
        request = inference_pb2.GenerateRequest(
            model=model, messages=[{"role": "ROLE_USER", "content": PROMPT}], max_tokens=tokens
        )

        async def one(number: int) -> None:
            metadata = self._metadata[number % len(self._metadata)]
            if not stream:
                await self._stub.Generate(request, metadata=metadata, timeout=SECONDS)
                return
            asked = inference_pb2.StreamGenerateRequest(generation=request)
            kind = None
            async for event in self._stub.StreamGenerate(asked, metadata=metadata, timeout=SECONDS):
                kind = event.event.WhichOneof("event")
            if kind != "finished":
                raise CallFailed(f"gRPC: the stream ended with {kind}")

        return one

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


async def one_by_one(call: Call, count: int) -> list[float]:
    """Make calls one after the other; return the seconds of each."""
    times: list[float] = []
    for number in range(count):
        began = time.perf_counter()
        await call(number)
        times.append(time.perf_counter() - began)
    return times


async def at_once(call: Call, count: int, workers: int) -> None:
    """Make calls by so many workers."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(work() for _ in range(workers)))
