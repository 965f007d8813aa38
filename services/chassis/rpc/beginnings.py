"""The first thing a stream sends leaves whole, also when the stream is interrupted just then."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

LEAVING_SECONDS: Final = 1.0
"""How long an interrupted stream waits for its beginning to leave."""


async def whole(sending: Coroutine[Any, Any, None]) -> None:
    """Await what sends the initial metadata of a stream; when interrupted meanwhile, let it leave first.

    gRPC notes that they were sent when that is done. Interrupted before, it would send them once more with
    the error that ends the stream, fail at that, and leave the caller waiting for ever.
    """
    task = asyncio.ensure_future(sending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=LEAVING_SECONDS)
        if not task.cancel() and not task.cancelled():
            task.exception()  # seen: the stream ends for the reason of the interruption
        raise
