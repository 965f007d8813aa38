"""What a browser keeps of a session: its token, and when the session began, which renewals forget. Pure.

The token is signed by the access manager; the beginning is sealed here, together with the session that it is
the beginning of, under a secret of all gateways. So any gateway takes the cookie and none stores it.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

PATH: Final = "/console/"
_DIGITS: Final = 12
"""Of a Unix time in seconds."""
_MAC_CHARS: Final = 64
_LONGEST: Final = 4000
"""Browsers drop cookies of more than 4096 bytes."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A cookie's value, not yet verified."""

    began: int
    """Unix time in seconds."""
    mac: str
    token: str = field(repr=False)


def name(port: int) -> str:
    """Name the cookie: browsers send it to every port of a host, so two kernels need two names."""
    return f"aios_console_{port}"


def pack(secret: str, began: int, session: str, token: str) -> str:
    """Write a cookie's value. Raises ValueError for a token that no browser would keep."""
    value = f"{began}.{_mac(secret, began, session)}.{token}"
    if len(value) > _LONGEST:
        raise ValueError("the session's token is too long for a cookie")
    return value


def unpack(value: str) -> Kept | None:
    """Read a cookie's value; None for what is none."""
    began, _, rest = value.partition(".")
    mac, _, token = rest.partition(".")
    well_formed = began.isascii() and began.isdigit() and len(began) <= _DIGITS and mac.isascii()
    if len(value) > _LONGEST or not well_formed or len(mac) != _MAC_CHARS or not token:
        return None
    return Kept(int(began), mac, token)


def is_sealed(secret: str, kept: Kept, session: str) -> bool:
    """Tell whether a cookie says truly when this session began."""
    return hmac.compare_digest(kept.mac, _mac(secret, kept.began, session))


def _mac(secret: str, began: int, session: str) -> str:
    return hmac.new(secret.encode(), f"{began}\0{session}".encode(), hashlib.sha256).hexdigest()
