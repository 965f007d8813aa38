"""Signing keys in a file, and the tokens and signatures made with them.

The file holds every key, newest first; only its owner can read it. The newest key signs. `rotate` adds a key
and says until when the others go on to verify tokens. Retired keys stay in the file, for what they sealed of
the audit log. A changed file is read again.
"""

import base64
import dataclasses
import hashlib
import hmac
import json
import math
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.access.model.agents import PublicKey, Token
from services.access.model.audit import SealKey
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.processes import GATEWAY, PROCESSES
from services.chassis.auth.tokens import ALGORITHM, ISSUER, LEEWAY_SECONDS, actors_of
from services.chassis.rpc.errors import CredentialExpired, CredentialInvalid, KernelError
from services.chassis.runtime.private_files import replace, write_new

_VERSION: Final = 1
_KINDS: Final = {kind.value: kind for kind in (Kind.AGENT, Kind.ADMIN, Kind.SERVICE, Kind.PERSON)}
_DECODE_OPTIONS: Final[Any] = {
    "require": ["exp", "iat", "sub", "aud", "iss", "jti", "tenant", "kind"],
    "verify_aud": False,  # the use cases say for whom a token must be meant
    # Times are checked here, against the process's clock and with its leeway.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


class KeyFileBroken(Exception):
    """The key file exists and cannot be used. It is never replaced: every token would stop to verify."""


@dataclasses.dataclass(frozen=True, slots=True)
class SigningKey:
    """One Ed25519 key."""

    kid: str
    private: Ed25519PrivateKey = dataclasses.field(repr=False)
    create_time: datetime
    retire_time: datetime | None = None
    """From then on tokens signed with it are refused; None while it is the newest."""

    @property
    def x(self) -> str:
        """The public key, base64url without padding."""
        return _b64(self.private.public_key().public_bytes_raw())


def new_key(now: datetime) -> SigningKey:
    """Make a key; its kid is the beginning of the SHA-256 of its public part."""
    private = Ed25519PrivateKey.generate()
    kid = hashlib.sha256(private.public_key().public_bytes_raw()).hexdigest()[:16]
    return SigningKey(kid, private, now)


class KeyFile:
    """The signer behind the access manager: keys in a file of mode 0600."""

    def __init__(self, path: Path, now: datetime) -> None:
        """Read the keys, or make the first one. Raises KeyFileBroken or OSError."""
        self._path = path
        self._stamp: tuple[int, int] = (0, 0)
        self._keys: list[SigningKey] = []
        self._every: list[SigningKey] = []
        if not path.exists():
            write_new(path, _dump([new_key(now)]))
        self.reload(now)

    def reload(self, now: datetime) -> bool:
        """Read the file again when it has changed; tell whether it had. Raises KeyFileBroken or OSError."""
        status = self._path.stat()
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._every = _load(self._path.read_bytes(), self._path)
        self._keys = _alive(self._every, now) or self._every[:1]
        changed, self._stamp = stamp != self._stamp, stamp
        return changed

    def rotate(self, now: datetime, overlap: timedelta) -> str:
        """Add a key, let the others verify tokens for `overlap`; return the new kid."""
        retired = [
            dataclasses.replace(key, retire_time=key.retire_time or now + overlap) for key in self._every
        ]
        keys = [new_key(now), *retired]
        replace(self._path, _dump(keys))
        self.reload(now)
        return keys[0].kid

    def issue(
        self, holder: Principal, *, now: datetime, after: datetime | None, lifetime: timedelta
    ) -> Token:
        """Sign a token for `holder.audience`; the gateway, unless that is given.

        Issue times are whole seconds: one after `after`, up to which tokens are refused.
        """
        issued = math.floor(now.timestamp())
        if after is not None:
            issued = max(issued, math.floor(after.timestamp()) + 1)
        expires = issued + max(1, round(lifetime.total_seconds()))
        session_id = holder.session_id or secrets.token_hex(16)
        # It tells the family, so that whoever revokes one token by its id revokes all.
        token_id = f"{session_id}.{secrets.token_hex(8)}"
        authenticated_at = holder.authenticated_at or float(issued)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": holder.audience or GATEWAY,
            "sub": holder.agent,
            "tenant": holder.tenant,
            "kind": holder.kind.value,
            "parent": holder.parent,
            "jti": token_id,
            "iat": issued,
            "exp": expires,
            "sid": session_id,
            "auth_time": authenticated_at,
        }
        if holder.actors:
            claims |= {"act": _act(holder.actors), "origin_exp": holder.origin_expires_at}
        key = self._keys[0]
        text = jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.kid})
        principal = dataclasses.replace(
            holder,
            audience=claims["aud"],
            token_id=token_id,
            issued_at=float(issued),
            expires_at=float(expires),
            session_id=session_id,
            authenticated_at=authenticated_at,
        )
        return Token(text, principal, datetime.fromtimestamp(expires, UTC))

    def verify(self, text: str, *, now: datetime) -> Principal:
        """Return whom a token names, whatever it is for. Raises CredentialInvalid or CredentialExpired."""
        try:
            header = jwt.get_unverified_header(text)
            key = next((key for key in _alive(self._keys, now) if key.kid == header.get("kid")), None)
            if key is None or header.get("alg") != ALGORITHM:
                raise CredentialInvalid("the token is not signed with a key of this issuer")
            claims = jwt.decode(
                text,
                key.private.public_key(),
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                options=_DECODE_OPTIONS,
            )
        except (jwt.PyJWTError, UnicodeError, RecursionError) as error:
            raise CredentialInvalid("the token is malformed or forged") from error
        if not isinstance(claims["aud"], str) or claims["aud"] not in PROCESSES:
            raise CredentialInvalid("the token is meant for no process of the kernel")
        if now.timestamp() >= claims["exp"] + LEEWAY_SECONDS:
            raise CredentialExpired("the token has expired")
        if claims.get("nbf", 0) > now.timestamp() + LEEWAY_SECONDS:
            raise CredentialInvalid("the token does not count yet")
        return Principal(
            agent=claims["sub"],
            tenant=claims["tenant"],
            kind=_KINDS[claims["kind"]],
            parent=claims.get("parent", ""),
            token_id=claims["jti"],
            issued_at=float(claims["iat"]),
            expires_at=float(claims["exp"]),
            session_id=claims.get("sid", claims["jti"]),
            authenticated_at=float(claims.get("auth_time", claims["iat"])),
            audience=claims["aud"],
            actors=actors_of(claims),
            origin_expires_at=float(claims.get("origin_exp", claims["exp"])),
        )

    def public_keys(self) -> list[PublicKey]:
        """Return the keys that verify, newest first."""
        return [PublicKey(key.kid, key.x) for key in self._keys]

    def sign(self, message: bytes) -> tuple[str, bytes]:
        """Sign bytes with the newest key; return its kid and the 64 bytes of the signature."""
        return self._keys[0].kid, self._keys[0].private.sign(message)

    def is_signed(self, message: bytes, kid: str, signature: bytes) -> bool:
        """Tell whether a signature is one of `sign`, also with a key that has retired since."""
        for key in self._every:
            if key.kid == kid:
                try:
                    key.private.public_key().verify(signature, message)
                except InvalidSignature:
                    return False
                return True
        return False

    def newest(self) -> SealKey:
        """Return the key that seals audit entries."""
        return SealKey(self._keys[0].kid, _seal_secret(self._keys[0]))

    def find(self, key_id: str) -> bytes | None:
        """Return the secret of a key that seals or sealed audit entries, or None."""
        return next((_seal_secret(key) for key in self._every if key.kid == key_id), None)

    async def fetch(self) -> list[dict[str, str]]:
        """Return the public keys as JWKs: the key source of this process's own verifier."""
        return [jwk(key) for key in self.public_keys()]


def _act(actors: tuple[str, ...]) -> dict[str, Any]:
    """Nest the actors as RFC 8693 does: the last one outside, whom it acted for within."""
    last, *before = actors
    return {"sub": last, "act": _act(tuple(before))} if before else {"sub": last}


def jwk(key: PublicKey) -> dict[str, str]:
    """Describe a public key in the terms of RFC 8037."""
    return {"kty": "OKP", "crv": "Ed25519", "kid": key.kid, "x": key.x, "alg": ALGORITHM, "use": "sig"}


def admin_of(
    path: Path, keys: KeyFile, now: datetime, *, tenant: str, lifetime: timedelta
) -> Principal | None:
    """Return whom the administrator's token in a file names; None when there is no good one.

    A token of another tenant or in the last tenth of its `lifetime` is not good.
    """
    try:
        holder = keys.verify(path.read_text().strip(), now=now)
    except (KernelError, FileNotFoundError, UnicodeError):
        return None
    remaining = holder.expires_at - now.timestamp()
    fresh = remaining > lifetime.total_seconds() / 10
    return holder if fresh and holder.kind is Kind.ADMIN and holder.tenant == tenant else None


def write_admin_token(
    path: Path, keys: KeyFile, now: datetime, *, tenant: str, lifetime: timedelta, after: datetime | None
) -> None:
    """Write a token for the first administrator, issued later than `after`; mode 0600, atomically."""
    admin = Principal(agent="admin", tenant=tenant, kind=Kind.ADMIN)
    token = keys.issue(admin, now=now, after=after, lifetime=lifetime)
    replace(path, token.text.encode() + b"\n")


def _seal_secret(key: SigningKey) -> bytes:
    """Derive a secret for one purpose, so that a seal tells nothing of the key that signs tokens."""
    return hmac.new(key.private.private_bytes_raw(), b"aios audit seal", "sha256").digest()


def _alive(keys: list[SigningKey], now: datetime) -> list[SigningKey]:
    return [key for key in keys if key.retire_time is None or now < key.retire_time]


def _dump(keys: list[SigningKey]) -> bytes:
    rows = [
        {
            "kid": key.kid,
            "private": _b64(key.private.private_bytes_raw()),
            "create_time": key.create_time.isoformat(),
            "retire_time": key.retire_time.isoformat() if key.retire_time else None,
        }
        for key in keys
    ]
    return json.dumps({"version": _VERSION, "keys": rows}, indent=1).encode() + b"\n"


def _load(content: bytes, path: Path) -> list[SigningKey]:
    try:
        document = json.loads(content)
        keys = [
            SigningKey(
                kid=row["kid"],
                private=Ed25519PrivateKey.from_private_bytes(_unb64(row["private"])),
                create_time=datetime.fromisoformat(row["create_time"]),
                retire_time=datetime.fromisoformat(row["retire_time"]) if row["retire_time"] else None,
            )
            for row in document["keys"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise KeyFileBroken(f"{path} holds no signing keys: {error}") from error
    if not keys:
        raise KeyFileBroken(f"{path} holds no signing keys")
    return keys


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
