"""The second and third gate: what a name leads to, and what a socket is made for."""

import socket
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from services.tool.core.addresses import read_address
from services.tool.core.egress import Route
from services.tool.core.urls import refused
from services.tool.egress.names import MAX_ADDRESSES, Lookup
from services.tool.errors import EgressDenied, EgressFailed

AddressInfo = tuple[Any, ...]
"""Family, type, protocol, canonical name and socket address, as getaddrinfo gives them."""
SocketMaker = Callable[[AddressInfo], socket.socket]

MOST_TRIED: Final = 8
"""Addresses of a name that a connection is tried to."""


def plain_socket(info: AddressInfo) -> socket.socket:
    """Make the socket of a connection."""
    family, kind, protocol, _, _ = info
    return socket.socket(family, kind, protocol)


class Gate:
    """Holds one request to its route: every address is judged, wherever it comes from."""

    def __init__(self, tenant: str, route: Route, lookup: Lookup, make_socket: SocketMaker) -> None:
        self._tenant = tenant
        self._route = route
        self._lookup = lookup
        self._make_socket = make_socket
        self.refusal: EgressDenied | EgressFailed | None = None
        """Why no connection was made; the client reports an error of its own for it."""

    async def addresses(self, host: str, port: int) -> list[str]:
        """Look a name up and return its addresses, all of which may be reached.

        One forbidden address refuses the name: whoever chose its addresses wants to be connected to that one.
        A name without any is refused in the same words, so that nobody learns which names exist inside.
        Raises EgressDenied, EgressFailed.
        """
        found = await self._lookup(self._tenant, host, port)
        few = 0 < len(found) <= MAX_ADDRESSES
        if not few or not all(self._route.permits(address, port) for address in found):
            raise refused(f"{host} does not lead to an address that tools may reach", "address")
        return found[:MOST_TRIED]

    def open_socket(self, info: AddressInfo) -> socket.socket:
        """Make the socket for an address that is about to be connected to. Raises PermissionError."""
        address, port = str(info[4][0]), int(info[4][1])
        if not self._route.permits(address, port):
            self.refusal = refused(
                f"{self._route.origin} leads to an address that tools may not reach", "address"
            )
            raise PermissionError("the address may not be reached")
        return self._make_socket(info)

    def connector(self) -> aiohttp.TCPConnector:
        """Make a connector that goes through both gates and keeps no connection and no address."""
        return aiohttp.TCPConnector(
            resolver=JudgedResolver(self),
            use_dns_cache=False,
            socket_factory=self.open_socket,
            force_close=True,
            limit=4,
        )


class JudgedResolver(AbstractResolver):
    """The client's resolver: it knows only addresses that the gate lets through."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises OSError; the gate knows why."""
        del family  # all are judged, whichever is wanted
        try:
            found = await self._gate.addresses(host, port)
        except (EgressDenied, EgressFailed) as error:
            self._gate.refusal = error
            raise PermissionError("the name may not be reached") from error
        return [_resolved(host, address, port) for address in found]

    async def close(self) -> None:
        """Nothing is kept."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    six = isinstance(read_address(address), IPv6Address)
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if six else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
