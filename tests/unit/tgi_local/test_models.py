"""Where a model comes from, with a hub that runs inside the test."""

import asyncio
import hashlib
import os
import sys
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from services.tgi_local.adapters.model_files import ModelError, fingerprint, locate

CONTENT = b"GGUF" + b"weights" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
FETCH = "import sys; from services.tgi_local.adapters.model_files import locate; print(locate(sys.argv[1]))"


@dataclass
class FakeHub:
    """Serves one big file as the Hugging Face hub does; `sent` is what it really sends."""

    sent: bytes = CONTENT
    port: int = 0
    gets: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/owner/repo/resolve/main/sub/model.gguf", self._file)
        return app

    async def _file(self, request: web.Request) -> web.Response:
        headers = {"ETag": f'"{SHA}"', "X-Repo-Commit": "c" * 40, "X-Linked-ETag": f'"{SHA}"'}
        headers["X-Linked-Size"] = str(len(self.sent))
        if request.method == "GET":
            self.gets.append(request.path)
        return web.Response(body=self.sent, headers=headers)


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    fake = FakeHub()
    runner = web.AppRunner(fake.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.port = runner.addresses[0][1]
    yield fake
    await runner.cleanup()


def environment(hub: FakeHub, home: Path) -> dict[str, str]:
    return os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.port}",
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
    }


async def fetch(hub: FakeHub, home: Path, model: str, **environ: str) -> tuple[int, str, str]:
    """Locate a model in a process of its own: the hub's client reads its address once, when imported."""
    given = environment(hub, home) | environ
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FETCH,
        model,
        env=given,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode or 0, out.decode().strip(), err.decode()


def read_terminal(terminal: int) -> bytes:
    """Read what was written to a terminal nobody writes to any more."""
    seen = b""
    try:
        while part := os.read(terminal, 65536):
            seen += part
    except OSError:  # how Linux says that the other end is closed
        return seen
    return seen


async def test_a_person_at_a_terminal_sees_the_progress(hub: FakeHub, tmp_path: Path) -> None:
    terminal, end = os.openpty()
    termios.tcsetwinsize(end, (24, 100))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        FETCH,
        "hf:owner/repo/sub/model.gguf",
        env=environment(hub, tmp_path),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=end,
    )
    os.close(end)
    await asyncio.wait_for(process.wait(), 50)
    seen = await asyncio.to_thread(read_terminal, terminal)
    os.close(terminal)

    assert b"model.gguf" in seen
    assert b"100%" in seen


async def test_a_model_is_fetched_once_and_then_cached(hub: FakeHub, tmp_path: Path) -> None:
    first = await fetch(hub, tmp_path, "hf:owner/repo/sub/model.gguf")
    second = await fetch(hub, tmp_path, "hf:owner/repo/sub/model.gguf")

    assert await asyncio.to_thread(Path(first[1]).read_bytes) == CONTENT
    assert second[1] == first[1]
    assert len(hub.gets) == 1


async def test_a_cached_model_needs_no_network(hub: FakeHub, tmp_path: Path) -> None:
    first = await fetch(hub, tmp_path, "hf:owner/repo/sub/model.gguf")
    offline = await fetch(hub, tmp_path, "hf:owner/repo/sub/model.gguf", HF_HUB_OFFLINE="1")

    assert offline[:2] == (0, first[1])


async def test_a_damaged_download_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    hub.sent = CONTENT[:-1] + b"X"
    status, _, problem = await fetch(hub, tmp_path, "hf:owner/repo/sub/model.gguf")

    assert status != 0
    assert "is damaged; delete it to fetch it again" in problem


async def test_an_unknown_model_is_refused_with_its_name(hub: FakeHub, tmp_path: Path) -> None:
    status, _, problem = await fetch(hub, tmp_path, "hf:owner/other/model.gguf")

    assert status != 0
    assert "ModelError: AIOS_MODEL=hf:owner/other/model.gguf" in problem


@pytest.mark.parametrize("model", ["hf:owner", "hf:owner/repo", "hf:/repo/file", "hf:"])
def test_a_hub_name_needs_owner_repository_and_file(model: str) -> None:
    with pytest.raises(ModelError, match="expected hf:<owner>/<repository>/<file>"):
        locate(model)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(CONTENT)

    assert locate(str(path)) == path
    with pytest.raises(ModelError, match="there is no file"):
        locate(str(tmp_path / "other.gguf"))


def test_the_fingerprint_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path, memory = tmp_path / "m.gguf", tmp_path / "models.json"
    path.write_bytes(CONTENT)
    first = fingerprint(path, memory)
    remembered = memory.read_bytes().replace(first.encode(), b"remembered")
    memory.write_bytes(remembered)
    second = fingerprint(path, memory)
    path.write_bytes(CONTENT + b"more")

    assert first == SHA
    assert second == "remembered"
    assert fingerprint(path, memory) == hashlib.sha256(CONTENT + b"more").hexdigest()


def test_a_damaged_memory_is_started_anew(tmp_path: Path) -> None:
    path, memory = tmp_path / "m.gguf", tmp_path / "models.json"
    path.write_bytes(CONTENT)
    memory.write_bytes(b"{")

    assert fingerprint(path, memory) == SHA
