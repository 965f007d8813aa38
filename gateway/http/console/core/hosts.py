"""By which names a browser may have reached the console, and which pages may ask it for something. Pure.

A page of a stranger can point its own name at this machine (DNS rebinding), and then reads what it likes:
its name stands in `Host`. Loopback's names cannot be pointed anywhere, and count at any port: tunnels and
containers show the listener at others. All other names are configured, as origins whose scheme is https.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 255 + len(":65535")
_FORBIDDEN: Final = frozenset("@/\\?#,%")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a browser believes to be."""

    scheme: str
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether it is a name of the browser's own machine."""
        return self.host in _LOOPBACK

    @property
    def text(self) -> str:
        """The origin as browsers write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def parse(text: str) -> Origin:
    """Read a configured origin such as `https://console.example`. Raises ValueError."""
    if "://" not in text:
        raise ValueError(f"{text!r} is no origin: write it as https://NAME or https://NAME:PORT")
    found = _origin(*text.split("://", 1))
    if found is None or found.scheme != "https":
        raise ValueError(f"{text!r} is no origin of the form https://NAME or https://NAME:PORT")
    return found


class Hosts:
    """The origins that the console goes by: loopback's, and those configured."""

    def __init__(self, configured: Iterable[str] = ()) -> None:
        """Take the origins beside loopback. Raises ValueError for what is no https origin."""
        self._configured = frozenset(map(parse, configured))

    def origin(self, hosts: Sequence[str], *, tls: bool, forwarded: str = "") -> Origin | None:
        """Return where the browser believes to be, by its `Host` headers; None: not at this console.

        `tls` says whether the listener itself speaks TLS, `forwarded` is what a proxy in front says of the
        scheme. A configured name counts over TLS only; loopback's names do without.
        """
        if len(hosts) != 1:
            return None
        here = _origin("https" if tls else "http", hosts[0])
        if here is not None and here.loopback:
            return here
        outside = _origin("https" if tls or forwarded.strip().lower() == "https" else "http", hosts[0])
        return outside if outside in self._configured else None


def foreign(origin: Origin, origins: Sequence[str], fetch_sites: Sequence[str]) -> bool:
    """Tell whether a request was made by a page of another origin, by `Origin` and `Sec-Fetch-Site`.

    A person who typed the address (`none`) is no page; programs that are no browsers send neither header.
    """
    if any(each.strip().lower() not in {"same-origin", "none"} for each in fetch_sites):
        return True
    return any(each.strip().lower() != origin.text for each in origins)


def _origin(scheme: str, host: str) -> Origin | None:
    """Read scheme and `Host`; None for what is none."""
    if len(host) > _LONGEST or not host.isascii() or any(c.isspace() or c in _FORBIDDEN for c in host):
        return None
    try:
        parts = urlsplit(f"{scheme}://{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or scheme not in _DEFAULT_PORTS or port == 0:
        return None
    return Origin(scheme, name, port or _DEFAULT_PORTS[scheme])
