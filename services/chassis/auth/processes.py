"""The kernel's processes as principals, and for whom each may exchange a caller's token. Pure."""

from collections.abc import Mapping
from typing import Final

GATEWAY: Final = "gateway"
ACCESS: Final = "access"
MANAGERS: Final = frozenset({ACCESS, "context", "memory", "scheduler", "storage", "tool"})
PROCESSES: Final = MANAGERS | {GATEWAY}
"""Every process that takes calls; its name is the audience of the tokens that count there."""

KEYED: Final = PROCESSES - {ACCESS}
"""The processes that authenticate to access, each with a key of its own."""

SERVICE_KEYS: Final = "service-keys"
"""Directory of their keys below the data directory; each lies in a file such as gateway.key."""

SERVICE_AUDIENCES: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset({ACCESS, "scheduler"} if name in (GATEWAY, "tool") else {ACCESS}) for name in KEYED
}
"""The processes that each one calls in its own name."""

EXCHANGES: Final[Mapping[str, frozenset[str]]] = {
    GATEWAY: MANAGERS,
    "context": frozenset({GATEWAY}),
    "storage": frozenset({ACCESS}),
    "tool": frozenset({ACCESS, "storage"}),
}
"""The audiences that a process may exchange a token for which was meant for itself.

What the token is good for there is narrower still: the methods whose `syscall` option names the process among
its `delegates`. Only the gateway, which admits every call of an agent, makes all of them on its behalf.
"""

MOST_ACTORS: Final = 4
"""Exchanges that one token can have come through: gateway, manager, gateway, manager."""
