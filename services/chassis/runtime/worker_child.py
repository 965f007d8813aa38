"""What a worker process runs: one handler, one message at a time. Run by path, in isolation.

argv[1] is JSON: `path` (where modules are found), `target` (`module:function`, called with `args`; it returns
the handler, from bytes to bytes) and the limits `memory` (bytes beyond what is mapped once the handler is
made), `stack` (bytes, 0: as it is) and `files` (descriptors).

A message on stdin is its length (4 bytes), the seconds of processor it may take (8 bytes, a float) and its
bytes; all numbers are little endian. The answer on stdout is its length, one byte that says how it went, and
its bytes. Before the first message an empty answer tells that the handler is made. The process ends with its
input.
"""

import contextlib
import importlib
import json
import math
import os
import resource
import signal
import struct
import sys

READY, DONE, FAILED = 0, 0, 1
NO_MEMORY = 12
"""Exit status of a process whose memory ran out."""

_HEAD = struct.Struct("<Id")
_TOLD = struct.Struct("<IB")
_MAPPED_BYTES = 1024 * 1024 * 1024


def main(given: str) -> int:
    """Serve until the input ends."""
    config = json.loads(given)
    source, sink = _pipes()  # type: ignore[no-untyped-call]
    sys.path[:] = config["path"]
    if config["stack"]:
        _limit(resource.RLIMIT_STACK, config["stack"])
    _limit(resource.RLIMIT_CORE, 0)  # a core file would hold what was worked on
    module, _, function = config["target"].partition(":")
    handler = getattr(importlib.import_module(module), function)(*config["args"])
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, config["files"])
    _limit(resource.RLIMIT_AS, _mapped() + config["memory"])
    _go_first()
    _say(sink, READY, b"")
    while head := source.read(_HEAD.size):
        size, seconds = _HEAD.unpack(head)
        _bound(seconds)
        try:
            kind, answer = DONE, handler(source.read(size))
        except MemoryError:
            return NO_MEMORY
        except Exception as error:  # noqa: BLE001 - whatever it is, the call fails with it and not the process
            kind, answer = FAILED, type(error).__name__.encode()
        signal.setitimer(signal.ITIMER_PROF, 0)
        _say(sink, kind, answer)
    return 0


def _pipes():  # type: ignore[no-untyped-def]  # noqa: ANN202 - no typing: as few imports as can be
    """Keep the pipes for messages alone: a library that reads or prints must not garble them."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return source, sink


def _say(sink, kind: int, answer: bytes) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - as above
    sink.write(_TOLD.pack(len(answer), kind) + answer)
    sink.flush()


def _bound(seconds: float) -> None:
    """End the process when the message takes more of a processor: native code cannot be interrupted.

    The timer is exact, the limit behind it counts in seconds and cannot be caught.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds) + 1)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit(what: int, soft: int) -> None:
    """Lower a soft limit; a system that does not have it goes without."""
    _, hard = resource.getrlimit(what)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _mapped() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - as few imports as can be
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return _MAPPED_BYTES  # no such file outside Linux


def _go_first() -> None:
    """Where the container's memory runs out, this process goes and not the one that asks it."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write("1000")


if __name__ == "__main__":
    os._exit(main(sys.argv[1]))  # no destructors: there is nothing to save
