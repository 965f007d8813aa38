"""Which HTTP requests a listener answers at all: by the name they call it, and by who makes them. Pure.

Any web page that a person looks at can have the browser send requests to this machine. It may even read the
answers once its own name points here (DNS rebinding): then the page's name stands in `Host`. So a listener
answers only to names it was told, and no page of another origin.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

_MOST_HOST: Final = 255 + len(":65535")
_PAGES: Final = frozenset({"cross-site", "same-site", "same-origin"})
"""What `Sec-Fetch-Site` says where a page asks; `none` is a person who typed the address."""


class HttpHosts:
    """The names of one listener, which is bound to `bound`; `told` are those it has besides.

    Bound to loopback it answers to loopback's names, bound to another address to that one, bound to all
    addresses to any of them: a name can be made to point here by a stranger, an address cannot.
    """

    def __init__(self, bound: str, told: Iterable[str] = ()) -> None:
        self._names = frozenset({"localhost", *(_name(each) for each in told), _name(bound)})
        address = _address(bound)
        self._any_address = address is not None and address.is_unspecified

    def problem(
        self, hosts: Sequence[str], origins: Sequence[str], fetch_sites: Sequence[str] = ()
    ) -> str | None:
        """Say why a request with these `Host`, `Origin` and `Sec-Fetch-Site` headers is refused; None: not.

        What it says holds nothing of what the request said.
        """
        if len(hosts) != 1 or not self._answers_to(hosts[0]):
            return "this server does not go by the name in Host"
        if origins or any(each.strip().lower() in _PAGES for each in fetch_sites):
            return "web pages may not call this server"
        return None

    def _answers_to(self, host: str) -> bool:
        name = _without_port(host)
        if name is None:
            return False
        address = _address(name)
        if address is None:
            return _name(name) in self._names
        return address.is_loopback or self._any_address or str(address) in self._names


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` is reached from this machine alone."""
    address = _address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def _without_port(host: str) -> str | None:
    """Return the name or address in a `Host` header; None for what is none."""
    if (
        len(host) > _MOST_HOST
        or not host.isascii()
        or any(char.isspace() or char in "@/,\\" for char in host)
    ):
        return None
    if host.startswith("["):
        name, closed, port = host[1:].partition("]")
        port_is_one = port == "" or (port.startswith(":") and port[1:].isdigit())
        return name if closed and port_is_one and isinstance(_address(name), IPv6Address) else None
    name, colon, port = host.partition(":")
    return name if name and (not colon or port.isdigit()) else None


def _name(text: str) -> str:
    address = _address(text)
    return str(address) if address is not None else text.strip().lower().removesuffix(".")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.strip("[]"))
    except ValueError:
        return None
