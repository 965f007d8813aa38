"""Who may call: whoever shows a credential of which this process has the SHA-256.

The process itself holds nothing that opens anything: a program that breaks out of it finds digests.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from services.chassis.auth.authz_client import Permission, PermissionCheck
from services.chassis.auth.identity import Kind, Principal
from services.chassis.rpc.errors import CredentialInvalid, PermissionDenied

CALLER: Final = Principal("tool", "", Kind.SERVICE)
"""Whom the credential names: the tool manager, which alone is given it."""

_LONGEST: Final = 4096


class Callers:
    """Recognises credentials by their digests."""

    def __init__(self, digests: Sequence[str]) -> None:
        """`digests`: SHA-256, in hexadecimal. Empty: nobody is let in."""
        self._digests = tuple(bytes.fromhex(each) for each in digests)

    async def authenticate(self, token: str) -> Principal:
        """Return who shows a credential. Raises CredentialInvalid."""
        shown = hashlib.sha256(token[:_LONGEST].encode(errors="surrogatepass")).digest()
        # All are compared, each in the same time, so that the answer's time tells nothing.
        found = [hmac.compare_digest(shown, each) for each in self._digests]
        if len(token) > _LONGEST or not any(found):
            raise CredentialInvalid("the credential is not one of this sandbox's callers")
        return CALLER


class NobodyElse:
    """Permits nothing: every method is for the tool manager alone, and that is settled before."""

    async def authorize(self, _question: PermissionCheck) -> Permission:
        """Raise PermissionDenied."""
        raise PermissionDenied("the sandbox serves nobody but the tool manager")

    async def mark(self, _who: Principal, _source: str) -> None:
        """Raise PermissionDenied: what it tells is marked by who passes it on."""
        raise PermissionDenied("the sandbox serves nobody but the tool manager")
