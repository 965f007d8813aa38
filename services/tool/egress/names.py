"""Looking names up, where a name server that is slow or hostile holds up nobody but who asks for it."""

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from services.tool.errors import EgressFailed

Lookup = Callable[[str, str, int], Awaitable[list[str]]]
"""Returns the addresses of a name, empty for none: `lookup(tenant, host, port)`. Raises EgressFailed."""

THREADS: Final = 16
MOST_OF_TENANT: Final = 8
"""Look-ups of one tenant that are under way: the system's resolver cannot be stopped, only waited for."""
MAX_ADDRESSES: Final = 64
"""Addresses of one name that are looked at."""


class SystemLookup:
    """The system's resolver on threads of its own, so that no other work waits for a name."""

    def __init__(self, resolve: Callable[[str, int], list[str]] | None = None) -> None:
        self._resolve = resolve or _getaddrinfo
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="lookup")
        self._of: Counter[str] = Counter()

    async def __call__(self, tenant: str, host: str, port: int) -> list[str]:
        """Return a name's addresses, empty when it has none. Raises EgressFailed."""
        if self._of[tenant] >= MOST_OF_TENANT:
            raise EgressFailed("too many names are being looked up for this tenant", retry_after=1.0)
        self._of[tenant] += 1
        loop = asyncio.get_running_loop()
        work = self._pool.submit(self._resolve, host, port)
        # Counted until the thread is free, not until the caller has gone.
        work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done, tenant))
        try:
            found = await asyncio.wrap_future(work)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise EgressFailed("the name cannot be looked up just now", retry_after=1.0) from error
            return []
        except (OSError, UnicodeError):
            return []
        return found[: MAX_ADDRESSES + 1]

    def close(self) -> None:
        """Let go of the threads; those that still wait end with their look-up."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, tenant: str) -> None:
        self._of[tenant] -= 1
        if not self._of[tenant]:
            del self._of[tenant]


def _getaddrinfo(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
