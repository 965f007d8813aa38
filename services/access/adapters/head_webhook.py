"""Tells heads of the audit logs to a webhook: the newest of each log, again and again until it is taken."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp

from services.access.adapters.head_file import head_line
from services.access.model.audit import ExportedHead
from services.chassis.runtime.logs import logger

_log = logger(__name__)

_MOST_WAITING: Final = 1000
_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_TAKEN: Final = range(200, 300)


class HeadWebhook:
    """Posts heads as lines of JSON (application/x-ndjson). `run` sends; `tell` never waits.

    What waits is bounded: a newer head of a log takes the place of the older one, and the oldest goes where
    more than a thousand logs wait.
    """

    def __init__(self, url: str, count: Callable[[str, int], None]) -> None:
        self._url = url
        self._count = count
        self._waiting: dict[str, ExportedHead] = {}
        self._told = asyncio.Event()

    def tell(self, heads: Sequence[ExportedHead]) -> None:
        """Take heads to be sent."""
        for head in heads:
            self._waiting.pop(head.tenant, None)
            self._waiting[head.tenant] = head
        while len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self._count("lost", 1)
        self._told.set()

    async def run(self) -> None:
        """Send for ever what is told."""
        pause = _FIRST_PAUSE
        async with self._session() as session:
            while True:
                await self._told.wait()
                if await self._send(session):
                    pause = _FIRST_PAUSE
                    continue
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def finish(self) -> None:
        """Try once to send what still waits: the process is about to end."""
        if self._waiting:
            async with self._session() as session:
                await self._send(session)

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        return aiohttp.ClientSession(timeout=timeout, raise_for_status=False)

    async def _send(self, session: aiohttp.ClientSession) -> bool:
        """Send all that waits; tell whether it was taken."""
        sent = dict(self._waiting)
        self._told.clear()
        body = b"".join(head_line(head) + b"\n" for head in sent.values())
        headers = {"content-type": "application/x-ndjson"}
        try:
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                why = "" if answer.status in _TAKEN else f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = type(error).__name__
        if why:
            _log.warning("the webhook did not take the heads of the audit log", why=why, count=len(sent))
            self._told.set()
            return False
        for tenant, head in sent.items():
            if self._waiting.get(tenant) is head:
                del self._waiting[tenant]
        self._count("webhook", len(sent))
        return True
