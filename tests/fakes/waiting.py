"""Waiting for what another task or process does, without guessing how long it takes."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], bool], *, within: float = 30.0) -> None:
    """Wait until a condition holds; raises TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - the condition belongs to code that raises no event
            await asyncio.sleep(0.002)
