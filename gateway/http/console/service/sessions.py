"""Signing in and out, and what a session is from one request to the next.

A session is a family of tokens of its own at the access manager: signing out revokes it and leaves the key or
token alone that was shown. Its tokens are short; they are renewed while the page is used, up to an end that
no use puts off.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from gateway.http.console.core import cookies
from gateway.http.console.core.guesses import Guesses
from gateway.http.console.model import Issued, Session
from gateway.http.console.ports import Journal, Tokens
from gateway.http.console.service.codes import SECONDS as CODE_SECONDS
from gateway.http.console.service.codes import Codes
from services.chassis.auth.identity import Kind
from services.chassis.auth.tokens import Authenticator
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import (
    CredentialExpired,
    CredentialInvalid,
    CredentialMissing,
    KernelError,
)
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger

_log = logger(__name__)

_SHORTEST: Final = 60.0
"""Shortest life that a token may be asked for. Unit: seconds."""
RENEW_BELOW: Final = 1 / 3
"""Part of a token's life that is left when it is renewed."""
LONGEST_CREDENTIAL: Final = 8192
_VERDICTS: Final = frozenset({Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT})
"""How a credential that is no good is refused. Any other error says nothing about it."""


@dataclass(frozen=True, slots=True)
class Lives:
    """How long sessions last. Unit: seconds."""

    token: float
    """Of each token, which is how long a session lasts that nobody uses."""
    session: float


@dataclass(slots=True)
class Sessions:
    """The sessions that this gateway begins, takes, renews and ends."""

    tokens: Tokens
    journal: Journal
    authenticator: Authenticator
    clock: Clock
    secret: str = field(repr=False)
    lives: Lives
    guesses: Guesses
    codes: Codes
    _renewing: "dict[str, asyncio.Task[Issued]]" = field(default_factory=dict)

    async def sign_in(self, credential: str, peer: str) -> Session:
        """Begin a session with a key or token. Raises as `Tokens.exchange`, and TooManyCalls."""
        issued = await self._exchange(credential, peer, self.lives.token)
        return await self._begin(issued, peer)

    async def sign_in_by_code(self, code: str, peer: str) -> Session:
        """Go on with the session that a code stands for. Raises CredentialInvalid and TooManyCalls."""
        self.guesses.begin(peer, self.clock.monotonic())
        held = self.codes.take(code)
        self.guesses.right(peer)
        return await self._begin(await self.tokens.renew(held.token, peer, self.lives.token), peer)

    async def code_for(self, credential: str, peer: str) -> str:
        """Begin a session that a browser takes over by a code. Raises as `sign_in`."""
        return self.codes.make(await self._exchange(credential, peer, CODE_SECONDS))

    async def of_cookie(self, value: str) -> Session:
        """Return the session that a cookie stands for.

        Raises CredentialMissing, -Invalid, -Expired, -Revoked or AccessUnavailable.
        """
        if not value:
            raise CredentialMissing("nobody is signed in here")
        kept = cookies.unpack(value)
        if kept is None:
            raise CredentialInvalid("the session's cookie is malformed")
        session = await self._session(kept.token, float(kept.began))
        if not cookies.is_sealed(self.secret, kept, session.id):
            raise CredentialInvalid("the session's cookie was not sealed here")
        if self.clock.now().timestamp() >= session.ends_at:
            raise CredentialExpired("the session is over: sign in again")
        return session

    def cookie(self, session: Session) -> str:
        """Return the cookie's value of a session."""
        return cookies.pack(self.secret, int(session.began_at), session.id, session.token)

    async def check(self, session: Session) -> None:
        """Raise what ended a session, if something has: its token's end, its own, or a revocation."""
        await self.authenticator.authenticate(session.token)
        if self.clock.now().timestamp() >= min(session.ends_at, session.expires_at):
            raise CredentialExpired("the session's token has expired")

    async def renewed(self, session: Session, peer: str) -> Session | None:
        """Return the session with a fresh token, when little is left of its own; None: not yet, or refused.

        A refusal changes nothing: the old token serves until it ends.
        """
        left, life = session.expires_at - self.clock.now().timestamp(), session.expires_at - session.issued_at
        if left > life * RENEW_BELOW or session.expires_at >= session.ends_at:
            return None
        try:
            issued = await asyncio.shield(self._renewal(session, peer))
            return await self._session(issued.token, session.began_at)
        except KernelError as error:
            _log.info("a session was not renewed", reason=error.reason)
            return None

    async def sign_out(self, session: Session, peer: str) -> None:
        """End a session for good. Raises KernelError when it could not be revoked."""
        await self.tokens.revoke(session.token, peer)
        try:
            await self.journal.note(session, "sign_out", peer)
        except KernelError as error:  # the revocation itself is in the log
            _log.warning("the audit log was not told of a sign-out", reason=error.reason)

    async def close(self) -> None:
        """End what is being asked."""
        tasks = list(self._renewing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _exchange(self, credential: str, peer: str, seconds: float) -> Issued:
        if not credential or len(credential) > LONGEST_CREDENTIAL or not credential.isascii():
            raise CredentialInvalid("that is no key and no token")
        self.guesses.begin(peer, self.clock.monotonic())
        try:
            issued = await self.tokens.exchange(credential, peer, seconds)
        except KernelError as error:
            if error.code not in _VERDICTS:
                self.guesses.right(peer)
            raise
        self.guesses.right(peer)
        return issued

    async def _begin(self, issued: Issued, peer: str) -> Session:
        session = await self._session(issued.token, float(int(self.clock.now().timestamp())))
        await self.journal.note(session, "sign_in", peer)
        return session

    async def _session(self, token: str, began_at: float) -> Session:
        principal = await self.authenticator.authenticate(token)
        if principal.kind not in (Kind.AGENT, Kind.PERSON, Kind.ADMIN):
            raise CredentialInvalid("processes of the kernel do not sign in")
        return Session(
            agent=principal.agent,
            tenant=principal.tenant,
            kind=principal.kind.value,
            id=f"{principal.tenant}/{principal.agent}/{principal.session_id}",
            token=token,
            issued_at=principal.issued_at,
            expires_at=principal.expires_at,
            began_at=began_at,
            ends_at=began_at + self.lives.session,
        )

    def _renewal(self, session: Session, peer: str) -> "asyncio.Task[Issued]":
        """Ask once for all requests that come meanwhile."""
        asking = self._renewing.get(session.id)
        if asking is None:
            left = max(_SHORTEST, session.ends_at - self.clock.now().timestamp())
            asking = asyncio.create_task(self._renew(session.token, peer, min(self.lives.token, left)))
            self._renewing[session.id] = asking
            asking.add_done_callback(lambda done: self._answered(session.id, done))
        return asking

    async def _renew(self, token: str, peer: str, seconds: float) -> Issued:
        return await self.tokens.renew(token, peer, seconds)

    def _answered(self, session_id: str, asking: "asyncio.Task[Issued]") -> None:
        self._renewing.pop(session_id, None)
        if not asking.cancelled():
            asking.exception()  # those who waited may all have left
