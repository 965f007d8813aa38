"""Handlers that worker processes run in tests: they do what the message says, the worst included."""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def obedient(*args: str) -> Callable[[bytes], bytes]:
    """Return a handler that does what it is told."""

    def handle(message: bytes) -> bytes:
        order, _, rest = message.decode().partition(" ")
        if order == "segfault":
            ctypes.string_at(0)
        elif order == "spin":
            while True:
                pass
        elif order == "sleep":
            time.sleep(float(rest))
        elif order == "hoard":
            return bytes(len(bytearray(int(rest))))
        elif order == "raise":
            raise ValueError("a secret of the inside")
        elif order == "print":
            sys.stdout.write("noise")
            sys.stdout.flush()
        elif order == "leave":
            os._exit(3)
        elif order == "environ":
            return repr(dict(os.environ)).encode()
        elif order == "files":
            return " ".join(sorted(os.listdir("/proc/self/fd"))).encode()  # noqa: PTH208 - names are wanted
        elif order == "write":
            Path(rest).write_text("x")
        elif order == "pid":
            return str(os.getpid()).encode()
        return " ".join((*args, rest)).encode()

    return handle


def broken() -> Callable[[bytes], bytes]:
    """Make no handler."""
    raise RuntimeError("no handler")
