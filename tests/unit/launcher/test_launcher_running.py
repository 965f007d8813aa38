"""The lock of a running kernel, and the log files of its processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aios.cli import main as cli
from launcher.logs import Follower, LogFiles, kept, last, read
from launcher.running import LOCK_FILE, AlreadyRuns, KernelLock, RunningKernel, end, running

HOLDER = """
import signal, sys
from pathlib import Path
from launcher.running import KernelLock, RunningKernel
lock = KernelLock(Path(sys.argv[1]))
lock.claim()
import os
lock.tell(RunningKernel(pid=os.getpid(), gateway="127.0.0.1:1", door="http://d", started=1.0))
print("held", flush=True)
signal.pause()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def told(pid: int, gateway: str = "127.0.0.1:7070") -> RunningKernel:
    return RunningKernel(pid=pid, gateway=gateway, door="http://127.0.0.1:7090", started=1.0)


def test_what_runs_is_told_to_others_and_a_second_kernel_is_refused(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert running(tmp_path) == RunningKernel(
        pid=holder.pid, gateway="127.0.0.1:1", door="http://d", started=1.0
    )
    with pytest.raises(AlreadyRuns, match=f"127.0.0.1:1, process {holder.pid}; end it with `aios down`"):
        KernelLock(tmp_path).claim()


def test_a_kernel_that_was_killed_leaves_nothing_that_passes_for_one_that_runs(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    holder.kill()
    holder.wait()

    assert (tmp_path / LOCK_FILE).exists()
    assert running(tmp_path) is None
    lock = KernelLock(tmp_path)
    lock.claim()
    lock.release()


def test_a_kernel_is_ended_by_a_signal_to_the_holder_of_the_lock(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    found = running(tmp_path)
    assert found is not None

    assert end(tmp_path, found, seconds=30.0)
    assert holder.wait() == -signal.SIGTERM


def test_a_process_that_does_not_hold_the_lock_gets_no_signal(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        assert end(tmp_path, told(bystander.pid), seconds=0.0)
        assert bystander.poll() is None
        bystander.kill()
    assert holder.poll() is None


def test_a_shorter_word_leaves_no_end_of_a_longer_one(tmp_path: Path) -> None:
    lock = KernelLock(tmp_path)
    lock.claim()
    lock.tell(told(1, "x" * 200))
    lock.tell(told(2))

    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == 2
    lock.release()


def event(time: str, text: str, level: str = "info", logger: str = "x") -> str:
    line = {"time": f"2026-01-01T00:00:{time}+00:00", "level": level, "event": text, "logger": logger, "n": 1}
    return json.dumps(line)


def write(data_dir: Path, **lines: list[str]) -> dict[str, Path]:
    files = LogFiles(data_dir, list(lines))
    for process, texts in lines.items():
        for text in texts:
            files.write(process, text)
    files.close()
    return kept(data_dir)


def test_the_lines_of_all_processes_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    files = write(
        tmp_path,
        gateway=[event("01", "a"), event("04", "d")],
        tool=[event("02", "b"), "Traceback", event("05", "e", "error")],
    )

    assert [line.told.get("event", line.text) for line in last(files, 9, "info")] == [
        *("a", "b", "Traceback"),
        *("d", "e"),
    ]
    assert [line.told.get("event") for line in last(files, 1, "info")] == ["e"]
    assert [line.told.get("event", line.text) for line in last(files, 9, "warning")] == ["Traceback", "e"]
    assert last(files, 0, "info") == []


def test_a_follower_sees_what_comes_also_in_a_file_that_was_begun_anew(tmp_path: Path) -> None:
    files = write(tmp_path, gateway=[event("01", "old")])
    follower = Follower(files)
    path = files["gateway"]
    assert list(follower.new()) == []

    with path.open("a") as stream:
        stream.write('{"event": "ha')
        stream.flush()
        assert list(follower.new()) == []
        stream.write('lf"}\n')
    assert [line.told["event"] for line in follower.new()] == ["half"]

    with path.open("a") as stream:
        stream.write(event("02", "last of the old") + "\n")
    path.rename(path.with_name("gateway.log.1"))
    path.write_text(event("03", "first of the new") + "\n")
    assert [line.told["event"] for line in follower.new()] == ["last of the old", "first of the new"]
    follower.close()


def test_log_files_do_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.logs.MOST_BYTES", 2_000)
    write(tmp_path, gateway=[event("01", "x" * 100)] * 100)

    sizes = [path.stat().st_size for path in (tmp_path / "logs").iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= 2_000


def test_steps_of_migrations_are_routine_and_what_is_no_event_is_not() -> None:
    assert read("memory", event("01", "Running upgrade", logger="alembic.runtime.migration")).is_routine
    assert not read("memory", event("01", "x", "error", "alembic.runtime.migration")).is_routine
    assert not read("memory", "Traceback").is_routine
    assert read("memory", event("01", "swapped")).shown().endswith("info    swapped n=1")
    assert read("memory", "{no json").shown() == "{no json"


def invoke(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code if isinstance(ended.value.code, int) else 0


def test_the_commands_say_that_nothing_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOS_DATA_DIR", str(tmp_path))

    assert invoke("status") == 3
    assert invoke("down") == 0
    assert invoke("logs") == 1
    told = "".join(capsys.readouterr())
    assert told.count("`aios up`") == 2
    assert list(tmp_path.iterdir()) == []


def test_logs_are_shown_by_process_and_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOS_DATA_DIR", str(tmp_path))
    write(tmp_path, gateway=[event("01", "hostile\x1b[2J")], tool=[event("02", "b", "error")])

    assert invoke("logs", "--json") == 0
    assert [json.loads(line)["process"] for line in capsys.readouterr().out.splitlines()] == [
        "gateway",
        "tool",
    ]
    assert invoke("logs", "gateway") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("gateway |")
    assert "\x1b" not in shown
    assert invoke("logs", "--level", "error") == 0
    assert "gateway" not in capsys.readouterr().out
    assert invoke("logs", "nobody") == 2
    assert invoke("logs", "--level", "loud") == 2
