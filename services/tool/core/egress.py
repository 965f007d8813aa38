"""Where tenants may send to: what the operator allows, narrowed by the tenant's administrators. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

from services.tool.core.addresses import Network, read_address, why_not_public
from services.tool.core.urls import DEFAULT_PORTS, MAX_PORT, Origin, WebUrl, read_host, read_url, refused
from services.tool.errors import EgressDenied

MAX_ORIGINS: Final = 256
"""Origins in one policy."""
MAX_REDIRECTS: Final = 3

_LOCAL_NAMES: Final = ("localhost", "local", "localdomain", "internal", "home.arpa", "onion", "invalid")
"""Ends of names that are nobody's on the internet; such a name is reached as an internal target only."""
_WIDEST: Final = {4: 8, 6: 32}
"""Shortest prefix of an internal target's network by version: a target is a place, not the whole network."""


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """Origins that a rule is about: `https://api.example.com`, `https://*.example.com:8443`, `https://*`."""

    scheme: str
    host: str
    """A host; `*.` and a name: every name below that one; `*`: every host."""
    port: int

    @classmethod
    def read(cls, text: str) -> "OriginPattern":
        """Read a pattern. Raises ValueError, which says what is wrong."""
        scheme, mark, rest = text.strip().lower().partition("://")
        if scheme not in DEFAULT_PORTS or not mark:
            raise ValueError(f"{text!r} is no origin: it begins with neither http:// nor https://")
        host, port = _split_port(rest, text)
        wild = "*." if host.startswith("*.") else ""
        if host != "*":
            try:
                host, address = read_host(host[len(wild) :])
            except EgressDenied as error:
                raise ValueError(f"{text!r} is no origin: {error.message}") from error
            if wild and address is not None:
                raise ValueError(f"{text!r} is no origin: nothing lies below an address")
        number = DEFAULT_PORTS[scheme] if port is None else port
        if not 0 < number <= MAX_PORT:
            raise ValueError(f"{text!r} is no origin: there is no such port")
        return cls(scheme, wild + host, number)

    @property
    def exact(self) -> bool:
        """Whether it names one origin."""
        return not self.host.startswith("*")

    def covers(self, origin: Origin) -> bool:
        """Tell whether an origin is one of these."""
        if (self.scheme, self.port) != (origin.scheme, origin.port):
            return False
        if self.host.startswith("*."):
            return origin.host.endswith(self.host[1:]) and origin.host != self.host[2:]
        return self.host in {"*", origin.host}

    def __str__(self) -> str:
        return str(Origin(self.scheme, self.host, self.port))


@dataclass(frozen=True, slots=True)
class InternalTarget:
    """A place in the operator's own network that tools may reach."""

    origin: OriginPattern
    network: Network
    """Where its addresses lie; none outside is connected to."""
    tenant: str = ""
    """Whose tools may reach it; empty: every tenant's."""

    @classmethod
    def read(cls, text: str) -> "InternalTarget":
        """Read `ORIGIN NETWORK [TENANT]`. Raises ValueError, which says what is wrong."""
        parts = text.split()
        if len(parts) not in {2, 3}:
            raise ValueError(
                f"{text!r} is not an origin, a network and possibly a tenant, with spaces between"
            )
        origin = OriginPattern.read(parts[0])
        if not origin.exact:
            raise ValueError(f"{text!r}: an internal target is one exact origin")
        network = ip_network(parts[1])
        if network.prefixlen < _WIDEST[network.version]:
            raise ValueError(f"{text!r}: the network is wider than /{_WIDEST[network.version]}")
        return cls(origin, network, *parts[2:])


@dataclass(frozen=True, slots=True)
class Route:
    """Where one request may go: an origin, and the addresses that it may lead to."""

    origin: Origin
    networks: tuple[Network, ...] = ()
    """Of internal targets; empty: any public address."""

    def permits(self, address: str, port: int) -> bool:
        """Tell whether a connection to an address, as text, may be made."""
        read = read_address(address)
        if read is None or port != self.origin.port:
            return False
        if self.networks:
            return any(read.version == one.version and read in one for one in self.networks)
        return not why_not_public(read)


@dataclass(frozen=True, kw_only=True, slots=True)
class EgressPolicy:
    """Where one tenant may send to. The default is nowhere."""

    allowed: tuple[OriginPattern, ...] = ()
    """What the operator allows, at public addresses."""
    internal: tuple[InternalTarget, ...] = ()
    narrowed: tuple[OriginPattern, ...] | None = None
    """What of that the tenant's administrators leave; None: all of it."""

    def route(self, url: WebUrl) -> Route:
        """Return the route of a request. Raises EgressDenied, which names the rule only."""
        origin = url.origin
        if self.narrowed is not None and not _covered(self.narrowed, origin):
            raise refused(f"{origin} is not among the origins that this tenant's tools may reach", "tenant")
        networks = tuple(target.network for target in self.internal if target.origin.covers(origin))
        if not networks and not _covered(self.allowed, origin):
            raise refused(f"{origin} is not among the origins that the operator allows", "operator")
        if not networks and url.address is None and is_local_name(origin.host):
            raise refused(f"{origin.host} is no name of the internet", "host")
        route = Route(origin, networks)
        if url.address is not None and not route.permits(str(url.address), origin.port):
            raise refused(f"{origin.host} is an address that no tool may reach", "address")
        return route


@dataclass(frozen=True, slots=True)
class OperatorRules:
    """What the operator allows all tenants, and each of them."""

    allowed: tuple[OriginPattern, ...] = ()
    internal: tuple[InternalTarget, ...] = ()

    @classmethod
    def read(cls, allowed: Iterable[str], internal: Iterable[str]) -> "OperatorRules":
        """Read both lists. Raises ValueError, which says what is wrong."""
        return cls(tuple(map(OriginPattern.read, allowed)), tuple(map(InternalTarget.read, internal)))

    def policy(self, tenant: str, narrowed: tuple[OriginPattern, ...] | None) -> EgressPolicy:
        """Return a tenant's policy; `narrowed`: what its administrators leave of it."""
        own = tuple(target for target in self.internal if target.tenant in {"", tenant})
        return EgressPolicy(allowed=self.allowed, internal=own, narrowed=narrowed)


@dataclass(frozen=True, kw_only=True, slots=True)
class EgressRequest:
    """A request that the kernel sends for a tenant's tool. Units: bytes and seconds."""

    tenant: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of the tool; sent to the origin of `url` only."""
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """With values that nobody is shown; sent to the origin of `url` only."""
    body: bytes = b""
    media_type: str = ""
    """Of the body."""
    accepts: tuple[str, ...] = ()
    """Media types that are taken, such as `application/json` or `text/*`; empty: any."""
    max_bytes: int
    """Largest body that is taken."""
    seconds: float
    """Most time for everything: names, connections, redirects, body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EgressResponse:
    """What came back."""

    status: int
    url: str
    """Where it came from, redirects followed."""
    media_type: str
    """In lower case without parameters; empty: the server gave none."""
    charset: str = ""
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the server says that it did what was asked."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of success


def is_local_name(host: str) -> bool:
    """Tell whether a name is nobody's on the internet: one word, or below one of the local ends."""
    return "." not in host or any(host == end or host.endswith(f".{end}") for end in _LOCAL_NAMES)


def redirected(base: WebUrl, to: WebUrl, method: str, body: bytes) -> None:
    """Judge a redirect before it is followed. Raises EgressDenied."""
    if base.origin.scheme == "https" and to.origin.scheme != "https":
        raise refused(f"{base.origin} redirects to an origin without TLS", "redirect")
    if base.origin != to.origin and (body or method not in {"GET", "HEAD"}):
        raise refused(f"{base.origin} redirects the arguments to another origin", "redirect")


def takes(accepts: tuple[str, ...], media_type: str) -> bool:
    """Tell whether a media type is among those that are taken; `*/*+json` stands for every JSON."""
    if not accepts:
        return True
    family = media_type.partition("/")[0]
    structured = f"*/*+{media_type.rpartition('+')[2]}" if "+" in media_type else ""
    return bool({media_type, f"{family}/*", structured} & set(accepts))


def check_url(policy: EgressPolicy, text: str) -> tuple[WebUrl, Route]:
    """Judge a URL before anything is asked of the network. Raises EgressDenied."""
    url = read_url(text)
    return url, policy.route(url)


def _covered(patterns: tuple[OriginPattern, ...], origin: Origin) -> bool:
    return any(pattern.covers(origin) for pattern in patterns)


def _split_port(rest: str, text: str) -> tuple[str, int | None]:
    host, mark, port = rest.rpartition(":")
    if not mark or rest.endswith("]"):
        return rest, None
    if not (port.isascii() and port.isdigit()) or len(port) > len(str(MAX_PORT)):
        raise ValueError(f"{text!r} is no origin: the port is no number")
    return host, int(port)
