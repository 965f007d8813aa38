"""Which internet addresses are public. Pure.

The tables are the registries of special-purpose addresses (RFC 6890 and what was added since) as data of our
own: what the standard library calls global differs between its releases and has held private addresses.
"""

from collections.abc import Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SPECIAL_V4: Final[Mapping[str, str]] = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private use",
    "100.64.0.0/10": "shared by carriers",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private use",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "automatic multicast tunnelling",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private use",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
"""Networks of IPv4 that are not public, and what they are for."""

PUBLIC_V6: Final = IPv6Network("2000::/3")
"""All that IPv6 has for the public so far. Loopback, link-local, private, multicast addresses and those with
an IPv4 address in their last bits (mapped, compatible, translated, NAT64) lie outside."""

SPECIAL_V6: Final[Mapping[str, str]] = {
    "2001::/23": "protocol assignments, Teredo among them",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "AS112",
    "3ffe::/16": "the former 6bone",
    "3fff::/20": "documentation",
}
"""Networks within PUBLIC_V6 that are not public. Forms that hold an IPv4 address are refused whole, not
unpacked: nobody needs them, and each reader unpacks them differently."""

_NETWORKS: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ip_network(text), use) for text, use in {**SPECIAL_V4, **SPECIAL_V6}.items()
)


def read_address(text: str) -> Address | None:
    """Return the address that a text is; None for anything else, one with a zone included."""
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def why_not_public(address: Address) -> str:
    """Say why an address is not public; empty: it is."""
    if isinstance(address, IPv6Address) and address not in PUBLIC_V6:
        return "not global unicast"
    for network, use in _NETWORKS:
        if address.version == network.version and address in network:
            return use
    return ""
