"""The context process: starts, and no snapshot goes back when it is killed."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import grpc
import pytest

from aios.api.context.v1 import context_pb2 as pb
from aios.api.context.v1 import context_pb2_grpc, resources_pb2
from services.chassis.rpc import client
from tests.fakes import tokens
from tests.fakes.open_process import REPOSITORY, start_open

pytestmark = pytest.mark.system

ME = tokens.metadata("planner")


class Generation:
    """A generation that is saved a token at a time."""

    def __init__(self, number: int) -> None:
        self.name = f"agents/me/generations/g{number}"
        self.acknowledged = 0

    async def run(self, stub: Any) -> None:
        """Save until the server is gone; a repeat begins after what was acknowledged."""
        while True:
            sequence = self.acknowledged + 1
            snapshot = resources_pb2.Snapshot(
                name=self.name,
                model="demo",
                prompt_text="x" * 2000,
                emitted_token_ids=[sequence],
                emitted_text=f"{sequence} ",
                sequence=sequence,
            )
            request = pb.SaveSnapshotRequest(snapshot=snapshot, after_sequence=self.acknowledged)
            try:
                response = await stub.SaveSnapshot(request, metadata=ME, timeout=10)
            except grpc.aio.AioRpcError:
                return
            self.acknowledged = response.sequence


async def test_an_acknowledged_snapshot_survives_kill_9_whole(tmp_path: Path) -> None:
    generations = [Generation(number) for number in range(6)]
    for wanted in (300, 600):
        process, port = await start_open("context", tmp_path)
        async with client.channel(f"127.0.0.1:{port}") as channel:
            stub = context_pb2_grpc.ContextServiceStub(channel)
            tasks = [asyncio.create_task(each.run(stub)) for each in generations]
            async with asyncio.timeout(40):
                while sum(each.acknowledged for each in generations) < wanted:  # noqa: ASYNC110 - any of six tasks
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            await asyncio.gather(*tasks)
        await process.wait()
    process, port = await start_open("context", tmp_path)
    found = {}
    async with client.channel(f"127.0.0.1:{port}") as channel:
        stub = context_pb2_grpc.ContextServiceStub(channel)
        for each in generations:
            response = await stub.LoadSnapshot(pb.LoadSnapshotRequest(name=each.name), metadata=ME)
            found[each.name] = response.snapshot
    process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(process.wait(), 20)

    for each in generations:
        snapshot = found[each.name]
        assert snapshot.sequence - each.acknowledged in {0, 1}  # the last one may have been saved unanswered
        assert list(snapshot.emitted_token_ids) == list(range(1, snapshot.sequence + 1))
        assert snapshot.emitted_text.split() == [str(n) for n in range(1, snapshot.sequence + 1)]
    assert code == 0


async def test_the_context_process_explains_its_variables() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.context", "--help-config", cwd=REPOSITORY, stdout=PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 0
    assert "AIOS_CONTEXT_QUOTA_SNAPSHOTS" in output.decode()
