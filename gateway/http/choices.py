"""Several answers to one request: they start together, come mixed, and fail together."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http import generating
from gateway.http.common.answers import Answer
from gateway.http.common.plan import Plan
from gateway.http.kernel import Kernel
from gateway.http.visit import Visit
from services.chassis.rpc.errors import Internal, KernelError

T = TypeVar("T")
Choice = tuple[int, pb.StreamGenerateResponse]
"""An event, with the number of the answer that it belongs to."""

_GANG_TOO_LARGE: Final = "NEVER_FITS"


async def several(
    kernel: Kernel, visit: Visit, plans: Sequence[Plan], seconds: float, *, seeds: Sequence[int | None]
) -> AsyncGenerator[Choice, None]:
    """Yield the events of several answers as they come, each with its number. The first failure ends all.

    They start together, as a gang, unless that is more than the backends have room for: then each on its own.
    `plans` and `seeds` have one entry for each answer.
    """
    if len(plans) == 1:
        async with aclosing(_events(kernel, visit, plans[0], seconds)) as alone:
            async for event in alone:
                yield 0, event
        return
    for gang in (f"n-{plans[0].request.request_id or visit.syscall_id}"[:64], ""):
        begun = False
        try:
            named = [
                plan.choice(index, gang=gang, size=len(plans), seed=seed)
                for index, (plan, seed) in enumerate(zip(plans, seeds, strict=True))
            ]
            streams = [_events(kernel, visit, plan, seconds, main=plan is named[0]) for plan in named]
            async with aclosing(merged(streams)) as events:
                async for choice in events:
                    begun = True
                    yield choice
        except KernelError as error:
            if begun or not gang or error.reason != _GANG_TOO_LARGE:
                raise
        else:
            return


async def gathered(
    kernel: Kernel, visit: Visit, plans: Sequence[Plan], *, seeds: Sequence[int | None], logprobs: bool
) -> tuple[list[str], list[Answer]]:
    """Return the generations' names and the answers, once all have ended. Raises as `several`."""
    names, ends = [""] * len(plans), dict[int, pb.Finished]()
    places: list[list[pb.TopAlternatives]] = [[] for _ in plans]
    async with aclosing(several(kernel, visit, plans, visit.call_seconds, seeds=seeds)) as events:
        async for index, event in events:
            names[index] = names[index] or event.name
            places[index].extend(event.event.delta.top_alternatives)
            if event.event.HasField("finished"):
                ends[index] = event.event.finished
    if len(ends) < len(plans):
        raise Internal("an answer ended without its end being told")
    told = places if logprobs else [None] * len(plans)
    return names, [Answer(ends[index], each) for index, each in enumerate(told)]


def _events(
    kernel: Kernel, visit: Visit, plan: Plan, seconds: float, *, main: bool = True
) -> AsyncGenerator[pb.StreamGenerateResponse, None]:
    return generating.stream(kernel, visit, plan.request, plan.tier, plan.words, seconds=seconds, main=main)


async def merged(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[tuple[int, T], None]:
    """Yield what several streams bring, one at a time from each. Raises the first failure; ends them all."""
    coming = {asyncio.ensure_future(_next(each)): index for index, each in enumerate(streams)}
    try:
        while coming:
            done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=coming.__getitem__):
                found = task.result()
                index = coming.pop(task)
                if found:
                    yield index, found[0]
                    coming[asyncio.ensure_future(_next(streams[index]))] = index
    finally:
        await _end(coming, streams)


async def _next(stream: AsyncGenerator[T, None]) -> list[T]:
    """Return the next event in a list, or an empty one at the end: a task cannot raise StopAsyncIteration."""
    async for event in stream:
        return [event]
    return []


async def _end(coming: dict[Any, int], streams: Sequence[AsyncGenerator[Any, None]]) -> None:
    for task in coming:
        task.cancel()
    if coming:
        await asyncio.wait(coming)
    for task in coming:
        if not task.cancelled():
            task.exception()  # one failure was told, or nobody listens any more
    await asyncio.gather(*(each.aclose() for each in streams))
