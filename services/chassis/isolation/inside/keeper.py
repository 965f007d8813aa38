"""The keeper of a job where there are no namespaces: nothing of the job is left when it ends.

Two domains of Landlock lie in each other: the keeper's, which holds signals alone, and within it the job's.
The job cannot signal, trace or limit its keeper; the keeper's kill(-1) reaches everything in its domain but
itself, and nothing else. That is exact however fast the job forks.
"""

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress

from services.chassis.isolation.inside import kernel

UNAVAILABLE = 97


def keep(become_job: Callable[[], None], tell: Callable[[str], None], orders: int) -> int:
    """Start a job, and end it when it has ended by itself, when the host says so, or when the host has gone.

    Raises OSError where the domain does not hold: kill(-1) would end what is not the job's.
    """
    gone = _hear_of_the_host()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    _enter_domain()
    job = _start(become_job)
    for job_s in (0, 1, 2, 3):
        os.close(job_s)
    tell("locked")
    _wait(job, orders, gone)
    tell(f"ended {_end(job)}")
    return 0


def _hear_of_the_host() -> int:
    """Return what can be read once the host has gone and the kernel has said so by SIGTERM.

    Nothing is raised in the middle of other things: the end of the host closes the orders at the same moment,
    and a keeper that is already ending its job must come to the end of that.
    """
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    return reads


def _enter_domain() -> None:
    """Hold signals, and see that a process of the same user outside is out of reach.

    The host is none to see it by: where it is root, it is out of reach for another reason.
    """
    waits, ends = os.pipe()
    outside = os.fork()
    if outside == 0:
        os.close(ends)
        os.read(waits, 1)
        os._exit(0)
    try:
        kernel.hold_signals()
        try:
            os.kill(outside, 0)
        except PermissionError:
            return
        raise OSError(1, "the domain does not hold signals")
    finally:
        os.close(waits)
        os.close(ends)
        os.waitpid(outside, 0)


def _start(become_job: Callable[[], None]) -> int:
    """Fork, and return when the job's program runs in its lock. Raises OSError when it does not."""
    told, tells = os.pipe()
    job = os.fork()
    if job == 0:
        try:
            os.close(told)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setsid()
            become_job()
        except BaseException as error:  # noqa: BLE001 - the child of a fork must not go on as its parent would
            with suppress(OSError):
                os.write(tells, f"{type(error).__name__}: {error}".encode()[:1000])
        os._exit(UNAVAILABLE)
    os.close(tells)
    failure = os.read(told, 1000)  # its end comes with exec
    os.close(told)
    if failure:
        _end(job)
        raise OSError(1, failure.decode(errors="replace"))
    return job


def _wait(job: int, orders: int, gone: int) -> None:
    """Wait until the job's first process has ended, or an order to stop comes, or the host has gone."""
    ended = os.pidfd_open(job)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # it is heard as the end of the host is
    ready: list[int] = []
    while not (
        ended in ready or orders in ready or (gone in ready and signal.SIGTERM in os.read(gone, 4096))
    ):
        _reap_others(job)
        ready, _, _ = select.select([ended, orders, gone], [], [])
    os.close(ended)


def _reap_others(job: int) -> None:
    """Let go of what its parents left behind: else it counts as processes of the user until the job ends."""
    while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        if found.si_pid == job:
            return
        os.waitpid(found.si_pid, 0)


def _end(job: int) -> int:
    """End all processes of the domain but this one; return the wait status of the job's first one."""
    status = -1
    while True:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            ended, how = os.waitpid(-1, 0)
        except ChildProcessError:
            return status
        if ended == job:
            status = how
