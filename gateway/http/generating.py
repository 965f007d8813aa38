"""Generations as dialects ask for them: errors in the client's words, and a tier that is never refused."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common.hints import Tier
from gateway.http.common.words import Words
from gateway.http.kernel import Kernel
from gateway.http.visit import Visit
from services.chassis.rpc.errors import KernelError


async def whole(
    kernel: Kernel, visit: Visit, request: pb.GenerateRequest, tier: Tier, words: Words
) -> pb.GenerateResponse:
    """Generate one answer. Raises what Generate ends with, fields named as the client names them."""
    for _ in range(2):
        try:
            return await kernel.inference.Generate(
                request, metadata=visit.main_metadata, timeout=visit.call_seconds
            )
        except KernelError as error:
            if not tier.give_up(request, error):
                raise words.reword(error) from None
    raise RuntimeError("a tier is given up once")


async def stream(
    kernel: Kernel, visit: Visit, request: pb.GenerateRequest, tier: Tier, words: Words
) -> AsyncGenerator[pb.StreamGenerateResponse, None]:
    """Generate one answer as a stream. Raises as `whole`."""
    for _ in range(2):
        call: Any = kernel.inference.StreamGenerate(
            pb.StreamGenerateRequest(generation=request),
            metadata=visit.main_metadata,
            timeout=visit.stream_seconds,
        )
        try:
            async with aclosing(call):
                async for event in call:
                    yield event
                return
        except KernelError as error:
            if not tier.give_up(request, error):
                raise words.reword(error) from None


def headers(finished: pb.Finished, name: str) -> dict[str, str]:
    """Return what the answer's headers tell of a generation that has ended."""
    wait = finished.timings.wait.ToMilliseconds()
    told = {"aios-wait-ms": str(wait), "aios-replica": finished.timings.replica, "aios-generation": name}
    return {key: value for key, value in told.items() if value}
