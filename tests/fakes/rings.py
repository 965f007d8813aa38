"""What is left behind that only a collection of garbage finds."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def no_collections() -> AsyncIterator[None]:
    """Collect nothing meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive(*kinds: type) -> int:
    """Count the objects of these kinds that nobody has let go of, or that hold each other."""
    return sum(isinstance(each, kinds) for each in gc.get_objects())
