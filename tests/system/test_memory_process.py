"""The memory process: starts, and loses nothing it acknowledged when it is killed."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import grpc
import pytest

from aios.api.memory.v1 import memory_pb2 as pb
from aios.api.memory.v1 import memory_pb2_grpc
from services.chassis.rpc import client
from tests.fakes import tokens
from tests.fakes.open_process import REPOSITORY, start_open

pytestmark = pytest.mark.system

ME = tokens.metadata("planner")


class Writer:
    """Writes one note again and again, and remembers the last content that was acknowledged."""

    def __init__(self, number: int) -> None:
        self.name = f"agents/me/notes/n{number}"
        self.count = 0
        self.acknowledged = 0

    async def run(self, stub: Any) -> None:
        """Write until the server is gone; first repeat what nobody answered."""
        while True:
            if self.count == self.acknowledged:
                self.count += 1
            note = pb.Note(name=self.name, content=f"{self.count} " * 50)
            request = pb.PutNoteRequest(note=note, request_id=f"{self.name[-2:]}-{self.count}")
            try:
                await stub.PutNote(request, metadata=ME, timeout=10)
            except grpc.aio.AioRpcError:
                return
            self.acknowledged = self.count


async def test_what_was_acknowledged_survives_kill_9_and_is_written_once(tmp_path: Path) -> None:
    writers = [Writer(number) for number in range(6)]
    for wanted in (100, 200):
        process, port = await start_open("memory", tmp_path, AIOS_MEMORY_BLOCK_BYTES="500")
        async with client.channel(f"127.0.0.1:{port}") as channel:
            stub = memory_pb2_grpc.MemoryServiceStub(channel)
            tasks = [asyncio.create_task(each.run(stub)) for each in writers]
            async with asyncio.timeout(40):
                while sum(each.acknowledged for each in writers) < wanted:  # noqa: ASYNC110 - any of six tasks
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            await asyncio.gather(*tasks)
        await process.wait()
    process, port = await start_open("memory", tmp_path)
    found = {}
    async with client.channel(f"127.0.0.1:{port}") as channel:
        stub = memory_pb2_grpc.MemoryServiceStub(channel)
        for each in writers:
            response = await stub.GetNote(pb.GetNoteRequest(name=each.name), metadata=ME)
            found[each.name] = (
                int(response.note.content.split()[0]),
                int(response.note.etag.rpartition("-")[2]),
            )
    process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(process.wait(), 20)

    for each in writers:
        content, revision = found[each.name]
        assert content in {each.acknowledged, each.count}  # the last one may have been written unanswered
        assert revision == content
    assert code == 0


async def test_the_memory_process_explains_its_variables() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.memory", "--help-config", cwd=REPOSITORY, stdout=PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 0
    assert "AIOS_MEMORY_QUOTA_NOTE_BYTES" in output.decode()
