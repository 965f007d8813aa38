"""The storage process: starts, and loses nothing it acknowledged when it is killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import grpc
import pytest

from aios.api.storage.v1 import storage_pb2 as pb
from aios.api.storage.v1 import storage_pb2_grpc
from services.chassis.rpc import client
from tests.fakes import tokens

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]
ME = tokens.metadata("planner")
PROGRAM = """
from services.chassis.auth.identity import Kind, Principal
from services.chassis.runtime.process import run
from services.storage.main import assemble
from tests.fakes.access import AllowAll

class Anybody:
    async def authenticate(self, token):
        return Principal("planner", "acme", Kind.AGENT)

async def without_access(process):
    app = await assemble(process)
    app.authenticator, app.authorizer = Anybody(), AllowAll()
    return app

raise SystemExit(run("storage", without_access))
"""


async def start(directory: Path) -> tuple[Process, int]:
    """Start storage on a data directory and return it with its port."""
    (directory / "service-keys").mkdir(exist_ok=True)
    (directory / "service-keys" / "storage.key").write_text("key")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AIOS_")}
    environ |= {
        "AIOS_DATA_DIR": str(directory),
        "AIOS_STORAGE_PORT": "0",
        "AIOS_LOG_FORMAT": "json",
        "AIOS_ACCESS_ENDPOINT": "127.0.0.1:1",
    }
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, env=environ, cwd=REPOSITORY, stderr=log
        )
    async with asyncio.timeout(30):
        while True:
            lines = (await asyncio.to_thread((directory / "log").read_bytes)).splitlines()
            ready = [json.loads(line) for line in lines if b'"ready"' in line]
            if ready:
                return process, int(ready[0]["port"])
            assert process.returncode is None
            await asyncio.sleep(0.05)


class Client:
    """Writes files of its own for ever and remembers what was acknowledged."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.acknowledged: dict[str, bytes] = {}
        self.unsure: tuple[str, bytes] | None = None
        self.count = 0

    def next(self) -> tuple[str, bytes]:
        self.count += 1
        size = 60_000 if self.count % 3 == 0 else 20
        return f"c{self.number}/f{self.count}", f"{self.number}-{self.count}-".encode() * size

    async def run(self, stub: Any) -> None:
        """Write until the server is gone; first repeat what nobody answered."""
        while True:
            self.unsure = self.unsure or self.next()
            path, content = self.unsure
            request = pb.WriteFileRequest(
                name=f"agents/me/files/{path}", content=content, request_id=path.replace("/", "-")
            )
            try:
                await stub.WriteFile(request, metadata=ME, timeout=10)
            except grpc.aio.AioRpcError:
                return
            self.acknowledged[path] = content
            self.unsure = None


async def content_of(stub: Any, path: str) -> tuple[int, bytes]:
    """Return the version and the bytes of a file."""
    request = pb.ReadFileRequest(name=f"agents/me/files/{path}")
    events = [event async for event in stub.ReadFile(request, metadata=ME)]
    return events[0].file.version, b"".join(event.data for event in events[1:])


async def test_what_was_acknowledged_survives_kill_9_once_and_whole(tmp_path: Path) -> None:
    clients = [Client(number) for number in range(6)]
    for wanted in (60, 120):
        process, port = await start(tmp_path)
        async with client.channel(f"127.0.0.1:{port}") as channel:
            stub = storage_pb2_grpc.StorageServiceStub(channel)
            tasks = [asyncio.create_task(each.run(stub)) for each in clients]
            async with asyncio.timeout(40):
                while sum(len(each.acknowledged) for each in clients) < wanted:  # noqa: ASYNC110 - any of six tasks
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            await asyncio.gather(*tasks)
        await process.wait()
    process, port = await start(tmp_path)
    async with client.channel(f"127.0.0.1:{port}") as channel:
        stub = storage_pb2_grpc.StorageServiceStub(channel)
        found = {path: await content_of(stub, path) for each in clients for path in each.acknowledged}
    process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(process.wait(), 20)

    expected = {path: (1, content) for each in clients for path, content in each.acknowledged.items()}
    assert len(expected) >= 120
    assert found == expected
    assert code == 0


async def test_the_process_explains_its_variables() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.storage", "--help-config", cwd=REPOSITORY, stdout=PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 0
    assert "AIOS_STORAGE_QUOTA_BYTES" in output.decode()
