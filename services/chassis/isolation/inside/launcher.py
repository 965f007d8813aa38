"""Closes a process in and runs one program there. Run by path, in isolation, with the standard library alone.

argv: where the packages are, and three descriptors: on which the job answers, on which this process tells
its host how it goes, and on which the host gives orders. The first order is a length (4 bytes, little endian)
and a JSON object (`Plan`). All layers are put on, or the process ends with 97 and a line `failed ...` to its
host; it never goes on with fewer. What follows depends on the level:

* namespaces: it becomes bubblewrap, which tells the host the job's process and waits for a byte from it.
* landlock: it stays as the keeper of the job, says `locked`, and `ended STATUS` when nothing is left.
* single: it says `locked` and becomes the job.
"""

import contextlib
import fcntl
import json
import os
import resource
import signal
import struct
import sys

sys.path.insert(0, sys.argv[1])

from services.chassis.isolation.inside import keeper, kernel, seccomp
from services.chassis.isolation.inside.plan import Plan, options_of_namespaces, read_paths
from services.chassis.isolation.inside.syscalls import MACHINES

UNAVAILABLE = 97
ANSWERS = 3
"""The job's descriptor for its answer; 0 to 2 are what they always are."""
TELLS, ORDERS, FILTER, OPTIONS = 4, 5, 6, 7
_OUT_OF_THE_WAY = 64
_DEVICES = ("/dev/null", "/dev/full")
"""Not /dev/zero: mapped, it is shared memory that nobody counts. /dev/full reads the same."""


def main() -> int:
    """Close in and run. Returns only where a layer is missing, or as a keeper whose job has ended."""
    try:
        _place_descriptors(*map(int, sys.argv[2:5]))
    except (OSError, ValueError):
        return UNAVAILABLE
    try:
        plan = Plan(**json.loads(_order()))
        prepare(plan)
        return START[plan.level](plan)
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing is run and the host hears why
        tell(f"failed {type(error).__name__}: {error}")
        return UNAVAILABLE


def _place_descriptors(answers: int, tells: int, orders: int) -> None:
    """Keep the three and the standard ones, at places that are known; close whatever else was inherited."""
    high = [fcntl.fcntl(one, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for one in (answers, tells, orders)]
    for place, one in zip((ANSWERS, TELLS, ORDERS), high, strict=True):
        os.dup2(one, place, inheritable=False)
    os.closerange(ORDERS + 1, _most_files())


def _most_files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(65_536, soft) if soft != resource.RLIM_INFINITY else 1 << 20


def _order() -> bytes:
    (size,) = struct.unpack("<I", _exactly(4))
    return _exactly(size)


def _exactly(size: int) -> bytes:
    read = b""
    while len(read) < size:
        more = os.read(ORDERS, size - len(read))
        if not more:
            raise OSError(5, "the host has gone")
        read += more
    return read


def tell(line: str) -> None:
    """Tell the host; it may be gone."""
    with contextlib.suppress(OSError):
        os.write(TELLS, line.replace("\n", " ").encode()[:2000] + b"\n")


def prepare(plan: Plan) -> None:
    """Become a user who is nobody, who gains nothing, and who goes with the host."""
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 - as few imports as can be
        file.write("1000")
    become(plan)
    if os.getuid() == 0 or os.geteuid() == 0:
        raise PermissionError("not as root: limits do not bind it, and its files are everybody's")
    kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    os.umask(0o077)
    # a keeper has to live on to end its job: it is told, the others are ended
    with_host = signal.SIGTERM if plan.level == "landlock" else signal.SIGKILL
    if plan.level == "landlock":
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, with_host)
    if os.getppid() != plan.host:
        raise ProcessLookupError("the host has gone")


def become(plan: Plan) -> None:
    """Take on the user that was given, for good."""
    if plan.uid is not None:
        os.setgroups([])
        os.setresgid(plan.uid, plan.uid, plan.uid)
        os.setresuid(plan.uid, plan.uid, plan.uid)


def limit(plan: Plan) -> None:
    """Bound what each of its processes may take."""
    kernel.limit(
        memory=plan.memory,
        cpu=plan.cpu,
        file_bytes=plan.file_bytes,
        processes=plan.processes,
        files=plan.files,
    )


def filter_of(plan: Plan) -> bytes:
    """Return the filter for this machine. Raises KeyError on one that is not known."""
    abi = kernel.landlock_abi()
    namespaces = plan.level == "namespaces"
    rules = seccomp.Rules(
        fork=plan.fork,
        own_files=namespaces,
        own_signals=namespaces or abi >= kernel.SIGNALS_ABI,
        own_truncate=namespaces or abi >= kernel.TRUNCATE_ABI,
        network=plan.network and namespaces,
        pid=os.getpid(),
    )
    return seccomp.program(MACHINES[os.uname().machine], rules)


def lock(plan: Plan) -> None:
    """Put the layers without namespaces on this process; what comes next is the job."""
    os.chdir(plan.scratch)
    limit(plan)
    kernel.hold_files(read_paths(plan), [plan.scratch], [one for one in _DEVICES if os.path.exists(one)])  # noqa: PTH110
    kernel.filter_calls(filter_of(plan))


def namespaces(plan: Plan) -> int:
    """Become bubblewrap."""
    os.chdir("/")
    options = options_of_namespaces(plan, tells=TELLS, orders=ORDERS, filtered=FILTER)
    _file_at(FILTER, filter_of(plan))
    # not as arguments: everybody on the machine can read those, and the job those in its namespace
    _file_at(OPTIONS, b"".join(os.fsencode(option) + b"\0" for option in options))
    os.closerange(OPTIONS + 1, 256)
    for kept in (ANSWERS, TELLS, ORDERS, FILTER, OPTIONS):
        os.set_inheritable(kept, True)  # noqa: FBT003
    limit(plan)
    argv = [plan.bwrap, "--args", str(OPTIONS), "--", *plan.argv]
    os.execve(plan.bwrap, argv, {})  # noqa: S606 - no shell: a list
    return UNAVAILABLE


def _file_at(place: int, content: bytes) -> None:
    """Put a file in memory at a descriptor, to be read from its beginning."""
    made = os.memfd_create("aios-sandbox")
    with os.fdopen(os.dup(made), "wb") as file:
        file.write(content)
    os.lseek(made, 0, os.SEEK_SET)
    if made != place:
        os.dup2(made, place)
        os.close(made)


def keep(plan: Plan) -> int:
    """Start the job and stay to end all of it."""
    return keeper.keep(lambda: become_job(plan, lambda: None), tell, ORDERS)


def single(plan: Plan) -> int:
    """Become the job."""
    become_job(plan, lambda: tell("locked"))
    return UNAVAILABLE


def become_job(plan: Plan, locked) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - no typing: as few imports as can be
    """Lock this process and run the program in it."""
    lock(plan)
    os.set_inheritable(ANSWERS, True)  # noqa: FBT003
    locked()
    os.execve(plan.argv[0], plan.argv, plan.environment)  # noqa: S606 - no shell: a list


START = {"namespaces": namespaces, "landlock": keep, "single": single}

if __name__ == "__main__":
    os._exit(main())  # no destructors: there is nothing to save
