"""The sandbox as a process of its own: what it runs, what its end leaves, and how it is in a pod."""

import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from services.chassis.rpc import client
from services.chassis.sandbox.terms import EndKind, Limits, SandboxJob, SandboxLevel
from services.tool.adapters.remote_sandbox import RemoteSandbox
from services.tool.errors import SandboxLost, SandboxUnavailable
from tests.fakes.sandbox import DIGEST, KEY
from tests.fakes.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

REPOSITORY = Path(__file__).parents[2]
POD_USER = 61_234
SYSTEM_PYTHON = "/usr/bin/python3"
ENDLESS = SandboxJob(argv=(), python="print('begun', flush=True)\nwhile True: pass")


@dataclass
class Running:
    """A process of the sandbox, and the tool manager's way to it."""

    process: Process
    port: int
    remote: RemoteSandbox
    directory: Path

    def below(self) -> list[int]:
        """Return the processes that it started."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    async def ended(self, within: float = 60.0) -> int:
        """Wait for its end."""
        async with asyncio.timeout(within):
            return await self.process.wait()


@asynccontextmanager
async def started(command: Sequence[str] = (), **variables: str) -> AsyncIterator[Running]:
    """Start one, wait until its self-test is over, and end it; `command` runs the program that follows it."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="aios-sandbox-")))
        await asyncio.to_thread(_furnished, directory, in_pod=bool(command))
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)]),
            "AIOS_DATA_DIR": str(directory / "data"),
            "AIOS_LOG_FORMAT": "json",
            "AIOS_GRACE_SECONDS": "10",
            "AIOS_SANDBOX_PORT": "0",
            "AIOS_SANDBOX_DIRECTORY": str(directory / "scratch"),
            "AIOS_SANDBOX_CALLER_SHA256": DIGEST,
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        }
        argv = [*(command or (sys.executable,)), "-m", "services.sandbox"]
        with (directory / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*argv, env=environ, cwd=REPOSITORY, stderr=log)
        stack.push_async_callback(_over, process)
        port = await _port(process, directory / "log")
        (directory / "key").write_text(KEY)
        channel = await stack.enter_async_context(client.channel(f"127.0.0.1:{port}"))
        remote = RemoteSandbox(channel, directory / "key")
        async with asyncio.timeout(60):
            while "not been tried" in remote.problem or "not been asked" in remote.problem:
                await remote.look()
                await asyncio.sleep(0.05)
        if remote.problem:
            pytest.skip(f"nothing isolates here: {remote.problem}")
        yield Running(process, port, remote, directory)


def _furnished(directory: Path, *, in_pod: bool) -> None:
    """Make the directories of a sandbox; as root its jobs are other users, who need their scratch."""
    directory.chmod(0o755)
    for name, mode in (("data", 0o700), ("scratch", 0o700 if in_pod else 0o711)):
        (directory / name).mkdir()
        (directory / name).chmod(mode)
        if in_pod and os.getuid() == 0:
            os.chown(directory / name, POD_USER, POD_USER)


async def _port(process: Process, log: Path) -> int:
    async with asyncio.timeout(60):
        while True:
            lines = (await asyncio.to_thread(log.read_bytes)).splitlines()
            for line in lines:
                if b'"ready"' in line:
                    return int(json.loads(line)["port"])
            if process.returncode is not None:
                raise RuntimeError(b"\n".join(lines).decode())
            await asyncio.sleep(0.05)


async def _over(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def pod() -> list[str]:
    """Return what runs Python as in an ordinary pod; skip where that cannot be emulated."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("the emulation of a pod is made for Linux on x86-64")
    here = (sys.version_info.major, sys.version_info.minor)
    python = sys.executable
    if os.getuid() == 0:  # the user of the pod may not be able to read this one
        python = SYSTEM_PYTHON
        told = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if told.stdout.strip() != str(here):
            pytest.skip(f"the user of the pod has no Python {here} to read")
    return [sys.executable, "-m", "tests.fakes.pod", str(POD_USER), python]


async def test_a_killed_sandbox_leaves_nothing_and_its_job_is_not_made_again() -> None:
    begun = asyncio.Event()
    async with started() as sandbox:
        end = await sandbox.remote.run(SandboxJob(argv=(), python="print(6 * 7)"))
        running = asyncio.create_task(sandbox.remote.run(ENDLESS, lambda _stream, _data: begun.set()))
        await begun.wait()
        below = await asyncio.to_thread(sandbox.below)

        sandbox.process.send_signal(signal.SIGKILL)
        with pytest.raises(SandboxLost):
            await running
        with pytest.raises(SandboxUnavailable) as later:
            await sandbox.remote.run(SandboxJob(argv=(), python="print(1)"))

        await until(lambda: not any(map(_lives, below)))
    assert (end.how, end.stdout) == (EndKind.EXITED, b"42\n")
    assert below
    assert later.value.retry_after is not None


@pytest.mark.torture_tools
async def test_a_stopped_sandbox_lets_jobs_end_and_begins_no_more() -> None:
    begun = asyncio.Event()
    source = "import time\nprint('begun', flush=True)\ntime.sleep(2)\nprint('done')"
    async with started() as sandbox:
        job = SandboxJob(argv=(), python=source)
        running = asyncio.create_task(sandbox.remote.run(job, lambda _stream, _data: begun.set()))
        await begun.wait()
        sandbox.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        with pytest.raises(SandboxUnavailable) as refused:
            await sandbox.remote.run(job)

        assert (await running).stdout == b"begun\ndone\n"
        assert await sandbox.ended() == 0
        assert refused.value.retry_after is not None


@pytest.mark.torture_tools
async def test_a_cancelled_job_has_left_no_process_when_its_cancellation_has_returned() -> None:
    source = "import os\nprint('begun', flush=True)\nwhile True: os.getpid()"
    async with started(AIOS_SANDBOX_WARM="0") as sandbox:
        for _ in range(5):
            begun = asyncio.Event()
            job = SandboxJob(argv=(), python=source)
            running = asyncio.create_task(sandbox.remote.run(job, lambda _stream, _data: begun.set()))  # noqa: B023
            await begun.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert await asyncio.to_thread(sandbox.below) == []


@pytest.mark.torture_tools
async def test_in_an_ordinary_pod_python_runs_and_gets_at_nothing() -> None:
    async with started(pod()) as sandbox:
        secret = sandbox.directory / "data" / "secret"
        secret.write_text("canary")
        secret.chmod(0o644)
        attempts = f"""
import os, socket, json
def tried(what):
    try:
        return repr(what())
    except BaseException as error:
        return type(error).__name__
print(json.dumps([
    tried(lambda: open({str(secret)!r}).read()),
    tried(lambda: open({str(sandbox.directory / "data" / "made")!r}, 'w')),
    tried(lambda: socket.socket()),
    tried(lambda: os.kill({sandbox.process.pid}, 9)),
    tried(lambda: os.fork()),
    [name for name in os.environ if 'AIOS' in name],
]))
open('left', 'w').write('here')
"""
        job = SandboxJob(argv=(), python=attempts, want_files=True, files={"given": b"x"})
        end = await sandbox.remote.run(job)
        level = sandbox.remote.level
        alive = sandbox.process.returncode is None

    assert level in (SandboxLevel.LANDLOCK, SandboxLevel.SINGLE)  # a pod gives no namespaces
    assert end.how is EndKind.EXITED, end.stderr
    got = json.loads(end.stdout)
    assert all(each.endswith("Error") for each in got[:5]), got
    assert got[5] == []
    assert end.files["left"] == b"here"
    assert alive


@pytest.mark.torture_tools
async def test_in_an_ordinary_pod_limits_hold_and_nothing_is_left_when_the_sandbox_is_killed() -> None:
    async with started(pod()) as sandbox:
        small = Limits(memory_bytes=96 * 1024 * 1024, wall_seconds=5.0, output_bytes=100_000)
        grown = await sandbox.remote.run(
            SandboxJob(argv=(), python="x = []\nwhile True: x.append(bytearray(1 << 20))", limits=small)
        )
        flooded = await sandbox.remote.run(
            SandboxJob(argv=(), python="while True: print('x' * 1000)", limits=small)
        )
        slept = await sandbox.remote.run(
            SandboxJob(argv=(), python="import time\ntime.sleep(60)", limits=Limits(wall_seconds=1.0))
        )
        begun = asyncio.Event()
        running = asyncio.create_task(sandbox.remote.run(ENDLESS, lambda _stream, _data: begun.set()))
        await begun.wait()
        below = await asyncio.to_thread(sandbox.below)
        sandbox.process.send_signal(signal.SIGKILL)
        with pytest.raises(SandboxLost):
            await running
        await until(lambda: not any(map(_lives, below)))

    assert grown.how is EndKind.MEMORY or b"MemoryError" in grown.stderr
    assert flooded.how is EndKind.OUTPUT
    assert slept.how is EndKind.TIMEOUT


@pytest.mark.torture_tools
@pytest.mark.parametrize("_once_more", range(12))
async def test_in_an_ordinary_pod_a_killed_sandbox_takes_its_jobs_along(_once_more: int) -> None:
    """Its end reaches a keeper in two ways at one moment; the second must not stop what the first began."""
    async with started(pod(), AIOS_SANDBOX_WARM="1") as sandbox:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        running = [
            asyncio.create_task(sandbox.remote.run(ENDLESS, lambda _stream, data: heard.put_nowait(data)))
            for _ in range(3)
        ]
        for _ in running:
            await heard.get()
        below = await asyncio.to_thread(sandbox.below)
        sandbox.process.send_signal(signal.SIGKILL)
        await until(lambda: not any(map(_lives, below)))
        ends = await asyncio.gather(*running, return_exceptions=True)

    assert len(below) >= len(running)
    assert all(isinstance(end, SandboxLost) for end in ends)


@pytest.mark.torture_tools
async def test_in_an_ordinary_pod_a_program_is_talked_to() -> None:
    async with started(pod()) as sandbox:
        if sandbox.remote.level is SandboxLevel.SINGLE:
            pytest.skip("a sandbox of one process runs Python only")
        process = await sandbox.remote.open(SandboxJob(argv=("/bin/cat",)))
        await process.write(b"hello\n")
        said = await process.read()
        await process.write(b"x" * 300_000)
        count = 0
        while count < 300_000:
            count += len(await process.read())
        end = await process.stop()

        assert said == b"hello\n"
        assert end.how is EndKind.STOPPED
        assert await asyncio.to_thread(_programs, sandbox) == []


def _lives(pid: int) -> bool:
    """Tell whether a process is more than a name that nobody has asked for."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _programs(sandbox: Running) -> list[str]:
    return [
        name
        for child in psutil.Process(sandbox.process.pid).children(recursive=True)
        if "cat" in (name := child.name())
    ]
