"""Who is calling: an agent's key becomes a token of its own, kept while it counts.

A key is known here by its digest only. A token that a client shows instead of a key is used as it is.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from gateway.http.errors import anew
from gateway.http.model import Exchanged, Identity
from gateway.http.ports import KeyExchange
from gateway.http.service.kept_tokens import KeptTokens
from services.chassis.auth.tokens import Authenticator
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc.errors import AgentInactive, CredentialInvalid, CredentialMissing, KernelError
from services.chassis.runtime.clock import Clock

LONGEST_KEY: Final = 256
"""Characters of a key. Anything longer is a token or nothing."""
_DOTS_OF_A_TOKEN: Final = 2
_WRONG_SECONDS: Final = 10.0
"""How long a wrong key is refused unasked: clients try a refused key twice, and access hears out few."""
_WRONG_PER_ADDRESS: Final = 20
_WRONG_WINDOW_SECONDS: Final = 60.0
_MAX_KEPT: Final = 10_000


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
    kept: KeptTokens
    _wrong: "OrderedDict[bytes, _Wrong]" = field(default_factory=OrderedDict)
    _attempts: "OrderedDict[str, _Attempts]" = field(default_factory=OrderedDict)

    async def identity(self, credential: str, peer: str) -> Identity:
        """Return whom a key or token names.

        Raises CredentialMissing, CredentialInvalid, CredentialExpired, CredentialRevoked, AgentInactive,
        TooManyCalls (too many wrong keys from this address), or an UNAVAILABLE error while access is away.
        """
        if not credential:
            raise CredentialMissing("no key came with the request: send it as `Authorization: Bearer`")
        if credential.count(".") == _DOTS_OF_A_TOKEN:
            principal = await self.authenticator.authenticate(credential)
            return Identity(principal.agent, principal.tenant, credential)
        if len(credential) > LONGEST_KEY or not credential.isascii() or not credential.isprintable():
            raise CredentialInvalid("that is no key of an agent")
        digest = hashlib.sha256(b"key " + credential.encode()).digest()
        ask = partial(self._ask, credential, digest, peer)
        given = await self.kept.get(digest, ask, lambda _old: self.exchange.exchange(credential, peer))
        return Identity(given.agent, given.tenant, given.token, key_digest=digest)

    async def _ask(self, key: str, digest: bytes, peer: str) -> Exchanged:
        self._check_wrong(digest, peer)
        try:
            return await self.exchange.exchange(key, peer)
        except KernelError as error:  # by its reason: it may come from another process
            if error.reason in (CredentialInvalid.reason, AgentInactive.reason):
                self._remember_wrong(digest, peer, error)
            raise

    def _check_wrong(self, digest: bytes, peer: str) -> None:
        now = self.clock.monotonic()
        wrong = self._wrong.get(digest)
        if wrong is not None:
            if now < wrong.until:
                raise anew(wrong.error)
            del self._wrong[digest]
        tried = self._attempts.get(peer)
        if tried is not None and now - tried.since >= _WRONG_WINDOW_SECONDS:
            del self._attempts[peer]
        elif tried is not None and tried.count >= _WRONG_PER_ADDRESS:
            wait = _WRONG_WINDOW_SECONDS - (now - tried.since)
            raise TooManyCalls("too many wrong keys came from this address", retry_after=wait)

    def _remember_wrong(self, digest: bytes, peer: str, error: KernelError) -> None:
        now = self.clock.monotonic()
        while self._wrong and next(iter(self._wrong.values())).until <= now:
            self._wrong.popitem(last=False)
        self._wrong[digest] = _Wrong(now + _WRONG_SECONDS, anew(error))
        self._attempts.setdefault(peer, _Attempts(now)).count += 1
        kept: tuple[OrderedDict[Any, Any], ...] = (self._wrong, self._attempts)
        for each in kept:
            while len(each) > _MAX_KEPT:
                each.popitem(last=False)


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
