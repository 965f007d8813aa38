"""The keys that snapshots are encrypted with, and one stored part under them.

AES-256-GCM under a key derived for each generation (HKDF-Expand, SHA-256), so that the random 96-bit nonces
of one derived key stay few. The associated data names tenant, agent, generation and part: bytes that were
moved to another place do not open there.
"""

import base64
import binascii
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import DataCorrupt
from services.context.errors import SnapshotKeyMissing

_MARK: Final = b"aios-gcm"
"""Begins every encrypted part; a plain one begins with its checksum."""
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a part lies."""

    scope: Scope
    generation: str
    part: int
    first: int

    @property
    def name(self) -> bytes:
        """Every field with its end, so that no two addresses read the same."""
        fields = (self.scope.tenant, self.scope.agent, self.generation, str(self.part), str(self.first))
        return b"".join(f"{len(value.encode())}:{value},".encode() for value in fields)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by their ids: the first one encrypts, each decrypts what it encrypted. An empty ring is plain."""

    keys: dict[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "KeyRing":
        """Read entries `id=base64`. Raises ValueError, which never tells a key."""
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(entries, start=1):
            id_, found, text = entry.strip().partition("=")
            if not found or not _ID.fullmatch(id_):
                raise ValueError(f"key {number} must be ID=BASE64, the id of a-z, 0-9, - and _")
            try:
                key = base64.b64decode(text, validate=True)
            except binascii.Error:
                key = b""
            if len(key) != _KEY_BYTES:
                raise ValueError(f"key {id_!r} must be {_KEY_BYTES} bytes in base64: openssl rand -base64 32")
            if id_ in keys:
                raise ValueError(f"key {id_!r} is given twice")
            keys[id_] = key
        return cls(keys)

    def lock(self, data: bytes, address: Address) -> bytes:
        """Encrypt a part under the first key; without keys it stays plain."""
        if not self.keys:
            return data
        id_, key = next(iter(self.keys.items()))
        head = _MARK + bytes([len(id_)]) + id_.encode()
        nonce = os.urandom(_NONCE_BYTES)
        return head + nonce + _cipher(key, address).encrypt(nonce, data, head + address.name)

    def unlock(self, stored: bytes, address: Address) -> bytes:
        """Return what `lock` got; a plain part is returned as it is.

        Raises SnapshotKeyMissing, and DataCorrupt for what was changed, moved or written under another key.
        """
        if not stored.startswith(_MARK):
            return stored
        start = len(_MARK) + 1
        end = start + (stored[start - 1] if len(stored) >= start else 0)
        key = self.keys.get(stored[start:end].decode(errors="replace"))
        if key is None:
            raise SnapshotKeyMissing.of(address.generation)
        nonce, body = stored[end : end + _NONCE_BYTES], stored[end + _NONCE_BYTES :]
        try:
            return _cipher(key, address).decrypt(nonce, body, stored[:end] + address.name)
        except (InvalidTag, ValueError):  # ValueError: cut off within the nonce
            what = address.generation
            raise DataCorrupt(f"snapshot {what} does not open", metadata={"what": what}) from None


def _cipher(key: bytes, address: Address) -> AESGCM:
    scope = address.scope
    info = Address(scope, address.generation, -1, -1).name
    return AESGCM(
        HKDFExpand(algorithm=SHA256(), length=_KEY_BYTES, info=b"aios snapshot " + info).derive(key)
    )
