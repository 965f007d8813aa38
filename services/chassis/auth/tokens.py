"""Verification of tokens, locally, with the public keys of the access manager."""

import asyncio
import hashlib
import math
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.chassis.auth.identity import Kind, Principal, family_above
from services.chassis.auth.processes import MOST_ACTORS
from services.chassis.rpc.errors import (
    AccessUnavailable,
    CredentialExpired,
    CredentialInvalid,
    CredentialRevoked,
)
from services.chassis.rpc.names import is_id
from services.chassis.runtime.clock import Clock

ISSUER: Final = "aios"
ALGORITHM: Final = "EdDSA"
LEEWAY_SECONDS: Final = 5.0
LONGEST_LIFE: Final = {
    Kind.AGENT: timedelta(hours=1).total_seconds(),
    Kind.SERVICE: timedelta(hours=1).total_seconds(),
    Kind.ADMIN: timedelta(days=31).total_seconds(),
    Kind.PERSON: timedelta(hours=1).total_seconds(),
}
"""Longest accepted `exp - iat` by kind of principal. Unit: seconds."""

_MAX_TOKEN_CHARS: Final = 8192
_MAX_CACHED: Final = 20_000
_KINDS: Final = {kind.value: kind for kind in LONGEST_LIFE}
_DECODE_OPTIONS: Final[Any] = {
    "require": ["exp", "iat", "sub", "aud", "iss", "jti", "tenant", "kind"],
    "verify_aud": False,  # checked here, against the names of this process
    # Times are checked here, against the process's clock, with a cap on the whole life.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


class KeySource(Protocol):
    """Where public keys come from."""

    async def fetch(self) -> Iterable[Mapping[str, str]]:
        """Return the current keys as JWKs. Raises AccessUnavailable when they cannot be had."""
        ...


class Authenticator(Protocol):
    """Turns a bearer token into the principal it names."""

    async def authenticate(self, token: str) -> Principal:
        """Verify a token. Raises CredentialInvalid, -Expired, -Revoked or AccessUnavailable."""
        ...


class Revocations:
    """The revoked tokens that have not expired yet: single ones by id, or all an agent held at a moment."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str, str], float] = {}
        self._agents: dict[tuple[str, str], tuple[float, float]] = {}

    def revoke_token(self, token_id: str, *, forget_at: float, tenant: str = "", agent: str = "") -> None:
        """Refuse a token and its renewals until all have expired at `forget_at` (Unix seconds).

        With `tenant` and `agent` only where it is theirs: who revokes may name an id that is another's.
        """
        self._tokens[token_id, tenant, agent] = forget_at

    def revoke_agent(self, tenant: str, agent: str, *, issued_until: float, forget_at: float) -> None:
        """Refuse all tokens of an agent that were issued at or before `issued_until` (Unix seconds)."""
        self._agents[tenant, agent] = (issued_until, forget_at)

    def covers_token(self, principal: Principal) -> bool:
        """Tell whether the very token of a principal was revoked, or the session it belongs to."""
        whose = (("", ""), (principal.tenant, ""), (principal.tenant, principal.agent))
        ids = {principal.token_id, principal.session_id, family_above(principal.session_id)}
        return any((one, *holder) in self._tokens for one in ids for holder in whose)

    def covers(self, principal: Principal) -> bool:
        """Tell whether the credential was revoked, by itself or with all others of its agent.

        When its family began is what counts: a renewal or exchange that was under way at that moment may have
        been issued a little later, and is a descendant all the same.
        """
        if self.covers_token(principal):
            return True
        until = self._agents.get((principal.tenant, principal.agent))
        return until is not None and family_began(principal) <= until[0]

    def forget(self, now: float) -> None:
        """Drop what has expired by `now` (Unix seconds)."""
        self._tokens = {token: at for token, at in self._tokens.items() if at > now}
        self._agents = {agent: entry for agent, entry in self._agents.items() if entry[1] > now}


def family_began(principal: Principal) -> float:
    """Return when the first token of a principal's family was issued, in Unix seconds."""
    return min(principal.issued_at, principal.authenticated_at or principal.issued_at)


class KeyRing:
    """The known public keys by `kid`, fetched again when a token names an unknown one.

    Fetches are at least `min_interval` seconds apart, so that forged kids cannot flood the source. After
    `max_age` seconds keys are fetched again, so that a withdrawn key stops counting; while the source cannot
    be reached the old ones go on to verify.
    """

    def __init__(
        self, source: KeySource, clock: Clock, *, min_interval: float = 1.0, max_age: float = 300.0
    ) -> None:
        self._source = source
        self._clock = clock
        self._min_interval = min_interval
        self._max_age = max_age
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched = -math.inf
        self._tried = -math.inf
        self._failure: AccessUnavailable | None = None
        self._lock = asyncio.Lock()

    async def key(self, kid: str) -> Ed25519PublicKey:
        """Return the key named `kid`.

        Raises CredentialInvalid when there is none, AccessUnavailable when that cannot be told.
        """
        if kid not in self._keys or self._clock.monotonic() - self._fetched > self._max_age:
            async with self._lock:
                if self._clock.monotonic() - self._tried >= self._min_interval:
                    await self._fetch()
        key = self._keys.get(kid)
        if key is not None:
            return key
        if self._failure is not None:
            raise AccessUnavailable("the keys that verify tokens cannot be fetched", retry_after=1.0)
        raise CredentialInvalid("the token is signed with an unknown key")

    async def _fetch(self) -> None:
        self._tried = self._clock.monotonic()
        try:
            found = await self._source.fetch()
        except AccessUnavailable as failure:
            self._failure = failure
            return
        self._failure = None
        self._fetched = self._tried
        self._keys = usable_keys(found)


class TokenVerifier:
    """Verifies JWTs of the access manager. A verified token is remembered by its hash until it expires."""

    def __init__(
        self, keys: KeyRing, clock: Clock, audiences: Collection[str], revocations: Revocations | None = None
    ) -> None:
        """`audiences` are whom a token may be meant for: the name of this process."""
        self._audiences = frozenset(audiences)
        self._keys = keys
        self.clock = clock
        """By which tokens expire."""
        self._revocations = revocations or Revocations()
        self._verified: dict[bytes, Principal] = {}

    async def authenticate(self, token: str) -> Principal:
        """Verify a token and return whom it names.

        Raises CredentialInvalid, CredentialExpired, CredentialRevoked or AccessUnavailable.
        """
        if len(token) > _MAX_TOKEN_CHARS:
            raise CredentialInvalid("the token is too long")
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        principal = self._verified.get(digest)
        now = self.clock.now().timestamp()
        if principal is None:
            principal = await self._verify(token, now)
            self._remember(digest, principal)
        if now >= principal.expires_at + LEEWAY_SECONDS:
            self._verified.pop(digest, None)
            raise CredentialExpired("the token has expired")
        if self._revocations.covers(principal):
            raise CredentialRevoked("the token was revoked")
        return principal

    async def _verify(self, token: str, now: float) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header.get("alg") != ALGORITHM or not isinstance(kid, str):
                raise CredentialInvalid("the token is not signed with EdDSA by a named key")
            claims = jwt.decode(
                token,
                await self._keys.key(kid),
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options=_DECODE_OPTIONS,
            )
        except (jwt.PyJWTError, UnicodeError, RecursionError) as error:
            raise CredentialInvalid("the token is malformed or forged") from error
        principal = _principal(claims, now)
        if principal.audience not in self._audiences:
            raise CredentialInvalid("the token is meant for another process")
        return principal

    def _remember(self, digest: bytes, principal: Principal) -> None:
        if len(self._verified) >= _MAX_CACHED:
            self._verified.pop(next(iter(self._verified)))
        self._verified[digest] = principal


def usable_keys(keys: Iterable[Mapping[str, str]]) -> dict[str, Ed25519PublicKey]:
    """Return the Ed25519 signature keys among JWKs by `kid`; a key of any other algorithm is left out."""
    usable: dict[str, Ed25519PublicKey] = {}
    for jwk in keys:
        if jwk.get("alg", ALGORITHM) != ALGORITHM or jwk.get("crv") != "Ed25519" or not jwk.get("kid"):
            continue
        try:
            key = jwt.algorithms.OKPAlgorithm.from_jwk(dict(jwk))
        except (jwt.InvalidKeyError, UnsupportedAlgorithm, ValueError):
            continue
        if isinstance(key, Ed25519PublicKey):
            usable[jwk["kid"]] = key
    return usable


def _principal(claims: Mapping[str, Any], now: float) -> Principal:
    agent, tenant, parent = claims["sub"], claims["tenant"], claims.get("parent", "")
    kind = _KINDS.get(claims["kind"]) if isinstance(claims["kind"], str) else None
    issued, expires = claims["iat"], claims["exp"]
    not_before, authenticated = claims.get("nbf", issued), claims.get("auth_time", issued)
    session = claims.get("sid", claims["jti"])
    texts = isinstance(agent, str) and isinstance(tenant, str) and isinstance(parent, str)
    if kind is None or not texts or not is_id(agent) or not is_id(tenant) or (parent and not is_id(parent)):
        raise CredentialInvalid("the token names no principal of the kernel")
    origin_expires, audience = claims.get("origin_exp", expires), claims["aud"]
    if not isinstance(audience, str):  # a list passes if one entry fits, so it is no audience
        raise CredentialInvalid("the token names no audience")
    times = (issued, expires, not_before, authenticated, origin_expires)
    if not all(isinstance(at, int | float) and math.isfinite(at) for at in times):
        raise CredentialInvalid("the token's times are not numbers")
    if issued > now + LEEWAY_SECONDS:
        raise CredentialInvalid("the token was issued in the future")
    if not_before > now + LEEWAY_SECONDS:
        raise CredentialInvalid("the token does not count yet")
    if not 0 < expires - issued <= LONGEST_LIFE[kind]:
        raise CredentialInvalid("the token lives longer than tokens of its kind may")
    return Principal(
        agent=agent,
        tenant=tenant,
        kind=kind,
        parent=parent,
        token_id=str(claims["jti"]),
        issued_at=float(issued),
        expires_at=float(expires),
        session_id=str(session),
        authenticated_at=float(authenticated),
        audience=audience,
        actors=actors_of(claims),
        origin_expires_at=float(origin_expires),
    )


def actors_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the chain of `act` claims, the last actor first. Raises CredentialInvalid."""
    actors: list[str] = []
    act = claims.get("act")
    while act is not None:
        name = act.get("sub") if isinstance(act, dict) else None
        if not isinstance(name, str) or not is_id(name) or len(actors) >= MOST_ACTORS:
            raise CredentialInvalid("the token names no processes as its actors")
        actors.append(name)
        act = act.get("act")
    return tuple(actors)
