"""Headers that tools may send. Pure."""

import re
from collections.abc import Mapping
from typing import Final

from services.tool.core.urls import refused

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_|~-]{1,128}")
_VALUE: Final = re.compile(r"[\t -~\x80-\xff]{0,8192}")
RESERVED_HEADERS: Final = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    )
)
"""Headers that are the connection's: whoever sets them says where a request goes or ends."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Judge the headers of a tool. Raises EgressDenied, which names no value."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or name.lower() in RESERVED_HEADERS:
            raise refused("a header is none that tools may set", "header")
        if not _VALUE.fullmatch(value):
            raise refused(f"the header {name} has a value that no header can hold", "header")
