"""Where a kernel's bearer token comes from, and how it is renewed."""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from aios.errors import AiosError, Unauthenticated
from aios.types.agents import Credential

RENEW_AT: Final = 2 / 3
"""Part of a token's life after which it is renewed."""

RENEW_PAUSE: Final = 5.0
"""Pause after a failed early renewal. Unit: seconds."""

ISSUE_TIMEOUT: Final = 5.0
"""Longest time one renewal may take. Unit: seconds."""


class Tokens(Protocol):
    """Supplies the bearer token of each call."""

    @property
    def who(self) -> str:
        """Who the caller is, in words without a secret."""
        ...

    @property
    def advice(self) -> str:
        """What to do when the kernel refuses the credential for good; empty: what the error says itself."""
        ...

    async def get(self) -> str:
        """Return a token to send. Raises an `AiosError` when there is none."""
        ...

    async def renew(self, rejected: str) -> bool:
        """Get another token than `rejected`, which the kernel refused; False when there is no way to."""
        ...


class NoToken:
    """For public methods."""

    who = "nobody"
    advice = ""

    async def get(self) -> str:
        """Return nothing to send."""
        return ""

    async def renew(self, rejected: str) -> bool:
        """There is nothing to renew."""
        del rejected
        return False


class StaticToken:
    """A token that the caller has and renews himself."""

    advice = ""

    def __init__(self, token: str, who: str = "whoever its token names") -> None:
        self._token = token
        self.who = who

    async def get(self) -> str:
        """Return the token."""
        return self._token

    async def renew(self, rejected: str) -> bool:
        """There is no key to renew it with."""
        del rejected
        return False


class FileToken:
    """A token in a file, read at the first call and again when the kernel refuses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = ""
        self.who = f"the administrator, by {path}"
        self.advice = f"Is {path} this kernel's? AIOS_DATA_DIR names its data directory; or set AIOS_TOKEN."

    async def get(self) -> str:
        """Return the file's token. Raises Unauthenticated when the file cannot be read."""
        if not self._token:
            self._token = await asyncio.to_thread(self._read)
        return self._token

    async def renew(self, rejected: str) -> bool:
        """Read the file again; True when it holds another token by now."""
        self._token = await asyncio.to_thread(self._read)
        return self._token != rejected

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Unauthenticated(f"no token: cannot read {self._path} ({error.strerror})") from error


class KeyedToken:
    """An agent's token, renewed with its key.

    From 2/3 of its life on, a call first renews it; while that fails the old token is used as long as it
    lives. A token that has expired meanwhile is renewed by the next call, whatever happened in between.
    """

    advice = "The key is another kernel's, or was revoked: an administrator can issue another one."

    def __init__(
        self,
        credential: Credential,
        issue: Callable[[str], Awaitable[Credential]],
        now: Callable[[], float] = time.time,
        who: str = "whoever its key names",
    ) -> None:
        self.who = who
        self._key = credential.agent_key
        self._issue = issue
        self._now = now
        self._lock = asyncio.Lock()
        self._not_before = 0.0
        self._take(credential)

    async def get(self) -> str:
        """Return a live token. Raises what the renewal raised when the old token has expired."""
        if self._due():
            async with self._lock:
                if self._due():
                    await self._renew_early()
        return self._token

    async def renew(self, rejected: str) -> bool:
        """Exchange the key for another token, once for all calls that were refused together."""
        async with self._lock:
            if self._token == rejected:
                self._take(await self._issue(self._key))
        return True

    def _due(self) -> bool:
        now = self._now()
        return now >= self._renew_at and (now >= self._not_before or now >= self._expires)

    async def _renew_early(self) -> None:
        try:
            self._take(await self._issue(self._key))
        except AiosError:
            if self._now() >= self._expires:
                raise
            self._not_before = self._now() + RENEW_PAUSE

    def _take(self, credential: Credential) -> None:
        self._token = credential.token
        now = self._now()
        # The local clock may be wrong; the difference of the token's own two stamps is not.
        left = min(credential.expire_time.timestamp() - now, lifetime(credential.token, default=float("inf")))
        self._expires = now + left
        self._renew_at = now + left * RENEW_AT


class Chosen:
    """The caller that the environment names, found out with the first call, as it may take reading a file."""

    advice = NoToken.advice
    who = "whoever the environment names"

    def __init__(self, choose: Callable[[], Tokens]) -> None:
        self._choose = choose
        self._chosen: Tokens | None = None

    async def get(self) -> str:
        """Return the chosen caller's token. Raises Unauthenticated when there is none to be had."""
        return await (await self._tokens()).get()

    async def renew(self, rejected: str) -> bool:
        """Renew the chosen caller's token."""
        return await (await self._tokens()).renew(rejected)

    async def _tokens(self) -> Tokens:
        if self._chosen is None:
            chosen = await asyncio.to_thread(self._choose)
            self._chosen = self._chosen or chosen
            self.who, self.advice = self._chosen.who, self._chosen.advice
        return self._chosen


def lifetime(token: str, *, default: float) -> float:
    """Return the seconds from a JWT's `iat` to its `exp`, unverified, or `default` when it has none."""
    claims = _claims(token)
    return claims["exp"] - claims["iat"] if {"iat", "exp"} <= set(claims) else default


def issued_at(token: str) -> float | None:
    """Return when a JWT was issued, in seconds since 1970, unverified; None when it does not say."""
    return _claims(token).get("iat")


def _claims(token: str) -> dict[str, float]:
    """Return the times in a JWT's payload, unverified; nothing for a token of another form."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return {name: float(claims[name]) for name in ("iat", "exp") if name in claims}
    except (IndexError, TypeError, ValueError, binascii.Error):
        return {}
