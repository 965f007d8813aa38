"""Secrets of operators: the value in memory, where it may go, and how it is sealed. Pure.

A value is in clear text only in a `Secret`, which shows nothing of it by itself. In the database it is sealed
with AES-256-GCM under a key that lies elsewhere. Everything that says what the value is for is sealed with it
as additional data, so that a row which is copied to another tenant, name, version or place does not open.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, SupportsIndex
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.chassis.rpc.errors import InvalidRequest
from services.tool.errors import SecretsUnavailable
from services.tool.model import SealedSecret, SecretInfo, Tool

MIN_BYTES: Final = 8
"""A shorter value cannot be taken out of texts without harm to what is no secret."""
MAX_BYTES: Final = 8_192
MARKER: Final = "[secret]"
"""Stands in texts where a value was."""
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_ID: Final = re.compile("[a-z0-9][a-z0-9_-]{0,62}")
_SERVER: Final = re.compile(r"mcpservers/[a-z0-9][a-z0-9._-]{0,62}")
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"\[[0-9a-f:.]{{2,45}}\]|{_LABEL}(\.{_LABEL})*")
_PORTS: Final = {"http": 80, "https": 443}
_MOST_BINDING: Final = 512


class Secret:
    """A value that must not show: not printed, pickled, copied, or compared in a telling time."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the value, for the moment of sending."""
        return self.__value

    def __repr__(self) -> str:
        """Show that there is one."""
        return "Secret()"

    def __format__(self, spec: str) -> str:
        """Show that there is one."""
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        """Compare without telling where the values differ."""
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self.__value), _bytes(other.reveal()))

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise TypeError("a secret is not written down")


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key that seals."""

    id: str
    key: bytes = field(repr=False)
    """32 bytes."""


def check_value(value: str) -> None:
    """Refuse a value that cannot be kept or could not be taken out of texts again. Raises InvalidRequest."""
    size = len(_bytes(value))
    if not MIN_BYTES <= size <= MAX_BYTES:
        raise InvalidRequest.field("value", f"a secret has {MIN_BYTES} to {MAX_BYTES} bytes")
    if "\0" in value:
        raise InvalidRequest.field("value", "a secret holds no NUL")
    if MARKER in value:
        raise InvalidRequest.field("value", f"a secret does not hold {MARKER}, which stands for secrets")


def binding(text: str, name: str = "bound_to") -> str:
    """Return the one spelling of where a secret may go. Raises InvalidRequest.

    It is an MCP server, `mcpservers/{id}`, or an `origin`.
    """
    if len(text) > _MOST_BINDING:
        raise InvalidRequest.field(name, f"longer than {_MOST_BINDING} characters")
    return text if _SERVER.fullmatch(text) else origin(text, name)


def origin(text: str, name: str = "bound_to") -> str:
    """Return the one spelling of an origin: scheme, host, and port unless it is the scheme's own.

    A path of `/` alone is passed over. Raises InvalidRequest for anything beside scheme, host and port.
    """
    wrong = InvalidRequest.field(
        name, "neither mcpservers/ID nor an origin such as https://api.example.com:8443"
    )
    if not text.isascii() or any(character <= " " or character in "\\\x7f" for character in text):
        raise wrong
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    scheme, host = parts.scheme, parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    host = host.lower()
    beside = parts.path not in {"", "/"} or "?" in text or "#" in text or "@" in text
    if scheme not in _PORTS or beside or not _HOST.fullmatch(host) or port == 0:
        raise wrong
    return f"{scheme}://{host}" if port in {None, _PORTS[scheme]} else f"{scheme}://{host}:{port}"


def seal(key: SecretKey, tenant: str, info: SecretInfo, value: str) -> SealedSecret:
    """Seal a value for exactly what the info says; 12 random bytes lead."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + AESGCM(key.key).encrypt(nonce, _bytes(value), _context(tenant, info))
    return SealedSecret(info=info, key_id=key.id, sealed=sealed)


def unseal(keys: Sequence[SecretKey], tenant: str, row: SealedSecret) -> Secret:
    """Open what `seal` made. Raises SecretsUnavailable: the key is gone, or this is not what was sealed."""
    name = f"secrets/{row.info.name}"
    key = next((key for key in keys if key.id == row.key_id), None)
    if key is None:
        raise SecretsUnavailable(
            f"{name} is sealed with the key {row.key_id}, which the tool manager was not given",
            metadata={"secret": name, "key": row.key_id},
        )
    nonce, sealed = row.sealed[:_NONCE_BYTES], row.sealed[_NONCE_BYTES:]
    try:
        value = AESGCM(key.key).decrypt(nonce, sealed, _context(tenant, row.info))
    except (InvalidTag, ValueError):  # ValueError: cut off within the nonce
        raise SecretsUnavailable(f"{name} does not open with its key", metadata={"secret": name}) from None
    return Secret(value.decode("utf-8", "surrogatepass"))


def read_keys(text: str) -> tuple[SecretKey, ...]:
    """Read keys, one `ID=BASE64` a line; the first seals. Raises ValueError, which never tells a key."""
    keys: dict[str, SecretKey] = {}
    for number, line in enumerate(text.split(), start=1):
        id_, found, encoded = line.partition("=")
        if not found or not _KEY_ID.fullmatch(id_):
            raise ValueError(f"key {number} must be ID=BASE64, the id of a-z, 0-9, - and _")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(
                f"key {id_} must be {KEY_BYTES} bytes in base64: openssl rand -base64 {KEY_BYTES}"
            )
        if id_ in keys:
            raise ValueError(f"key {id_} is given twice")
        keys[id_] = SecretKey(id_, key)
    return tuple(keys.values())


def new_key() -> str:
    """Make a key and return its line; its id is the beginning of its SHA-256."""
    key = os.urandom(KEY_BYTES)
    return f"{hashlib.sha256(key).hexdigest()[:16]}={base64.b64encode(key).decode()}\n"


def secrets_of(tool: Tool) -> frozenset[str]:
    """Return the names of the secrets that a tool sends."""
    return frozenset() if tool.driver.http is None else frozenset(tool.driver.http.secret_headers.values())


def fingerprint(key: SecretKey, value: str) -> bytes:
    """Tell values apart without telling them: whoever lacks the key cannot try values against it."""
    purpose = hmac.digest(key.key, b"aios secret fingerprint", "sha256")
    return hmac.digest(purpose, _bytes(value), "sha256")


def _context(tenant: str, info: SecretInfo) -> bytes:
    return json.dumps([tenant, info.name, info.version, info.bound_to]).encode()


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
