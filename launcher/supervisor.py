"""Runs the processes of a kernel: starts them, forwards their output, restarts what falls, stops all."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import orjson

from launcher.plan import KernelPlan, ProcessPlan
from launcher.ports import is_free
from services.chassis.runtime.ports import PortTaken

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 5.0
STEADY_SECONDS = 10.0
"""A process that lived this long starts its back-off anew."""
STOP_SECONDS = 15.0
"""Time a process gets after SIGTERM."""
EXIT_CONFIGURATION = 2
MAX_LINE = 1 << 16
READY_INTERVAL = 0.1
HEAD_START_SECONDS = 10.0
"""Longest time the others wait for the first process; they can do without it, only not get ready."""
GATEWAY = "gateway"
BACKEND = "backend"
"""The check that a gateway fails while no inference server answers."""
_SILENT = "process"
"""What a process lacks that does not say what it lacks."""
_PROBE = aiohttp.ClientTimeout(total=2.0)

Output = Callable[[str, str], None]
"""Takes a process's name and one line of its output."""


class StartFailed(Exception):
    """The kernel cannot start; the message says why."""


@dataclass(slots=True)
class _Child:
    plan: ProcessPlan
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0


class Supervisor:
    """Owns the processes of one kernel on this machine."""

    def __init__(self, plan: KernelPlan, output: Output, changed: Callable[[], None] = lambda: None) -> None:
        self._children = {each.name: _Child(each) for each in plan.processes()}
        self._output = output
        self._changed = changed
        """Called whenever a process was started."""
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def pids(self) -> Mapping[str, int]:
        """Process ids of what runs right now."""
        running = {name: _running(child) for name, child in self._children.items()}
        return {name: process.pid for name, process in running.items() if process is not None}

    @property
    def restarts(self) -> Mapping[str, int]:
        """How often each process was started again."""
        return {name: child.restarts for name, child in self._children.items()}

    async def start(self, timeout: float = 60.0, *, backend_wait: float | None = None) -> None:
        """Start everything and wait until all of it is ready.

        `backend_wait`: how long to wait when nothing but an inference server is missing, which may come
        later; None: it must be there. Unit: seconds. Raises StartFailed when a port is taken, a process
        refuses its configuration, or time is up.
        """
        await asyncio.to_thread(self._check_ports)
        ready = asyncio.create_task(self._start_all(backend_wait))
        try:
            done, _ = await asyncio.wait(
                {ready, self._failed}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if self._failed in done:
                self._failed.result()
            if ready not in done:
                raise StartFailed(f"not ready after {timeout:.0f} s: {', '.join(await self._unready())}")
        finally:
            ready.cancel()
            await asyncio.wait({ready})

    async def ready(self, timeout: float) -> None:
        """Wait until all of it is ready. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await self._wait_ready()

    async def failed(self) -> None:
        """Wait until the kernel cannot go on. Raises StartFailed."""
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Stop everything: the gateway first, so that nobody is left asking."""
        self._stopping = True
        for name in (GATEWAY, *(name for name in self._children if name != GATEWAY)):
            child = self._children[name]
            if (process := _running(child)) is not None:
                process.send_signal(signal.SIGTERM)
                if name == GATEWAY:
                    await self._ended(child, STOP_SECONDS)
        await asyncio.gather(*(self._ended(child, STOP_SECONDS) for child in self._children.values()))
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _check_ports(self) -> None:
        """Refuse to start over somebody else's port, saying whose it is."""
        problems = []
        for child in self._children.values():
            for port, purpose in child.plan.ports.items():
                if not is_free(port):
                    problems.append(f"{child.plan.name}: {PortTaken(port, purpose)}")
        if problems:
            raise StartFailed("\n".join([*problems, "stop what holds it, or choose another --port"]))

    async def _keep(self, child: _Child) -> None:
        """Run one process for ever, with growing pauses while it keeps falling."""
        loop = asyncio.get_running_loop()
        backoff = FIRST_BACKOFF
        while not self._stopping:
            began = loop.time()
            code = await self._run(child)
            if self._stopping:
                return
            if code == EXIT_CONFIGURATION:
                self._give_up(f"{child.plan.name} cannot start as configured; see its output above")
                return
            if loop.time() - began > STEADY_SECONDS:
                backoff = FIRST_BACKOFF
            self._output(child.plan.name, f"ended with code {code}; starting it again in {backoff:.1f} s")
            await asyncio.sleep(backoff)
            backoff = min(LONGEST_BACKOFF, backoff * 2)
            child.restarts += 1

    async def _run(self, child: _Child) -> int:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **child.plan.environment}
        # A session of its own: Ctrl-C goes to the supervisor alone, which then stops the processes in order.
        child.process = await asyncio.create_subprocess_exec(
            *child.plan.command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=MAX_LINE,
        )
        self._changed()
        if child.process.stdout is not None:
            await self._forward(child.plan.name, child.process.stdout)
        return await child.process.wait()

    async def _forward(self, name: str, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line longer than MAX_LINE: its rest comes as lines of its own
                continue
            if not line:
                return
            self._output(name, line.decode(errors="replace").rstrip())

    def _give_up(self, why: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(StartFailed(why))

    async def _start_all(self, backend_wait: float | None) -> None:
        """Start the first process alone: all others ask it for their credentials before they are ready."""
        first, *others = self._children.values()
        self._tasks.append(asyncio.create_task(self._keep(first)))
        async with aiohttp.ClientSession(timeout=_PROBE) as session:
            give_up = asyncio.get_running_loop().time() + HEAD_START_SECONDS
            while asyncio.get_running_loop().time() < give_up:
                if not await _lacks(session, first.plan.ready_url):
                    break
                await asyncio.sleep(READY_INTERVAL)
        self._tasks += [asyncio.create_task(self._keep(child)) for child in others]
        await self._wait_ready(backend_wait)

    async def _wait_ready(self, backend_wait: float | None = None) -> None:
        now = asyncio.get_running_loop().time
        alone_since: float | None = None
        while lacking := await self._unready():
            if lacking != {GATEWAY: {BACKEND}}:
                alone_since = None
            elif alone_since is None:
                alone_since = now()
            if backend_wait is not None and alone_since is not None and now() - alone_since >= backend_wait:
                return
            await asyncio.sleep(READY_INTERVAL)

    async def _unready(self) -> dict[str, set[str]]:
        return await lacks_of({name: child.plan.ready_url for name, child in self._children.items()})

    async def _ended(self, child: _Child, seconds: float) -> None:
        """Wait for a process to end; kill it when it does not."""
        if (process := _running(child)) is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            self._output(child.plan.name, f"did not stop within {seconds:.0f} s; killed")
            process.kill()
            await process.wait()


def _running(child: _Child) -> asyncio.subprocess.Process | None:
    return child.process if child.process is not None and child.process.returncode is None else None


async def lacks_of(ready_urls: Mapping[str, str]) -> dict[str, set[str]]:
    """Ask each process at its address and return what those lack that are not ready."""
    async with aiohttp.ClientSession(timeout=_PROBE) as session:
        lacking = await asyncio.gather(*(_lacks(session, url) for url in ready_urls.values()))
    return {name: lacks for name, lacks in zip(ready_urls, lacking, strict=True) if lacks}


async def _lacks(session: aiohttp.ClientSession, url: str) -> set[str]:
    """Return the names of the checks that a process fails; empty when it is ready."""
    try:
        async with session.get(url) as response:
            if response.status == HTTPStatus.OK:
                return set()
            told = orjson.loads(await response.read())
            return set(told["failing"]) or {_SILENT}
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
        return {_SILENT}
