"""A generation that starts over: what its callers have must come again, and is not delivered twice. Pure."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from gateway.errors import BackendFailed
from gateway.inference.errors import BackendUnavailable, UnmarkedEnd
from gateway.inference.model import Stopped, StreamItem, Token


async def skip_known_prefix(
    known: str, items: AsyncGenerator[StreamItem, None]
) -> AsyncGenerator[StreamItem, None]:
    """Follow a stream from where it goes beyond the known text.

    Raises BackendFailed where it differs from that text or ends within it, and BackendUnavailable where it
    breaks off within it, with the mark of an end or without.
    """
    at = 0
    async with aclosing(_marked(items, lambda: at < len(known))) as stream:
        async for item in stream:
            if at == len(known):
                yield item
            elif isinstance(item, Token):
                again = item.text[: len(known) - at]
                if not known.startswith(again, at):
                    raise _differs(known)
                at += len(again)
                if len(item.text) > len(again):
                    yield replace(item, text=item.text[len(again) :])
            elif isinstance(item, Stopped):
                raise _differs(known)
            else:
                yield item


async def _marked(
    items: AsyncGenerator[StreamItem, None], within: Callable[[], bool]
) -> AsyncGenerator[StreamItem, None]:
    """Follow a stream; that it ends without a mark means nothing within what is known already."""
    async with aclosing(items) as stream:
        try:
            async for item in stream:
                yield item
        except UnmarkedEnd as error:
            if within():
                raise BackendUnavailable(str(error)) from error
            raise


def _differs(known: str) -> BackendFailed:
    return BackendFailed(
        "the backend broke off, cannot go on with a text, and answers differently now; "
        "send the call again under a new request_id",
        metadata={"delivered_characters": str(len(known))},
    )
