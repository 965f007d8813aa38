"""What the self-test tries in the sandbox. Run by its text, with a JSON object as its only argument.

It prints a JSON object: what was tried, to `refused`, `done`, or what else came of it.
"""

import ctypes
import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

IO_URING_SETUP = 425
HARMLESS = {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "PWD", "OLDPWD", "SHLVL", "_"}


def main(given: dict[str, Any]) -> dict[str, str]:
    """Try everything and return what came of it."""
    secret = os.path.join(given["outside"], "secret")  # noqa: PTH118 - as few imports as can be
    new = os.path.join(given["outside"], "new")  # noqa: PTH118
    tries: dict[str, Callable[[], object]] = {
        "read the data of the kernel": lambda: _read(secret),
        "write outside of its scratch": lambda: _write(new),
        "make a socket": socket.socket,
        "connect to the kernel": lambda: socket.create_connection(("127.0.0.1", given["port"]), 1),
        "start processes without end": lambda: _fork(given["forks"]),
        "signal the kernel": lambda: os.kill(given["signals"], 0),
        "limit the kernel": lambda: resource.prlimit(given["host"], resource.RLIMIT_CPU, (1 << 30, 1 << 30)),
        "use io_uring": lambda: _call(IO_URING_SETUP, 1, ctypes.create_string_buffer(240)),
        "find an inherited descriptor": _inherited,
        "find a variable of the kernel": _variable,
        "be root": _root,
        "compute": _compute,
        "write to its scratch": lambda: _write("written"),
    }
    return {name: _came_of(attempt) for name, attempt in tries.items()}


def _came_of(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - it is told to the host, which takes it for a surprise
        return type(error).__name__
    return "done"


def _read(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123
        file.read(1)


def _write(path: str) -> None:
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"x")


def _fork(most: int) -> None:
    waits, ends = os.pipe()
    children = []
    try:
        for _ in range(most):
            child = os.fork()
            if child == 0:
                os.close(ends)
                os.read(waits, 1)
                os._exit(0)
            children.append(child)
    finally:
        os.close(ends)
        os.close(waits)
        for child in children:
            os.waitpid(child, 0)


def _call(number: int, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _inherited() -> None:
    for descriptor in range(4, 1024):  # 3 is the one for answers
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        return
    raise OSError


def _variable() -> None:
    if set(os.environ) <= HARMLESS:
        raise OSError


def _root() -> None:
    if 0 not in {os.getuid(), os.geteuid(), os.getgid()}:
        raise OSError


def _compute() -> None:
    if sum(range(10)) != 45:  # noqa: PLR2004
        raise ValueError


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))  # noqa: T201 - its host reads it
