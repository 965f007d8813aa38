"""What a job takes is seen from outside, also where it hides it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from services.chassis.isolation import nameless, processes
from services.chassis.isolation.scratch import TooMuchError

MIB: Final = 1 << 20
_FIRST_THREAD_ENDS: Final = """
import ctypes, threading, time
held = b"x" * (48 << 20)
opened = open("gone", "wb")
opened.write(b"x" * (1 << 20))
opened.flush()
import os
os.unlink("gone")
def wait():
    while open("/proc/self/stat").read().rpartition(")")[2].split()[0] != "Z": time.sleep(0.001)
    print("ready", flush=True)
    time.sleep(60)
threading.Thread(target=wait).start()
ctypes.CDLL(None).pthread_exit(None)
"""
_MAPS_WITHOUT_NAMES: Final = """
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
for _ in range(3):
    with open("gone", "wb+") as file:
        file.write(b"x" * 8192)
        file.flush()
        libc.mmap(None, 4096, 1, 2, file.fileno(), 0)
    os.unlink("gone")
print("ready", flush=True)
time.sleep(60)
"""


@contextmanager
def running(source: str, directory: Path) -> Iterator[int]:
    """Run a piece of Python until it says that it is ready, and yield its process."""
    argv = [sys.executable, "-I", "-S", "-c", source]
    with subprocess.Popen(argv, cwd=directory, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


def test_a_process_whose_first_thread_has_ended_still_counts(tmp_path: Path) -> None:
    with running(_FIRST_THREAD_ENDS, tmp_path) as pid:
        seen = processes.taken(processes.table(), {pid})
        held = nameless.measure([pid], tmp_path, most_bytes=MIB)

    assert seen.processes == 1
    assert seen.memory_bytes > 48 * MIB
    assert held >= MIB


def test_files_that_are_only_mapped_and_have_no_name_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(_MAPS_WITHOUT_NAMES, tmp_path) as pid:
        held = nameless.measure([pid], tmp_path, most_bytes=8 * MIB)
        elsewhere = nameless.measure([pid], tmp_path / "..", most_bytes=8 * MIB)
        monkeypatch.setattr(nameless, "MOST_MAPS", 100)
        with pytest.raises(TooMuchError):
            nameless.measure([pid], tmp_path, most_bytes=8 * MIB)

    assert held == 3 * 2 * MIB
    assert elsewhere == 0


def test_what_has_ended_holds_nothing(tmp_path: Path) -> None:
    with running(_MAPS_WITHOUT_NAMES, tmp_path) as pid:
        pass

    assert nameless.measure([pid], tmp_path, most_bytes=MIB) == 0
    assert processes.threads(pid) == []


def test_processes_that_nobody_waits_for_count_as_processes_and_take_nothing_else() -> None:
    row = processes.Row(parent=1, uid=1, zombie=False, memory_bytes=5, cpu_seconds=1.0, threads=1)
    rows = {2: row, 3: replace(row, zombie=True), 4: replace(row, zombie=True)}

    assert processes.taken(rows, {2, 3, 4, 5}) == processes.Taken(3, 5, 1.0)
