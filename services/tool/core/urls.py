"""URLs that the kernel sends to: one strict spelling, so that nobody reads another host out of it. Pure."""

import re
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urljoin

from services.tool.core.addresses import Address
from services.tool.errors import EgressDenied

MAX_URL: Final = 4096
"""Longest URL. Unit: characters."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MAX_PORT: Final = 65535
_MAX_HOST: Final = 253

# Printable ASCII without space, quote, angle brackets, backslash and backtick: parsers differ about these.
_SHOWN: Final = r"[!#-;=?-\[\]^_a-~]"
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z]+)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][^#]*)?(?:#.*)?"
)
_PLAIN: Final = re.compile(f"{_SHOWN}+")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request goes: scheme, host and port, each in the one spelling it has."""

    scheme: str
    host: str
    """In lower case; IPv6 without brackets."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


@dataclass(frozen=True, slots=True)
class WebUrl:
    """A URL that was read."""

    origin: Origin
    path: str
    """From the slash on, encoded as it came; without the query."""
    query: str = ""
    """After the question mark, encoded as it came."""
    address: Address | None = None
    """What the host is, where it is no name."""

    def __str__(self) -> str:
        return f"{self.origin}{self.path}{'?' if self.query else ''}{self.query}"

    def with_query(self, query: str) -> "WebUrl":
        """Return the URL with more behind its query, already encoded."""
        return replace(self, query="&".join(part for part in (self.query, query) if part))


def refused(what: str, rule: str) -> EgressDenied:
    """Build the refusal of a URL. `what` names it in words that are safe to show."""
    return EgressDenied(what, metadata={"rule": rule})


def read_url(text: str) -> WebUrl:
    """Read an absolute http or https URL; its fragment is dropped. Raises EgressDenied."""
    if len(text) > MAX_URL:
        raise refused(f"the URL is longer than {MAX_URL} characters", "url")
    if not _PLAIN.fullmatch(text):
        raise refused("the URL holds characters that URLs have only encoded", "url")
    found = _URL.fullmatch(text)
    if found is None:
        raise refused("the URL is no absolute URL of a plain host: no user, no escapes in the host", "url")
    scheme = found["scheme"].lower()
    if scheme not in DEFAULT_PORTS:
        raise refused("only http and https are sent to", "scheme")
    port = int(found["port"]) if found["port"] else DEFAULT_PORTS[scheme]
    if not 0 < port <= MAX_PORT:
        raise refused("there is no such port", "port")
    host, address = read_host(found["host"])
    path, _, query = (found["path"] or "/").partition("?")
    return WebUrl(Origin(scheme, host, port), path or "/", query, address)


def joined(base: WebUrl, location: str) -> WebUrl:
    """Return where a redirect leads. Raises EgressDenied."""
    if len(location) > MAX_URL or not _PLAIN.fullmatch(location):
        raise refused("the redirect leads to what is no URL", "url")
    try:
        return read_url(urljoin(str(base), location))
    except ValueError as error:  # brackets that are no address
        raise refused("the redirect leads to what is no URL", "url") from error


def read_host(text: str) -> tuple[str, Address | None]:
    """Return a host in its one spelling, and the address that it is. Raises EgressDenied.

    An address has exactly one form for each version; short, octal and hexadecimal ones, which many programs
    take for addresses too, are refused.
    """
    if text.startswith("["):
        try:
            six = IPv6Address(text[1:-1])
        except ValueError as error:
            raise refused("the host is no IPv6 address", "host") from error
        return six.compressed, six
    host = text.lower()
    labels = host.split(".")
    if len(host) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise refused("the host is no host name", "host")
    if not _NUMBER.fullmatch(labels[-1]):
        return host, None
    try:
        four = IPv4Address(host)
    except ValueError as error:
        raise refused("the host is a number, but no plain IPv4 address", "host") from error
    return host, four
