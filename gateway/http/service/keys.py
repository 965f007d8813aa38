"""Who is calling: an agent's key becomes a token of its own, kept while it counts.

A key is known here by its digest only. A token that a client shows instead of a key is used as it is. What
access withdraws counts at once, because every call that carries the token is checked as always.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.http.model import Exchanged, Identity
from gateway.http.ports import KeyExchange
from services.chassis.auth.tokens import Authenticator
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc.errors import (
    AgentInactive,
    CredentialInvalid,
    CredentialMissing,
    KernelError,
)
from services.chassis.runtime.clock import Clock

LONGEST_KEY: Final = 256
"""Characters of a key. Anything longer is a token or nothing."""
_RENEW_AT: Final = 0.8
"""Part of a token's life after which it is exchanged anew, while the old one still serves."""
_MAX_KEPT: Final = 10_000
_WRONG_SECONDS: Final = 10.0
"""How long a wrong key is refused unasked: clients try a refused key twice, and access hears out few."""
_WRONG_PER_ADDRESS: Final = 20
_WRONG_WINDOW_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Entry:
    identity: Identity
    renew_at: float
    expires_at: float
    renewing: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class _Wrong:
    until: float
    error: KernelError


@dataclass(slots=True)
class _Attempts:
    """Wrong keys of one address since `since`."""

    since: float
    count: int = 0


@dataclass(slots=True)
class Keys:
    """The keys that were exchanged, by digest."""

    exchange: KeyExchange
    authenticator: Authenticator
    clock: Clock
    _kept: "OrderedDict[bytes, _Entry]" = field(default_factory=OrderedDict)
    _asking: "dict[bytes, asyncio.Task[Identity]]" = field(default_factory=dict)
    _wrong: "OrderedDict[bytes, _Wrong]" = field(default_factory=OrderedDict)
    _attempts: "OrderedDict[str, _Attempts]" = field(default_factory=OrderedDict)

    async def identity(self, credential: str, peer: str) -> Identity:
        """Return whom a key or token names.

        Raises CredentialMissing, CredentialInvalid, CredentialExpired, CredentialRevoked, AgentInactive,
        TooManyCalls (too many wrong keys from this address), or an UNAVAILABLE error while access is away.
        """
        if not credential:
            raise CredentialMissing("no key came with the request: send it as `Authorization: Bearer`")
        if credential.count(".") == 2:  # noqa: PLR2004 - the three parts of a JWT
            principal = await self.authenticator.authenticate(credential)
            return Identity(principal.agent, principal.tenant, credential)
        if len(credential) > LONGEST_KEY or not credential.isascii() or not credential.isprintable():
            raise CredentialInvalid("that is no key of an agent")
        return await self._by_key(credential, hashlib.sha256(credential.encode()).digest(), peer)

    def forget(self, identity: Identity) -> bool:
        """Drop the token of an identity, which was refused. Return whether a key can renew it."""
        entry = self._kept.get(identity.key_digest)
        if entry is not None and entry.identity.token == identity.token:
            del self._kept[identity.key_digest]
        return bool(identity.key_digest)

    async def close(self) -> None:
        """End what is being asked."""
        tasks: list[asyncio.Task[Identity] | asyncio.Task[None]] = [*self._asking.values()]
        tasks += [entry.renewing for entry in self._kept.values() if entry.renewing is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _by_key(self, key: str, digest: bytes, peer: str) -> Identity:
        now = self.clock.monotonic()
        entry = self._kept.get(digest)
        if entry is not None and now < entry.expires_at:
            self._kept.move_to_end(digest)
            if now >= entry.renew_at and entry.renewing is None:
                entry.renewing = asyncio.create_task(self._renew(key, digest, peer, entry))
            return entry.identity
        self._check_wrong(digest, peer, now)
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(key, digest, peer))
            asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        # The exchange is everybody's who shows this key: one client that leaves does not end it.
        return await asyncio.shield(asking)

    async def _ask(self, key: str, digest: bytes, peer: str) -> Identity:
        try:
            given = await self.exchange.exchange(key, peer)
        except (CredentialInvalid, AgentInactive) as error:
            self._remember_wrong(digest, peer, error)
            raise
        return self._keep(digest, given).identity

    async def _renew(self, key: str, digest: bytes, peer: str, entry: _Entry) -> None:
        """Exchange anew in the background; the old token serves until it expires while access is away."""
        try:
            self._keep(digest, await self.exchange.exchange(key, peer))
        except (CredentialInvalid, AgentInactive):
            if self._kept.get(digest) is entry:
                del self._kept[digest]
        except KernelError:
            entry.renew_at = self.clock.monotonic() + 1.0
        finally:
            entry.renewing = None

    def _keep(self, digest: bytes, given: Exchanged) -> _Entry:
        now = self.clock.monotonic()
        entry = _Entry(
            Identity(given.agent, given.tenant, given.token, key_digest=digest),
            renew_at=now + _RENEW_AT * given.seconds,
            expires_at=now + given.seconds,
        )
        self._kept[digest] = entry
        self._kept.move_to_end(digest)
        self._wrong.pop(digest, None)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return entry

    def _check_wrong(self, digest: bytes, peer: str, now: float) -> None:
        wrong = self._wrong.get(digest)
        if wrong is not None:
            if now < wrong.until:
                raise wrong.error.with_traceback(None)
            del self._wrong[digest]
        tried = self._attempts.get(peer)
        if tried is not None and now - tried.since >= _WRONG_WINDOW_SECONDS:
            del self._attempts[peer]
        elif tried is not None and tried.count >= _WRONG_PER_ADDRESS:
            wait = _WRONG_WINDOW_SECONDS - (now - tried.since)
            raise TooManyCalls("too many wrong keys came from this address", retry_after=wait)

    def _remember_wrong(self, digest: bytes, peer: str, error: KernelError) -> None:
        now = self.clock.monotonic()
        self._wrong[digest] = _Wrong(now + _WRONG_SECONDS, error)
        attempts = self._attempts.setdefault(peer, _Attempts(now))
        attempts.count += 1
        for kept in (self._wrong, self._attempts):
            while len(kept) > _MAX_KEPT:
                kept.popitem(last=False)


def credential_of(header: Callable[[str], str | None]) -> str:
    """Return the key or token among a request's headers: `authorization` first, then `x-api-key`.

    Raises CredentialInvalid when both are there and differ, or the scheme is not Bearer.
    """
    bearer, key = header("authorization"), (header("x-api-key") or "").strip()
    if bearer is None:
        return key
    scheme, _, shown = bearer.partition(" ")
    shown = shown.strip()
    if scheme.lower() != "bearer":
        raise CredentialInvalid("the authorization header is not of the form `Bearer KEY`")
    if key and key != shown:
        raise CredentialInvalid("two different credentials came with the request")
    return shown
