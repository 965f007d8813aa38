"""Reads a paged list to its end."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def pages(fetch: Callable[[str], Awaitable[tuple[list[T], str]]], limit: int | None) -> list[T]:
    """Return up to `limit` entries (None: all).

    `fetch` takes a page token and returns entries and the next token.
    """
    found: list[T] = []
    token = ""
    while limit is None or len(found) < limit:
        entries, token = await fetch(token)
        found += entries
        if not token:
            break
    return found if limit is None else found[:limit]
