"""The floor of a call: the least that a gateway and a scheduler of this make can do, and nothing else.

`python -m tests.bench.cost.floor scheduler` grants at once whatever is submitted on a bidirectional stream.
`python -m tests.bench.cost.floor gateway SCHEDULER BACKEND` asks it for a grant for each call, reads the
backend's events, sends them on in pieces as the gateway does, and tells the end. It checks and keeps nothing.
The first line that each prints is its port.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

import aiohttp
import grpc
import orjson

from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from aios.api.scheduler.v1 import dispatch_pb2, scheduler_pb2_grpc

COALESCE_TOKENS: Final = 16
COALESCE_SECONDS: Final = 0.02


class Granting(scheduler_pb2_grpc.SchedulerServiceServicer):
    """Grants everything."""

    async def Dispatch(  # noqa: N802 - gRPC's
        self,
        requests: AsyncIterator[dispatch_pb2.DispatchRequest],
        context: Any,  # noqa: ARG002 - gRPC's
    ) -> AsyncGenerator[dispatch_pb2.DispatchResponse, None]:
        """Answer each submission with its grant."""
        async for request in requests:
            if request.HasField("submit"):
                key = dispatch_pb2.CallKey(call=request.submit.call)
                grant = dispatch_pb2.Grant(key=key, replica="floor", number=1)
                yield dispatch_pb2.DispatchResponse(grant=grant)


class Least(inference_pb2_grpc.InferenceServiceServicer):
    """Forwards generations."""

    def __init__(self, scheduler: str, backend: str) -> None:
        self._backend = f"{backend}/v1/chat/completions"
        self._stub: scheduler_pb2_grpc.SchedulerServiceAsyncStub = scheduler_pb2_grpc.SchedulerServiceStub(
            grpc.aio.insecure_channel(scheduler)
        )
        self._numbers = itertools.count(1)
        self._granted: dict[str, asyncio.Future[None]] = {}
        self._outbox: asyncio.Queue[dispatch_pb2.DispatchRequest] = asyncio.Queue()
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def dispatch(self) -> None:
        """Keep the stream to the scheduler going."""

        async def outgoing() -> AsyncGenerator[dispatch_pb2.DispatchRequest, None]:
            while True:
                yield await self._outbox.get()

        async for answer in self._stub.Dispatch(outgoing()):
            self._granted.pop(answer.grant.key.call).set_result(None)

    async def Generate(  # noqa: N802 - gRPC's
        self,
        request: inference_pb2.GenerateRequest,
        context: Any,  # noqa: ARG002 - gRPC's
    ) -> inference_pb2.GenerateResponse:
        """Answer at the end."""
        said = [text async for texts in self._texts(request) for text in texts]
        return inference_pb2.GenerateResponse(finished=_finished(said))

    async def StreamGenerate(  # noqa: N802 - gRPC's
        self,
        request: inference_pb2.StreamGenerateRequest,
        context: Any,  # noqa: ARG002 - gRPC's
    ) -> AsyncGenerator[inference_pb2.StreamGenerateResponse, None]:
        """Answer as it comes, in pieces."""
        said: list[str] = []
        sent, sent_at = 0, 0.0
        async for texts in self._texts(request.generation):
            said += texts
            if len(said) - sent >= COALESCE_TOKENS or time.monotonic() - sent_at >= COALESCE_SECONDS:
                yield _delta(said[sent:])
                sent, sent_at = len(said), time.monotonic()
        if sent < len(said):
            yield _delta(said[sent:])
        event = inference_pb2.GenerationEvent(finished=_finished(said))
        yield inference_pb2.StreamGenerateResponse(event=event)

    async def _texts(self, request: inference_pb2.GenerateRequest) -> AsyncGenerator[list[str], None]:
        """Yield the tokens of each read."""
        call = str(next(self._numbers))
        self._granted[call] = asyncio.get_running_loop().create_future()
        await self._outbox.put(dispatch_pb2.DispatchRequest(submit=dispatch_pb2.Submit(call=call)))
        await self._granted[call]
        messages = [{"role": "user", "content": each.content} for each in request.messages]
        asked = {
            "model": request.model,
            "messages": messages,
            "max_tokens": request.max_tokens,
            "stream": True,
        }
        body = orjson.dumps(asked)
        count, rest = 0, b""
        async with self._http.post(self._backend, data=body) as answer:
            async for piece in answer.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                texts = [text for line in lines if line.startswith(b"data: {") and (text := _text(line))]
                count += len(texts)
                if texts:
                    yield texts
        ended = dispatch_pb2.Ended(key=dispatch_pb2.CallKey(call=call), tokens_done=count)
        await self._outbox.put(dispatch_pb2.DispatchRequest(ended=ended))


def _text(line: bytes) -> str:
    choices = orjson.loads(line[6:])["choices"]
    return choices[0]["delta"].get("content", "") if choices else ""


def _delta(texts: list[str]) -> inference_pb2.StreamGenerateResponse:
    delta = inference_pb2.Delta(text="".join(texts), token_count=len(texts))
    return inference_pb2.StreamGenerateResponse(event=inference_pb2.GenerationEvent(delta=delta))


def _finished(texts: list[str]) -> inference_pb2.Finished:
    return inference_pb2.Finished(message={"role": "ROLE_ASSISTANT", "content": "".join(texts)})


async def serve(kind: str, scheduler: str = "", backend: str = "") -> None:
    """Serve until killed; the first line printed is the port."""
    server = grpc.aio.server()
    following: list[asyncio.Task[None]] = []
    if kind == "gateway":
        least = Least(scheduler, backend)  # type: ignore[abstract]  # two methods are all it takes
        following.append(asyncio.create_task(least.dispatch()))
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(least, server)
    else:
        granting = Granting()  # type: ignore[abstract]  # one method is all it takes
        scheduler_pb2_grpc.add_SchedulerServiceServicer_to_server(granting, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
