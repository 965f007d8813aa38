"""Generations as dialects ask for them: errors in the client's words, and a tier that is never refused."""

from collections.abc import AsyncGenerator, Iterable, Sequence
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
    kernel: Kernel,
    visit: Visit,
    request: pb.GenerateRequest,
    tier: Tier,
    words: Words,
    *,
    seconds: float = 0.0,
    main: bool = True,
) -> AsyncGenerator[pb.StreamGenerateResponse, None]:
    """Generate one answer as a stream. Raises as `whole`. Leaving it ends the call.

    `seconds` is how long it may take, the time of a stream if 0; `main` whether this is the call that the
    request's id names.
    """
    for _ in range(2):
        call: Any = kernel.inference.StreamGenerate(
            pb.StreamGenerateRequest(generation=request),
            metadata=visit.main_metadata if main else visit.metadata,
            timeout=seconds or visit.stream_seconds,
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
    return headers_of([name], [finished])


def headers_of(names: Iterable[str], ends: Sequence[pb.Finished]) -> dict[str, str]:
    """Return the same of several generations: the longest wait, and every replica once."""
    return _sendable(
        {
            "aios-generation": ", ".join(name for name in names if name),
            "aios-wait-ms": _wait(max(end.timings.wait.ToMilliseconds() for end in ends)),
            "aios-replica": ", ".join(dict.fromkeys(end.timings.replica for end in ends)),
        }
    )


def first_headers(event: pb.StreamGenerateResponse | None) -> dict[str, str]:
    """Return what is known when a stream's first event has come; nothing while it has not."""
    if event is None:
        return {}
    admitted = event.event.admitted
    wait = _wait(admitted.wait.ToMilliseconds()) if event.event.HasField("admitted") else ""
    return _sendable({"aios-generation": event.name, "aios-wait-ms": wait})


def _wait(milliseconds: int) -> str:
    return str(max(0, milliseconds))


def _sendable(told: dict[str, str]) -> dict[str, str]:
    """Leave out what is not known, and what no header can hold."""
    return {name: text for name, text in told.items() if text and text.isascii() and text.isprintable()}
