"""Codes by which a browser signs in once, without anybody pasting a credential."""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from gateway.http.console.model import Issued
from services.chassis.rpc.errors import CredentialInvalid
from services.chassis.runtime.clock import Clock

SECONDS: Final = 60.0
"""How long a code can be exchanged, and how long the token behind it counts."""
_MOST: Final = 256


@dataclass(slots=True)
class Codes:
    """The codes of this process that nobody has used yet, by digest. The oldest give way."""

    clock: Clock
    _held: "OrderedDict[bytes, tuple[float, Issued]]" = field(default_factory=OrderedDict)

    def make(self, issued: Issued) -> str:
        """Return a code for a session that has begun."""
        now = self.clock.monotonic()
        while self._held and next(iter(self._held.values()))[0] <= now:
            self._held.popitem(last=False)
        while len(self._held) >= _MOST:
            self._held.popitem(last=False)
        code = secrets.token_urlsafe(32)
        self._held[_digest(code)] = (now + SECONDS, issued)
        return code

    def take(self, code: str) -> Issued:
        """Return what a code stands for, once. Raises CredentialInvalid."""
        until, issued = self._held.pop(_digest(code), (0.0, None))
        if issued is None or self.clock.monotonic() >= until:
            raise CredentialInvalid("the code was used before, or is older than a minute")
        return issued


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode(errors="replace")).digest()
