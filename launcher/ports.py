"""A block of free ports for a kernel that need not be found at the usual place."""

import random
import socket
from pathlib import Path

from launcher.plan import DEFAULT_BASE_PORT, KernelPlan

FIRST, LAST = 10_000, 32_000
"""Below the ports that outgoing connections are given."""
ATTEMPTS = 200


def free_base_port(*, usual: bool = True) -> int:
    """Return a gateway port whose kernel finds all its ports free, the usual one first unless told not to.

    Raises OSError when there seems to be none.
    """
    others = random.sample(range(FIRST, LAST), ATTEMPTS)
    for base in [DEFAULT_BASE_PORT, *others] if usual else others:
        plan = KernelPlan(data_dir=Path(), base_port=base)
        if all(is_free(port) for process in plan.processes() for port in process.ports):
            return base
    raise OSError("no block of free ports")


def is_free(port: int) -> bool:
    """Whether a loopback port can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
