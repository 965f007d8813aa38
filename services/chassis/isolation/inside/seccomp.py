"""The filter of system calls as a program for the kernel: an allow list by names, made for one machine. Pure.

Everything that is not named gets EPERM. The kernel runs the program on number, machine and arguments of every
call; each part below ends with a verdict, so the order of parts does not matter.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.chassis.isolation.inside.syscalls import PLAIN, Machine

ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000
"""Ends the whole process."""
ERRNO: Final = 0x00050000
EPERM: Final = 1
ENOTTY: Final = 25
ENOSYS: Final = 38
ENOTSUP: Final = 95
EAFNOSUPPORT: Final = 97

NUMBER: Final = 0
ARCH: Final = 4
ARGUMENTS: Final = 16
"""Where the arguments begin: 8 bytes each, of which the lower 4 come first on both machines."""

LOAD: Final = 0x20
AND: Final = 0x54
EQUAL: Final = 0x15
AT_LEAST: Final = 0x35
ANY_BIT: Final = 0x45
RETURN: Final = 0x06

CLONE_THREAD: Final = 0x00010000
CLONE_MAY: Final = 0x017D4FFF
"""VM, FS, FILES, SIGHAND, VFORK, THREAD, SYSVSEM, SETTLS, the TIDs, DETACHED, and the signal of the end.

No new namespace, no CLONE_PARENT (its child would be the keeper's), no CLONE_PTRACE.
"""
CLONE_SIGNAL: Final = 0xFF
SIGCHLD: Final = 17

FCNTL_MAY: Final = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
"""DUPFD, GETFD, SETFD, GETFL, SETFL, the locks, DUPFD_CLOEXEC, GETPIPE_SZ. Not SETOWN and SETSIG, which send
a signal to any process of the user; not SETPIPE_SZ, which takes memory that nobody counts."""
IOCTL_MAY: Final = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
PRCTL_MAY: Final = (15, 16)
"""Set and get the name of the thread."""
AF_UNIX: Final = 1
AF_INET: Final = (2, 10)
SOCK_KIND: Final = 0xF
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
O_ACCMODE: Final = 0o3
O_TRUNC: Final = 0o1000
O_MAKES: Final = 0o20000100
"""O_CREAT, O_TMPFILE: then there is a mode."""
MAP_SHARED: Final = 0x01
MAP_ANONYMOUS: Final = 0x20
MAP_HUGETLB: Final = 0x40000
MADV_PAGEOUT: Final = 21
OPENS: Final = {"open": 1, "openat": 2}
"""Name to which argument are the flags."""

OWNERS: Final = ("chown", "fchown", "lchown", "fchownat")
TIMES: Final = ("utime", "utimes", "futimesat", "utimensat")
MODES: Final = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
"""Name to which argument is the mode."""
SPECIAL_MODES: Final = 0o6000
"""Set-user-ID and set-group-ID."""
ATTRIBUTES: Final = tuple(
    f"{prefix}{verb}xattr" for verb in ("set", "get", "list", "remove") for prefix in ("", "l", "f")
)
SIGNALS: Final = ("kill", "tkill", "tgkill")


@dataclass(frozen=True)
class Rules:
    """What differs between filters."""

    fork: bool
    """Whether the job may start processes."""
    own_files: bool
    """Whether it sees no files but its own and what it may read: then it may change modes and times."""
    own_signals: bool
    """Whether its signals reach no one else, whatever it tries."""
    own_truncate: bool
    """Whether truncating by path is held by what holds its files."""
    network: bool
    pid: int
    """Its process, to which alone it sends signals where they might reach others."""


Part = list[tuple[int, int, int, int]]
"""Instructions: code, jump if true, jump if false, value."""


def program(machine: Machine, rules: Rules) -> bytes:
    """Return the filter for a machine."""
    numbers = machine.numbers
    parts: Part = [
        (LOAD, 0, 0, ARCH),
        (EQUAL, 1, 0, machine.audit),
        (RETURN, 0, 0, KILL),  # another machine's calls, such as by int 0x80
        (LOAD, 0, 0, NUMBER),
    ]
    if machine.foreign is not None:
        parts += [(AT_LEAST, 0, 1, machine.foreign), (RETURN, 0, 0, KILL)]
    for name in sorted(PLAIN & numbers.keys(), key=numbers.__getitem__):
        parts += _when(numbers[name], _answer(ALLOW))
    for names, part in _special(rules):
        for name in names:
            if name in numbers:
                parts += _when(numbers[name], part)
    parts += _answer(ERRNO | EPERM)
    return b"".join(struct.pack("=HBBI", *one) for one in parts)


def _special(rules: Rules) -> Iterable[tuple[Iterable[str], Part]]:
    """Yield calls whose arguments count, or whose refusal has to look like something else."""
    yield ("truncate",), _answer(ALLOW if rules.own_truncate else ERRNO | EPERM)
    yield ("mmap",), _map()
    yield ("madvise",), _advise()
    for name, index in OPENS.items():
        yield (name,), _open(index)
    yield ("creat",), _ordinary_mode(1)  # as tar makes its archives: opened for writing, new or emptied
    yield from _modes(rules)
    yield OWNERS, _answer(ERRNO)  # pretended: programs that copy files go on
    yield TIMES, _answer(ALLOW if rules.own_files else ERRNO)
    yield ATTRIBUTES, _answer(ERRNO | ENOTSUP)  # what programs that copy files pass over
    if rules.own_signals:
        yield SIGNALS, _answer(ALLOW)
    else:
        yield ("kill", "tgkill"), _one_of(0, (rules.pid,))
    if rules.fork:
        yield ("fork", "vfork"), _answer(ALLOW)
    yield ("clone",), _clone(rules)
    yield (
        ("clone3",),
        _answer(ERRNO | ENOSYS),
    )  # its flags are out of a filter's sight; libraries then take clone
    yield from _sockets(rules)
    yield ("fcntl",), _one_of(1, FCNTL_MAY)
    yield ("ioctl",), _one_of(1, IOCTL_MAY, ENOTTY)
    yield ("prlimit64",), _one_of(0, (0,))  # its own alone
    yield ("prctl",), _one_of(0, PRCTL_MAY)


def _open(index: int) -> Part:
    """Refuse what rights do not cover: access for neither reading nor writing, truncating for reading.

    And making a file that is a program for somebody else, as with `chmod`.
    """
    return [
        _argument(index),
        (AND, 0, 0, O_ACCMODE),
        (EQUAL, 0, 1, O_ACCMODE),
        *_answer(ERRNO | EPERM),
        _argument(index),
        (AND, 0, 0, O_ACCMODE | O_TRUNC),
        (EQUAL, 0, 1, O_TRUNC),
        *_answer(ERRNO | EPERM),
        _argument(index),
        (ANY_BIT, 1, 0, O_MAKES),
        *_answer(ALLOW),
        *_ordinary_mode(index + 1),
    ]


def _ordinary_mode(index: int) -> Part:
    """Refuse to make a program that runs as somebody else."""
    return [
        _argument(index),
        (ANY_BIT, 0, 1, SPECIAL_MODES),
        *_answer(ERRNO | EPERM),
        *_answer(ALLOW),
    ]


def _map() -> Part:
    """Refuse memory that nobody counts.

    What is shared without a file stays whole while one page of it is mapped, in no process's size; huge pages
    are in no process's size at all.
    """
    return [
        _argument(3),
        (ANY_BIT, 0, 1, MAP_HUGETLB),
        *_answer(ERRNO | EPERM),
        (AND, 0, 0, MAP_SHARED | MAP_ANONYMOUS),
        (EQUAL, 0, 1, MAP_SHARED | MAP_ANONYMOUS),
        *_answer(ERRNO | EPERM),
        *_answer(ALLOW),
    ]


def _advise() -> Part:
    """Refuse to hide memory in the swap space: those who watch see what is in memory."""
    return [_argument(2), (EQUAL, 0, 1, MADV_PAGEOUT), *_answer(ERRNO | EPERM), *_answer(ALLOW)]


def _modes(rules: Rules) -> Iterable[tuple[Iterable[str], Part]]:
    for name, index in MODES.items():
        if rules.own_files:
            yield (name,), _ordinary_mode(index)
        else:
            yield (name,), _answer(ERRNO)  # pretended


def _clone(rules: Rules) -> Part:
    """Allow threads, and processes where the job may have them."""
    part: Part = [
        _argument(0),
        (ANY_BIT, 0, 1, ~CLONE_MAY & 0xFFFFFFFF),
        *_answer(ERRNO | EPERM),
    ]
    if not rules.fork:
        return [*part, (ANY_BIT, 0, 1, CLONE_THREAD), *_answer(ALLOW), *_answer(ERRNO | EPERM)]
    return [
        *part,
        (AND, 0, 0, CLONE_SIGNAL),
        (EQUAL, 1, 0, 0),  # a thread
        (EQUAL, 0, 1, SIGCHLD),
        *_answer(ALLOW),
        *_answer(ERRNO | EPERM),
    ]


def _sockets(rules: Rules) -> Iterable[tuple[Iterable[str], Part]]:
    """Allow pairs of streams: one of datagrams could send to any unix socket by its name."""
    yield (
        ("socketpair",),
        [
            _argument(0),
            (EQUAL, 1, 0, AF_UNIX),
            *_answer(ERRNO | EAFNOSUPPORT),
            *_kind((SOCK_STREAM,)),
        ],
    )
    if not rules.network:
        yield ("socket",), _answer(ERRNO | EAFNOSUPPORT)
        return
    families: Part = [_argument(0)]
    for left, family in reversed(list(enumerate(reversed(AF_INET)))):
        families += [(EQUAL, left + 1, 0, family)]
    yield ("socket",), [*families, *_answer(ERRNO | EAFNOSUPPORT), *_kind((SOCK_STREAM, SOCK_DGRAM))]
    yield ("connect", "setsockopt"), _answer(ALLOW)


def _kind(kinds: Iterable[int]) -> Part:
    part: Part = [_argument(1), (AND, 0, 0, SOCK_KIND)]
    for kind in kinds:
        part += [(EQUAL, 0, 1, kind), *_answer(ALLOW)]
    return [*part, *_answer(ERRNO | EPERM)]


def _one_of(index: int, values: Iterable[int], error: int = EPERM) -> Part:
    part: Part = [_argument(index)]
    for value in values:
        part += [(EQUAL, 0, 1, value), *_answer(ALLOW)]
    return [*part, *_answer(ERRNO | error)]


def _when(number: int, part: Part) -> Part:
    return [(EQUAL, 0, len(part), number), *part]


def _answer(verdict: int) -> Part:
    return [(RETURN, 0, 0, verdict)]


def _argument(index: int) -> tuple[int, int, int, int]:
    """Load the lower half: every argument that is looked at is one that the kernel takes as 32 bits."""
    return (LOAD, 0, 0, ARGUMENTS + 8 * index)
