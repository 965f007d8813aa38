"""Who may call the server: one key, a few names, no web pages. Pure."""

import hashlib
import hmac
from collections.abc import Sequence

from services.chassis.runtime.http_hosts import HttpHosts


class Guard:
    """Judges the headers of a request. `key`: what callers must show; empty: nothing."""

    def __init__(self, hosts: HttpHosts, key: str) -> None:
        self._hosts = hosts
        self._digest = _digest(key) if key else None

    def problem(self, hosts: Sequence[str], origins: Sequence[str], fetch_sites: Sequence[str]) -> str | None:
        """Say why nothing at all is answered; None: the server goes by that name, and no page asks."""
        return self._hosts.problem(hosts, origins, fetch_sites)

    def knows(self, credentials: Sequence[str]) -> bool:
        """Whether these `Authorization` headers are one, with the key. Takes as long whatever they hold."""
        if self._digest is None:
            return True
        if len(credentials) != 1:
            return False
        scheme, _, shown = credentials[0].partition(" ")
        # Digests are of one length, so the time tells nothing about the key's.
        return scheme.lower() == "bearer" and hmac.compare_digest(_digest(shown.strip()), self._digest)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
