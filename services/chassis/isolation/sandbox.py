"""The sandbox (the port `Sandbox`): finds what keeps jobs in on this machine, proves it, runs them."""

import asyncio
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.chassis.isolation import selftest
from services.chassis.isolation.confined import LAUNCHER, Confined, NotConfinedError
from services.chassis.isolation.descriptors import finished
from services.chassis.isolation.inside.plan import Plan
from services.chassis.isolation.means import Means, possible, seconds
from services.chassis.isolation.outputs import Heard
from services.chassis.isolation.places import Place, Places
from services.chassis.isolation.pool import Pool, discard
from services.chassis.isolation.running import Running, Session, Started, closed
from services.chassis.isolation.scratch import is_path
from services.chassis.isolation.watcher import Watcher
from services.chassis.rpc.errors import InvalidRequest, KernelError
from services.chassis.runtime.logs import logger
from services.chassis.sandbox.errors import SandboxUnavailable
from services.chassis.sandbox.terms import EndKind, SandboxEnd, SandboxJob, SandboxLevel

_log = logger(__name__)

NOT_TRIED: Final = "the sandbox has not been tried yet"
MOST_ARGUMENTS: Final = 100_000
"""Bytes of arguments and variables together; the kernel takes no single one above 128 KiB."""
THREADS: Final = 64
"""Of one interpreter."""
FIRST_TEST_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What operators choose."""

    level: str = ""
    """The level that is demanded; empty: the strongest that works here; `none`: nothing is run."""
    python: str = ""
    """Interpreter for jobs; empty: this process's, or the system's."""
    directory: str = ""
    """Where scratches are made; empty: the system's place for temporary files."""
    jobs: int = 16
    """Jobs and programs at once."""
    warm: int = 2
    """Interpreters that wait for jobs."""
    first_uid: int = 61_000
    """As root, jobs run as this user and the ones after it: 256 of them for each sandbox of the machine."""
    launcher: Path = LAUNCHER


class ProcessSandbox:
    """Runs jobs in processes of their own. `test` it before use, and `close` it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._means: Means | None = None
        self._problem = NOT_TRIED
        self._tested = asyncio.Event()
        self._testing = asyncio.Lock()
        self._places = Places(
            directory=settings.directory, first_uid=settings.first_uid, most=settings.jobs + settings.warm
        )
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="sandbox")
        self._watcher = Watcher()
        self._pool = Pool(settings.warm, self._interpreter, self._places)
        self._sessions: set[Session] = set()

    @property
    def level(self) -> SandboxLevel:
        """What keeps jobs in; NONE when nothing does."""
        return self._means.level if self._means is not None else SandboxLevel.NONE

    @property
    def problem(self) -> str:
        """Return why nothing can be run, for people; empty: it can."""
        return self._problem

    @property
    def running(self) -> int:
        """How many jobs and programs run."""
        return self._watcher.watching

    async def test(self) -> None:
        """Find what works here and prove that it holds, or prove again what was found. Fails closed.

        Means that cannot be started give way to weaker ones; means that let something through do not: then
        nothing is run, since this machine is not what it seems.
        """
        async with self._testing:
            means, problem = await self._prove()
            if (means and means.level, problem) != (self._means and self._means.level, self._problem):
                log = _log.warning if problem else _log.info
                log("the sandbox was tested", isolation=means.level.value if means else "none", why=problem)
            self._means, self._problem = means, problem
            self._tested.set()
        await self._pool.replace_old()

    async def _prove(self) -> tuple[Means | None, str]:
        if self._settings.level == SandboxLevel.NONE.value:
            return None, "it is switched off by AIOS_TOOL_SANDBOX"
        known = [self._means] if self._means is not None else []
        missing = []
        for means in known or await asyncio.to_thread(possible, self._settings.level, self._settings.python):
            try:
                surprises = await self._surprises(means)
            except (NotConfinedError, KernelError, OSError) as error:
                missing.append(f"{means.level.value} with {means.python[0]}: {error}")
                continue
            if surprises:
                return None, f"the self-test of {means.level.value} failed: {', '.join(surprises)}"
            return means, ""
        return None, "; ".join(missing) or "this machine has nothing to keep jobs in with"

    async def _surprises(self, means: Means) -> list[str]:
        place = await self._places.take()
        try:
            bait = await asyncio.to_thread(self._places.bait, place)
        except BaseException:
            await finished(self._places.free(place))
            raise
        argument = bait.argument(means.level)
        try:
            if means.level is SandboxLevel.SINGLE:
                source = f"import sys\nsys.argv = ['', {argument!r}]\n{selftest.ATTEMPTS}"
                job = SandboxJob(argv=(), python=source, limits=selftest.LIMITS)
            else:
                argv = (*means.python, "-c", selftest.ATTEMPTS, argument)
                job = SandboxJob(argv=argv, limits=selftest.LIMITS)
            started = await self._start(means, place, job, processes=selftest.FORKS // 2)
            end = await self._to_its_end(started, job, None)
            taken = await asyncio.to_thread(bait.was_taken)
            return (
                ["it reached what it must not", *selftest.surprises(end)]
                if taken
                else selftest.surprises(end)
            )
        finally:
            await asyncio.to_thread(bait.take_in)

    async def run(self, job: SandboxJob, heard: Heard | None = None) -> SandboxEnd:
        """Run a job to its end. `heard("stdout" or "stderr", piece)` is called with its output as it comes.

        Nothing of it is left when this returns or raises, cancellation included. Raises SandboxUnavailable,
        InvalidRequest.
        """
        started = await self._begin(job)
        return await self._to_its_end(started, job, heard)

    async def open(self, job: SandboxJob) -> Session:
        """Start a program to talk to; its `stdin` is empty. Raises as `run`."""
        if not job.argv:
            raise InvalidRequest("only a program can be talked to")
        started = await self._begin(job)
        session = Session(Running(started, job, self._watcher, None), self._places, self._stuck)
        self._sessions.add(session)
        session.on_end(self._sessions.discard)
        return session

    async def _to_its_end(self, started: Started, job: SandboxJob, heard: Heard | None) -> SandboxEnd:
        running = Running(started, job, self._watcher, heard)
        why: EndKind | None = EndKind.STOPPED
        try:
            running.outputs.begin(job.stdin if job.argv else _message(job))
            why = await running.verdict()
        finally:
            end = await finished(closed(running, self._places, why, self._stuck))
        return end

    async def _begin(self, job: SandboxJob) -> Started:
        """Start what a job needs, in a place with its files in it."""
        check(job)
        means = await self._usable()
        plain = not (job.argv or job.mounts or job.limits.network)
        if plain and (started := self._pool.take()) is not None:
            try:
                await self._put(started.place, job)
            except BaseException:
                await finished(discard(started, self._places))
                raise
            return started
        try:
            return await self._start(means, await self._places.take(), job)
        except NotConfinedError as error:
            await self.test()  # it worked before: whether anything still does is to be seen, not hoped
            raise SandboxUnavailable(f"a job could not be locked in: {error}") from error
        except OSError as error:
            raise SandboxUnavailable(f"there is no place for a job: {error.strerror}") from error

    async def _usable(self) -> Means:
        """Return what jobs are kept in with, waiting for the first test. Raises SandboxUnavailable."""
        try:
            async with asyncio.timeout(FIRST_TEST_SECONDS):
                await self._tested.wait()
        except TimeoutError:
            raise SandboxUnavailable(NOT_TRIED) from None
        if self._means is None:
            raise SandboxUnavailable(self._problem)
        return self._means

    async def _start(self, means: Means, place: Place, job: SandboxJob, processes: int = 0) -> Started:
        """Start a job in a place that was taken for it; the place is free again when that fails."""
        try:
            await self._put(place, job)
            plan = await self._plan(means, place, job, processes)
            confined = await Confined.start(plan, self._spawner, self._settings.launcher)
        except BaseException:
            await finished(self._places.free(place))
            raise
        return Started(confined, place)

    async def _plan(self, means: Means, place: Place, job: SandboxJob, processes: int) -> Plan:
        limits = job.limits
        if not job.argv:
            most = await self._places.limit_of_processes(place, processes or THREADS)
            plan = means.interpreter(place, most)
        else:
            most = await self._places.limit_of_processes(
                place, processes or limits.processes, sole=bool(processes)
            )
            plan = means.command(place, job.argv, limits, most)
            plan.environment |= job.environment
        return means.granted(plan, job.mounts, network=limits.network)

    async def _put(self, place: Place, job: SandboxJob) -> None:
        try:
            await self._places.put(place, job.files)
        except OSError as error:
            raise SandboxUnavailable(f"files cannot be put into a scratch: {error.strerror}") from error

    async def _interpreter(self) -> Started:
        """Start an interpreter that waits. Raises SandboxUnavailable."""
        means = await self._usable()
        try:
            return await self._start(means, await self._places.take(), SandboxJob(argv=()))
        except NotConfinedError as error:
            raise SandboxUnavailable(str(error)) from error

    def _stuck(self) -> None:
        """Run nothing more: something of a job could not be ended."""
        self._problem = "something of a job could not be ended"
        self._means = None

    async def close(self) -> None:
        """End everything, and leave nothing."""
        await asyncio.gather(*(session.stop() for session in tuple(self._sessions)), return_exceptions=True)
        await self._pool.close()
        await self._places.close()
        self._spawner.shutdown(wait=False)


def _message(job: SandboxJob) -> bytes:
    """Return what an interpreter is sent: the piece of Python with its limits, and then the job's input."""
    limits = job.limits
    told = {
        "source": job.python,
        "environment": dict(job.environment),
        "memory": limits.memory_bytes,
        "cpu": seconds(limits.cpu_seconds),
        "file_bytes": limits.scratch_bytes,
    }
    text = json.dumps(told).encode()
    return struct.pack("<I", len(text)) + text + job.stdin


def check(job: SandboxJob) -> None:
    """Refuse a job that cannot be one. Raises InvalidRequest."""
    texts = [*job.argv, *job.environment, *job.environment.values(), *job.mounts, *job.mounts.values()]
    if bool(job.argv) == bool(job.python):
        raise InvalidRequest("a job is either a program or a piece of Python")
    if any("\0" in text for text in texts) or any("=" in name or not name for name in job.environment):
        raise InvalidRequest("arguments and variables are texts without NUL, and names have no equals sign")
    if sum(len(text.encode(errors="surrogateescape")) for text in texts) > MOST_ARGUMENTS:
        raise InvalidRequest("arguments and variables are too large")
    if wrong := next((path for path in job.files if not is_path(path)), None):
        raise InvalidRequest(f"{wrong!r} cannot be a file of a job: paths are relative and normal")
    if (
        sum(map(len, job.files.values())) > job.limits.scratch_bytes
        or len(job.files) > job.limits.scratch_entries
    ):
        raise InvalidRequest("the files are larger than the scratch")
