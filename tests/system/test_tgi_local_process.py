"""tgi-local as a process: start, refuse to start, drain, stop, keep secrets out of its log."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.inference.backends.tgi.client import PooledAsyncClient, TokenEvent
from tests.fakes.gguf_model import write_random_model

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "random.gguf")


class Process:
    """A running tgi-local and its log lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    async def line(self) -> dict[str, Any]:
        """Read the next log line."""
        assert self.process.stderr is not None
        raw = await asyncio.wait_for(self.process.stderr.readline(), 20)
        entry: dict[str, Any] = orjson.loads(raw)
        self.lines.append(entry)
        return entry

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and return its exit status."""
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 20)


@contextlib.asynccontextmanager
async def started(model: Path, data: Path, **settings: str) -> AsyncIterator[Process]:
    environ = os.environ | {
        "AIOS_MODEL": str(model),
        "AIOS_TGI_LOCAL_PORT": "0",
        "AIOS_TGI_LOCAL_CTX": "512",
        "AIOS_TGI_LOCAL_DATA_DIR": str(data),
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.tgi_local", env=environ, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[PooledAsyncClient]:
    client = PooledAsyncClient(f"http://127.0.0.1:{port}")
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_and_stops_cleanly(model: Path, tmp_path: Path, number: signal.Signals) -> None:
    async with started(model, tmp_path / "data") as process:
        listening = await process.line()
        async with connected(listening["port"]) as client:
            answer = await client.generate("the secret word is swordfish", max_new_tokens=4)
        status = await process.stop(number)
        assert process.process.stderr is not None
        rest = await process.process.stderr.read()

    assert answer.generated_tokens == 4
    assert status == 0
    assert listening["event"] == "listening"
    assert b"swordfish" not in rest
    assert await asyncio.to_thread(lambda: list((tmp_path / "data").glob("engine-*"))) == []


async def test_running_streams_finish_before_it_stops(model: Path, tmp_path: Path) -> None:
    async with started(model, tmp_path / "data") as process:
        port = (await process.line())["port"]
        async with connected(port) as client:
            stream = client.generate_stream("hello", max_new_tokens=400, temperature=1.0, seed=3)
            events = [await anext(stream)]
            process.process.send_signal(signal.SIGTERM)
            events += [event async for event in stream]
        status = await asyncio.wait_for(process.process.wait(), 20)

    last = events[-1]
    assert isinstance(last, TokenEvent)
    assert last.generated_text is not None
    assert status == 0


async def test_a_busy_port_is_named(model: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with started(model, tmp_path / "data", AIOS_TGI_LOCAL_PORT=str(port)) as process:
            problem = (await process.line())["problem"]
            status = await asyncio.wait_for(process.process.wait(), 20)

    assert problem == f"port {port} on 127.0.0.1 is already in use"
    assert status == 2


async def test_every_wrong_setting_is_told(model: Path, tmp_path: Path) -> None:
    wrong = {"AIOS_TGI_LOCAL_SLOTS": "-1", "AIOS_TGI_LOCAL_THREADS": "x", "AIOS_TGI_LOCAL_SLOT": "1"}
    async with started(model, tmp_path / "data", **wrong) as process:
        problems = [(await process.line())["problem"] for _ in wrong]
        status = await asyncio.wait_for(process.process.wait(), 20)

    assert status == 2
    assert {problem.partition(":")[0].partition("=")[0] for problem in problems} == set(wrong)


@pytest.mark.parametrize(
    ("content", "expected"), [(None, "there is no file"), (b"not a model", "not a GGUF file")]
)
async def test_a_model_that_cannot_be_loaded_is_told(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        await asyncio.to_thread(path.write_bytes, content)
    async with started(path, tmp_path / "data") as process:
        problem = (await process.line())["problem"]
        status = await asyncio.wait_for(process.process.wait(), 20)

    assert expected in problem
    assert status == 2


async def test_a_data_directory_belongs_to_one_process(model: Path, tmp_path: Path) -> None:
    async with started(model, tmp_path / "data") as first, started(model, tmp_path / "data") as second:
        lines = [await first.line(), await second.line()]

    problems = [line["problem"] for line in lines if "problem" in line]
    assert problems == [f"data directory {tmp_path / 'data'} is in use by another tgi-local"]


async def test_a_killed_process_leaves_nothing_in_the_way(model: Path, short_path: Path) -> None:
    async with started(model, short_path / "data") as process:
        await process.line()
        await process.stop(signal.SIGKILL)
    async with started(model, short_path / "data") as process:
        port = (await process.line())["port"]
        async with connected(port) as client:
            assert await client.health()
        sockets = await asyncio.to_thread(lambda: list((short_path / "data").glob("engine-*")))

    assert len(sockets) == 1
