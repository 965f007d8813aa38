"""Tokens given for a key or a session, kept while they count; each is asked for once at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.http.model import Exchanged
from services.chassis.auth.tokens import Authenticator
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import CredentialExpired, CredentialRevoked, KernelError
from services.chassis.runtime.clock import Clock

Ask = Callable[[], Awaitable[Exchanged]]
"""Gives a token. Raises KernelError."""
Renew = Callable[[Exchanged], Awaitable[Exchanged]]
"""Gives a fresh one for one that still counts. Raises KernelError."""

RENEW_AT: Final = 0.8
"""Part of a token's life after which it is asked for anew, while the old one still serves."""
_RETRY_SECONDS: Final = 1.0
_VERDICTS: Final = frozenset(
    {Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.NOT_FOUND, Code.FAILED_PRECONDITION}
)
"""How a credential that is no good any more is refused. Any other error says nothing about it."""


def condemned(error: KernelError) -> bool:
    """Tell whether an error is a verdict on the credential that was shown."""
    return error.code in _VERDICTS


@dataclass(slots=True)
class _Entry:
    given: Exchanged
    renew_at: float
    expires_at: float
    renewing: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class KeptTokens:
    """At most `limit` tokens by digest; those unused the longest go first."""

    authenticator: Authenticator
    clock: Clock
    limit: int = 10_000
    _kept: "OrderedDict[bytes, _Entry]" = field(default_factory=OrderedDict)
    _asking: "dict[bytes, asyncio.Task[Exchanged]]" = field(default_factory=dict)

    async def get(self, digest: bytes, ask: Ask, renew: Renew) -> Exchanged:
        """Return the token kept under a digest, else what `ask` gives; `renew` gets the old one.

        A token that was revoked meanwhile is never returned. Raises what `ask` raises, and an UNAVAILABLE
        error when a token cannot be verified.
        """
        entry = await self._counting(digest)
        if entry is None:
            # What is asked is for everybody who shows this key: one client that leaves does not end it.
            return await asyncio.shield(self._question(digest, ask))
        self._kept.move_to_end(digest)
        if self.clock.monotonic() >= entry.renew_at and entry.renewing is None:
            entry.renewing = asyncio.create_task(self._renew(digest, entry, renew))
        return entry.given

    def put(self, digest: bytes, given: Exchanged) -> Exchanged:
        """Keep a token, and return it."""
        now = self.clock.monotonic()
        renew_at, expires_at = now + RENEW_AT * given.seconds, now + given.seconds
        self._kept[digest] = _Entry(given, renew_at, expires_at)
        self._kept.move_to_end(digest)
        while len(self._kept) > self.limit:
            self._kept.popitem(last=False)
        return given

    async def peek(self, digest: bytes) -> Exchanged | None:
        """Return the token kept under a digest, if it still counts."""
        entry = await self._counting(digest)
        return None if entry is None else entry.given

    def drop(self, digest: bytes, token: str = "") -> None:
        """Forget the token under a digest; with `token` only if it is that one."""
        entry = self._kept.get(digest)
        if entry is not None and token in ("", entry.given.token):
            del self._kept[digest]

    async def close(self) -> None:
        """End what is being asked."""
        tasks: list[asyncio.Task[Exchanged] | asyncio.Task[None]] = [*self._asking.values()]
        tasks += [entry.renewing for entry in self._kept.values() if entry.renewing is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _counting(self, digest: bytes) -> _Entry | None:
        """Return what is kept, if it still counts."""
        entry = self._kept.get(digest)
        if entry is None:
            return None
        if self.clock.monotonic() < entry.expires_at:
            try:
                await self.authenticator.authenticate(entry.given.token)
            except (CredentialExpired, CredentialRevoked):
                pass
            else:
                return entry
        self.drop(digest, entry.given.token)
        return None

    def _question(self, digest: bytes, ask: Ask) -> "asyncio.Task[Exchanged]":
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(digest, ask))
            asking.add_done_callback(partial(self._answered, digest))
        return asking

    def _answered(self, digest: bytes, asking: "asyncio.Task[Exchanged]") -> None:
        del self._asking[digest]
        if not asking.cancelled():
            asking.exception()  # those who waited may all have left

    async def _ask(self, digest: bytes, ask: Ask) -> Exchanged:
        return self.put(digest, await ask())

    async def _renew(self, digest: bytes, entry: _Entry, renew: Renew) -> None:
        """Ask anew in the background. Until access refuses it, the old token serves until it expires."""
        try:
            self.put(digest, await renew(entry.given))
        except KernelError as error:
            if condemned(error):
                self.drop(digest, entry.given.token)
            else:
                entry.renew_at = self.clock.monotonic() + _RETRY_SECONDS
        finally:
            entry.renewing = None
