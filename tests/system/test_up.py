"""`aios up`: starts everything, says what is wrong, restarts what falls, stops cleanly."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

import aios
from launcher.plan import KernelPlan
from launcher.ports import free_base_port, is_free
from tests.fakes.fake_openai import FakeOpenAi
from tests.fakes.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@asynccontextmanager
async def aios_up(
    data_dir: Path, port: int, *more: str, level: str = "warning"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command; it is stopped at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "aios"),
        *("up", "--data-dir", str(data_dir), "--port", str(port), *more),
        env={**os.environ, "AIOS_LOG_LEVEL": level},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def aios_env(data_dir: Path, port: int, agent: str) -> dict[str, str]:
    """Run `aios env`."""
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "aios"), "env", agent, "--json"),
        env={**os.environ, "AIOS_ENDPOINT": f"127.0.0.1:{port}", "AIOS_DATA_DIR": str(data_dir)},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    found: dict[str, str] = json.loads(told)
    return found


async def aios_command(data_dir: Path, *words: str) -> tuple[int | None, str]:
    """Run a command for the kernel of a data directory; return its exit status and what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "aios"), *words),
        env={**os.environ, "AIOS_DATA_DIR": str(data_dir)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return process.returncode, told.decode()


async def models(variables: dict[str, str]) -> list[str]:
    """Ask for the models as an OpenAI client with these variables does."""
    key = {"Authorization": f"Bearer {variables['OPENAI_API_KEY']}"}
    async with (
        aiohttp.ClientSession(headers=key) as session,
        session.get(f"{variables['OPENAI_BASE_URL']}/models", raise_for_status=True) as response,
    ):
        return [each["id"] for each in (await response.json())["data"]]


async def read_until(process: asyncio.subprocess.Process, words: str) -> list[str]:
    """Read lines until one holds `words`."""
    if process.stdout is None:
        raise AssertionError("the process has a pipe")
    lines: list[str] = []
    async with asyncio.timeout(60):
        while not lines or words not in lines[-1]:
            line = (await process.stdout.readline()).decode()
            assert line, f"it ended without {words!r}: {lines}"
            lines.append(line)
    return lines


def leave_open(directory: Path) -> None:
    """Leave a directory as a start under the usual umask would have."""
    directory.chmod(0o755)
    for name in ("storage.db", "service.key"):
        (directory / name).write_text("" if name.endswith("db") else "k" * 32)
        (directory / name).chmod(0o644)


def modes(directory: Path) -> dict[str, int]:
    """Return the modes of a directory and of all in it, by name."""
    return {path.name: path.lstat().st_mode & 0o777 for path in (directory, *directory.rglob("*"))}


async def test_it_comes_up_and_stops_cleanly_leaving_no_process_and_no_port(tmp_path: Path) -> None:
    port = free_base_port(usual=False)
    plan = KernelPlan(data_dir=tmp_path, base_port=port)
    await asyncio.to_thread(leave_open, tmp_path)
    async with aios_up(tmp_path, port, level="info") as process:
        started = await read_until(process, "aios is up at")
        kept = await asyncio.to_thread(modes, tmp_path)
        assert "model AIOS demo model" in (await read_until(process, "model "))[-1]
        await read_until(process, "aios down")
        status, standing = await aios_command(tmp_path, "status", "--json")
        _, logged = await aios_command(tmp_path, "logs", "access", "--json")
        second, refused = await aios_command(tmp_path, "up", "--port", str(free_base_port(usual=False)))
        ended, _ = await aios_command(tmp_path, "down")
        async with asyncio.timeout(30):
            code = await process.wait()
        gone, _ = await aios_command(tmp_path, "status")

    told = json.loads(standing)
    assert (status, told["running"], told["lacking"]) == (0, True, {})
    assert set(told["kernel"]["pids"]) == {each.name for each in plan.processes()}
    assert told["kernel"]["pid"] == process.pid
    lines = [json.loads(line)["line"] for line in logged.splitlines()]
    assert any("Running upgrade" in str(line) for line in lines), "kept in the file"
    assert not any("Running upgrade" in line for line in started), "and not printed"
    assert (second, f"process {process.pid}" in refused) == (2, True)
    assert (ended, gone) == (0, 3)
    assert any("closed to them" in line for line in started)
    assert "access.db-wal" in kept
    assert {name: mode for name, mode in kept.items() if mode & 0o077} == {}
    assert code == 0
    assert all(is_free(each) for one in plan.processes() for each in one.ports)
    assert (tmp_path / "admin.token").stat().st_mode & 0o777 == 0o600


async def test_a_taken_port_is_named_with_its_holder_and_nothing_starts(tmp_path: Path) -> None:
    port = free_base_port(usual=False)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port + 1))
        holder.listen()
        async with aios_up(tmp_path, port) as process:
            output, _ = await process.communicate()

    assert process.returncode == 2
    text = output.decode()
    assert f"port {port + 1}" in text
    assert f"process {os.getpid()}" in text


async def test_an_attached_model_answers_also_when_it_comes_after_the_kernel(tmp_path: Path) -> None:
    port = free_base_port(usual=False)
    fake = FakeOpenAi()
    url = f"http://127.0.0.1:{free_base_port(usual=False)}"
    async with aios_up(tmp_path, port, "--openai", url) as process:
        lines = await read_until(process, "aios is up at")
        lines += await read_until(process, "no model")
        await fake.start(int(url.rpartition(":")[2]))
        try:
            lines += await read_until(process, "model fake-chat")
            async with aios.connect(
                f"127.0.0.1:{port}", (tmp_path / "admin.token").read_text().strip()
            ) as admin:
                agent = admin.as_agent(await admin.agents.register("planner"))
                answer = await agent.llm.chat("Say hello.", max_tokens=8)
            first, second = [await aios_env(tmp_path, port, "coder") for _ in range(2)]
            kept = tmp_path / "keys/local/coder.json"
            kept.write_text(json.dumps(json.loads(kept.read_text()) | {"keys": []}))
            after_a_loss = await aios_env(tmp_path, port, "coder")
            listed = await models(after_a_loss)
        finally:
            await fake.stop()

    assert answer.text.startswith("The quick brown fox")
    assert first == second
    assert first["OPENAI_BASE_URL"] == f"http://127.0.0.1:{port + 20}/v1"
    assert first["OPENAI_API_KEY"].startswith("aios_")
    assert after_a_loss["OPENAI_API_KEY"].startswith("aios_")
    assert after_a_loss != first
    assert "fake-chat" in listed
    assert "no model" in lines[0]
    assert not any(line.startswith("tgi-local") for line in lines)


async def test_a_killed_supervisor_leaves_no_process_behind(tmp_path: Path) -> None:
    port = free_base_port(usual=False)
    plan = KernelPlan(data_dir=tmp_path, base_port=port)
    async with aios_up(tmp_path, port) as process:
        await read_until(process, "aios is up at")
        process.kill()
        await process.wait()
        await until(lambda: all(is_free(each) for one in plan.processes() for each in one.ports), within=30)


async def test_a_process_that_cannot_start_as_configured_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_base_port(usual=False)
    monkeypatch.setenv("AIOS_SCHEDULER_POLICY", "nonsense")
    async with aios_up(tmp_path, port) as process:
        output, _ = await process.communicate()

    assert process.returncode == 2
    text = output.decode()
    assert text.count("AIOS_SCHEDULER_POLICY: unknown policy 'nonsense'; known: adaptive, edf") == 1
    assert "starting it again" not in text
    assert "Traceback" not in text
