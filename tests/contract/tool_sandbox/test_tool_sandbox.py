"""What every sandbox does with jobs, whatever keeps them in: the same suite at each level of this machine."""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.chassis.sandbox.errors import SandboxUnavailable, ToolFailed
from services.chassis.sandbox.port import Sandbox
from services.chassis.sandbox.terms import EndKind, Limits, SandboxJob, SandboxLevel
from tests.fakes.isolation import MANY, alive, isolated, need, python, shell
from tests.fakes.sandbox import behind_a_wire

LEVELS = [level.value for level in SandboxLevel][:3]
REMOTE = "remote "
"""Before a level: behind the wire, as a sandbox that is a process of its own is."""

OTHERS = [
    pytest.param(prefix + level, marks=pytest.mark.torture_tools)
    for prefix in ("", REMOTE)
    for level in LEVELS
]


@pytest.fixture(params=["", *OTHERS])
async def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sandbox]:
    """Make the strongest sandbox of this machine, and by `make torture-tools` each, here and remote."""
    level = request.param.removeprefix(REMOTE)
    await need(level)
    async with isolated(level) as made:
        if request.param == level:
            yield made
            return
        async with behind_a_wire(made, tmp_path, offered=("/",)) as remote:
            yield remote


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Make a directory that every user can look into."""
    with TemporaryDirectory() as made:
        path = Path(made)
        path.chmod(0o755)
        yield path


def programs(sandbox: Sandbox) -> None:
    """Skip a test of programs where only Python runs."""
    if sandbox.level is SandboxLevel.SINGLE:
        pytest.skip("a sandbox of one process runs Python only")


async def test_python_is_run_with_its_input_and_answers(sandbox: Sandbox) -> None:
    source = (
        "import os, sys\nprint('out')\nprint('err', file=sys.stderr)\n"
        "os.write(3, sys.stdin.buffer.read()[::-1])"
    )

    end = await python(sandbox, source, stdin=b"input")

    assert (end.how, end.code, end.answer) == (EndKind.EXITED, 0, b"tupni")
    assert (end.stdout, end.stderr, end.truncated) == (b"out\n", b"err\n", False)


async def test_the_second_piece_of_python_finds_nothing_of_the_first(sandbox: Sandbox) -> None:
    leaves = "import os, builtins\nopen('left', 'w').write('x')\nbuiltins.left = 1\nos.environ['LEFT'] = '1'"
    looks = "import os\nprint(os.listdir('.'), 'left' in dir(__builtins__), os.environ.get('LEFT'))"

    for _ in range(3):
        await python(sandbox, leaves)
        end = await python(sandbox, looks)
        assert end.stdout == b"[] False None\n"


async def test_a_failure_of_python_is_told_by_its_traceback_without_the_hosts_files(
    sandbox: Sandbox,
) -> None:
    end = await python(sandbox, "def f():\n    return 1 / 0\nf()")

    assert (end.how, end.code) == (EndKind.EXITED, 1)
    assert end.stderr.splitlines()[-1] == b"ZeroDivisionError: division by zero"
    assert b"/" not in end.stderr.replace(b"1 / 0", b"")


async def test_files_are_put_in_and_those_that_changed_come_out(sandbox: Sandbox) -> None:
    source = (
        "import os\nassert open('a/b.txt').read() == 'old'\nopen('a/b.txt', 'w').write('new')\n"
        "os.remove('gone')\nos.mkdir('d')\nopen('d/made', 'wb').write(bytes(range(256)))"
    )
    files = {"a/b.txt": b"old", "gone": b"1", "same": b"2"}

    end = await python(sandbox, source, files=files, want_files=True)

    assert end.stderr == b""
    assert end.files == {"a/b.txt": b"new", "d/made": bytes(range(256))}
    assert end.removed == ("gone",)


async def test_links_and_what_is_no_regular_file_do_not_come_out(sandbox: Sandbox) -> None:
    source = (
        "import os\nos.symlink('/etc/hostname', 'link')\nos.symlink('/etc', 'dir')\nos.mkfifo('pipe')\n"
        "open('one', 'w').write('x')\nos.link('one', 'two')\nopen(b'\\xff', 'w').write('x')"
    )

    end = await python(sandbox, source, want_files=True)

    assert (end.how, end.files) == (EndKind.EXITED, {})


async def test_a_program_has_as_many_files_and_addresses_as_it_is_given(sandbox: Sandbox) -> None:
    programs(sandbox)
    limits = Limits(open_files=200, address_bytes=1 << 36)

    end = await sandbox.run(SandboxJob(argv=("/bin/sh", "-c", "ulimit -n; ulimit -v"), limits=limits))

    assert end.stdout.split() == [b"200", str(1 << 26).encode()]


async def test_output_is_heard_as_it_comes_and_kept_up_to_its_bound(sandbox: Sandbox) -> None:
    heard: list[tuple[str, bytes]] = []
    job = SandboxJob(argv=(), python="print('x' * 99)\nprint('y' * 99)", limits=Limits(kept_bytes=150))

    end = await sandbox.run(job, lambda stream, piece: heard.append((stream, piece)))

    assert end.stdout == b"".join(piece for stream, piece in heard if stream == "stdout")
    assert (len(end.stdout), end.truncated) == (150, True)


@pytest.mark.parametrize(
    ("source", "limits", "how"),
    [
        ("while True: pass", Limits(wall_seconds=0.3), EndKind.TIMEOUT),
        ("import time\ntime.sleep(60)", Limits(wall_seconds=0.3), EndKind.TIMEOUT),
        ("while True: print('x' * 65536)", Limits(output_bytes=1 << 20), EndKind.OUTPUT),
        ("import os\nwhile True: os.write(3, b'x' * 65536)", Limits(answer_bytes=1 << 20), EndKind.OUTPUT),
        (
            "import time\nfor i in range(10_000): open(str(i), 'w')\ntime.sleep(9)",
            Limits(scratch_entries=100),
            EndKind.DISK,
        ),
        (
            "import time\nfor i in range(9): open(str(i), 'wb').write(b'x' * (1 << 20))\ntime.sleep(9)",
            Limits(scratch_bytes=2 << 20),
            EndKind.DISK,
        ),
    ],
)
async def test_what_takes_more_than_it_may_is_ended(
    sandbox: Sandbox, source: str, limits: Limits, how: EndKind
) -> None:
    end = await python(sandbox, source, limits=limits)

    assert end.how is how
    assert len(end.stdout) <= limits.kept_bytes
    assert len(end.answer) <= limits.answer_bytes


async def test_memory_beyond_the_limit_is_refused_to_python(sandbox: Sandbox) -> None:
    source = "try:\n    x = b'x' * (1 << 28)\nexcept MemoryError:\n    print('refused')"

    end = await python(sandbox, source, limits=Limits(memory_bytes=128 << 20))

    assert end.stdout == b"refused\n"


async def test_a_cancelled_job_leaves_nothing(sandbox: Sandbox) -> None:
    started = asyncio.Event()
    job = SandboxJob(argv=(), python="import time\nprint('on', flush=True)\ntime.sleep(60)")
    running = asyncio.create_task(sandbox.run(job, lambda _stream, _piece: started.set()))
    await started.wait()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    end = await python(sandbox, "print('next')")
    assert end.stdout == b"next\n"


async def test_a_program_is_run_with_its_variables_and_ends_with_its_status(sandbox: Sandbox) -> None:
    programs(sandbox)

    end = await shell(
        sandbox, 'read line; echo "$NAME $line"; exit 7', environment={"NAME": "it"}, stdin=b"in\n"
    )

    assert (end.how, end.code, end.stdout) == (EndKind.EXITED, 7, b"it in\n")


async def test_a_program_that_is_not_there_fails_and_is_no_fault_of_the_sandbox(
    sandbox: Sandbox,
) -> None:
    programs(sandbox)

    end = await sandbox.run(SandboxJob(argv=("/nowhere/program",)))

    assert (end.how, end.code) == (EndKind.EXITED, 127)
    assert sandbox.problem == ""


async def test_what_a_program_leaves_behind_is_ended_with_it(sandbox: Sandbox) -> None:
    programs(sandbox)
    nap = f"61.{time.monotonic_ns()}"  # by which what is left is known, whoever's child it has become

    for _ in range(5):
        end = await shell(sandbox, f"for i in 1 2 3 4 5 6; do (setsid sleep {nap} &) ; done; echo done")
        left = await asyncio.to_thread(alive, nap)

        assert (end.how, end.stdout, left) == (EndKind.EXITED, b"done\n", [])


async def test_a_child_that_holds_the_output_open_delays_nobody(sandbox: Sandbox) -> None:
    programs(sandbox)

    end = await shell(sandbox, "sleep 60 & echo parent", limits=MANY)

    assert (end.how, end.stdout) == (EndKind.EXITED, b"parent\n")


async def test_two_jobs_at_once_end_apart(sandbox: Sandbox) -> None:
    programs(sandbox)
    long = asyncio.create_task(shell(sandbox, "sleep 1; echo lived", limits=MANY))
    short = await shell(
        sandbox, "for i in 1 2 3 4; do setsid sleep 60 & done; wait", limits=Limits(wall_seconds=0.4)
    )

    assert short.how is EndKind.TIMEOUT
    assert (await long).stdout == b"lived\n"


async def test_a_program_is_talked_to_until_it_is_stopped(sandbox: Sandbox) -> None:
    programs(sandbox)
    process = await sandbox.open(SandboxJob(argv=("/bin/cat",), limits=Limits(wall_seconds=math.inf)))

    await process.write(b"hello")
    assert await process.read() == b"hello"
    end = await process.stop()

    assert end.how is EndKind.STOPPED
    assert (await process.stop()).how is EndKind.STOPPED
    assert await process.read() == b""
    with pytest.raises(ToolFailed):
        await process.write(b"more")


async def test_what_a_program_says_last_is_still_read(sandbox: Sandbox) -> None:
    programs(sandbox)
    process = await sandbox.open(
        SandboxJob(argv=("/bin/sh", "-c", "read x; echo err >&2; echo last; exit 4"))
    )

    await process.write(b"\n")
    end = await process.end()
    said = [await process.read(), await process.read()]

    assert (end.how, end.code, end.stderr) == (EndKind.EXITED, 4, b"err\n")
    assert said == [b"last\n", b""]


async def test_a_program_that_is_not_read_waits_and_fills_no_memory(sandbox: Sandbox) -> None:
    programs(sandbox)
    process = await sandbox.open(
        SandboxJob(argv=("/bin/sh", "-c", "head -c 1000000 /dev/full; echo done >&2"))
    )
    read = 0
    while piece := await process.read():
        assert len(piece) <= 65_536
        read += len(piece)

    assert read == 1_000_000
    assert (await process.end()).stderr == b"done\n"


async def test_a_reader_that_waits_is_told_when_the_program_is_stopped(sandbox: Sandbox) -> None:
    programs(sandbox)
    process = await sandbox.open(SandboxJob(argv=("/bin/sleep", "60")))
    reading = asyncio.create_task(process.read())
    await asyncio.sleep(0)

    await process.stop()

    assert await reading == b""


async def test_directories_of_the_host_can_be_read_and_not_written(sandbox: Sandbox, open_path: Path) -> None:
    programs(sandbox)
    (open_path / "file").write_text("granted")
    command = f"cat {open_path}/file; echo x > {open_path}/new || echo refused"

    end = await shell(sandbox, command, mounts={str(open_path): str(open_path)})

    assert end.stdout == b"grantedrefused\n"
    assert os.listdir(open_path) == ["file"]  # noqa: PTH208 - not blocking


async def test_after_its_end_nothing_is_left_on_disk(open_path: Path) -> None:
    await need("")
    async with isolated(directory=str(open_path)) as sandbox:
        deep = (
            "import os\nfor i in range(3000):\n    os.mkdir('d', 0)\n"
            "    os.chmod('d', 0o700)\n    os.chdir('d')"
        )
        await python(sandbox, deep, limits=Limits(scratch_entries=10_000))
        await python(sandbox, "1")

    assert os.listdir(open_path) == []  # noqa: PTH208 - not blocking


async def test_none_runs_nothing() -> None:
    async with isolated("none") as sandbox:
        assert sandbox.level is SandboxLevel.NONE
        with pytest.raises(SandboxUnavailable):
            await python(sandbox, "print(1)")
