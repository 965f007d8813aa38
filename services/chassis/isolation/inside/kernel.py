"""The kernel's means to close a process in, by ctypes: filters of calls, Landlock, capabilities, limits.

Every function raises OSError where the kernel does not do what was asked.
"""

import ctypes
import os
import resource
import struct
from collections.abc import Iterable
from typing import Final

from services.chassis.isolation.inside.syscalls import LANDLOCK, SECCOMP

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_SET_MODE_FILTER: Final = 1
_CAPABILITY_VERSION: Final = 0x20080522

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
MAKE_CHARACTER, MAKE_SOCKET, MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
TRUNCATE, IOCTL = 1 << 14, 1 << 15
_FIRST_RIGHTS: Final = (1 << 13) - 1
_REFER: Final = 1 << 13
READS: Final = EXECUTE | READ_FILE | READ_DIR
_OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
_ALL_TCP: Final = 3
_ALL_SCOPES: Final = 3
_SIGNALS: Final = 2
SIGNALS_ABI: Final = 6
"""Landlock's first version that holds signals."""
REFER_ABI: Final = 2
TRUNCATE_ABI: Final = 3
TCP_ABI: Final = 4
IOCTL_ABI: Final = 5

STACK_BYTES: Final = 8 << 20


def prctl(option: int, value: int) -> None:
    """Set an option of the process."""
    _check(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


def landlock_abi() -> int:
    """Return which version of Landlock the kernel has; 0: none."""
    abi: int = _libc.syscall(LANDLOCK["landlock_create_ruleset"], None, 0, 1)
    return max(abi, 0)


def hold_files(reads: Iterable[str], writes: Iterable[str], both: Iterable[str]) -> None:
    """Leave this process no rights to files but these, none to TCP ports, and what scopes there are.

    `reads` and `writes` are directories or files with all below them, `both` are devices.
    """
    abi = landlock_abi()
    if abi < 1:
        raise OSError(38, "there is no Landlock")
    rights = _FIRST_RIGHTS
    if abi >= REFER_ABI:
        rights |= _REFER
    if abi >= TRUNCATE_ABI:
        rights |= TRUNCATE
    if abi >= IOCTL_ABI:
        rights |= IOCTL
    made = rights & ~(MAKE_CHARACTER | MAKE_BLOCK | MAKE_SOCKET | IOCTL)
    ruleset = _ruleset(
        abi, rights, _ALL_TCP if abi >= TCP_ABI else 0, _ALL_SCOPES if abi >= SIGNALS_ABI else 0
    )
    try:
        for paths, allowed in ((reads, READS), (writes, made), (both, READ_FILE | WRITE_FILE)):
            for path in paths:
                _rule(ruleset, path, allowed & rights)
        _check(_libc.syscall(LANDLOCK["landlock_restrict_self"], ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def hold_signals() -> None:
    """Leave this process and what it will start no one to signal but each other."""
    if landlock_abi() < SIGNALS_ABI:
        raise OSError(38, "Landlock cannot hold signals")
    ruleset = _ruleset(SIGNALS_ABI, 0, 0, _SIGNALS)
    try:
        _check(_libc.syscall(LANDLOCK["landlock_restrict_self"], ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _ruleset(abi: int, files: int, ports: int, scopes: int) -> int:
    size = 24 if abi >= SIGNALS_ABI else 16 if abi >= TCP_ABI else 8
    asked = struct.pack("=QQQ", files, ports, scopes)
    number = LANDLOCK["landlock_create_ruleset"]
    return _check(_libc.syscall(number, asked, ctypes.c_size_t(size), 0), "landlock_create_ruleset")


def _rule(ruleset: int, path: str, allowed: int) -> None:
    below = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - as few imports as can be
            allowed &= _OF_FILES
        rule = struct.pack("=Qi", allowed, below)
        _check(_libc.syscall(LANDLOCK["landlock_add_rule"], ruleset, 1, rule, 0), "landlock_add_rule")
    finally:
        os.close(below)


def filter_calls(program: bytes) -> None:
    """Put a filter of system calls on this process and all it will start; it cannot be taken off."""
    held = ctypes.create_string_buffer(program, len(program))
    given = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    number = SECCOMP[os.uname().machine]
    _check(_libc.syscall(number, _SECCOMP_SET_MODE_FILTER, 0, given), "seccomp")


def drop_capabilities() -> None:
    """Leave this process no capability; its bounds do not matter, as it can gain none (no_new_privs)."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    nothing = bytes(24)
    _check(_libc.capset(header, nothing), "capset")
    has = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, has), "capget")
    effective, permitted, _, more, more_permitted, _ = struct.unpack("=6I", has.raw)
    if effective or permitted or more or more_permitted:
        raise OSError(1, "capabilities are left")


def limit(*, memory: int, cpu: int, file_bytes: int, processes: int, files: int) -> None:
    """Set this process's limits, soft and hard: units are bytes and seconds."""
    for what, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_STACK, STACK_BYTES),
    ):
        _, hard = resource.getrlimit(what)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (most, most))


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result
