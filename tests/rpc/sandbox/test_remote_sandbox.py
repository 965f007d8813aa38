"""The tool manager's side of a sandbox that is a process of its own, and that process's, over real gRPC."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from aios.api.sandbox.v1 import sandbox_pb2
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.sandbox.terms import EndKind, Limits, SandboxJob, SandboxLevel
from services.tool.errors import SandboxLost, SandboxUnavailable, ToolBusy, ToolFailed
from services.tool.wire import sandboxing
from tests.fakes.rpc import reason
from tests.fakes.sandbox import KEY, Runner, job, runner
from tests.fakes.waiting import until

METADATA = (("authorization", f"Bearer {KEY}"),)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Runner]:
    async with runner(tmp_path) as made:
        yield made


async def test_a_job_gets_what_it_is_given_and_its_end_comes_back_whole(world: Runner) -> None:
    heard: list[tuple[str, bytes]] = []
    given = SandboxJob(
        argv=(),
        python="print(1)" * 50_000,
        stdin=b"in" * 20_000,
        files={"a/b.txt": b"f" * 600_000, "empty": b"", "\udcff": b"no utf-8"},
        want_files=True,
        environment={"A": "B"},
        limits=Limits(memory_bytes=7, wall_seconds=8.5, answer_bytes=10**7, processes=3),
    )

    end = await world.remote.run(given, lambda stream, data: heard.append((stream, data)))

    assert world.sandbox.jobs == [given]
    assert (end.how, end.code, end.answer, end.files) == (
        EndKind.EXITED,
        3,
        given.python.encode(),
        given.files,
    )
    assert (end.stdout, end.stderr, end.removed) == (given.stdin, b"two", ("a/b.txt",))
    assert (end.memory_bytes, end.cpu_seconds) == (1234, 0.5)
    assert heard == [("stdout", b"one"), ("stderr", b"two")]
    assert world.meter.ends == [EndKind.EXITED]


async def test_it_tells_what_isolates_and_what_is_wrong(world: Runner) -> None:
    assert (world.remote.level, world.remote.problem) == (SandboxLevel.LANDLOCK, "")

    world.sandbox.problem = "the self-test was not refused socket()"
    await world.remote.look()

    assert "socket()" in world.remote.problem
    with pytest.raises(SandboxUnavailable):
        await world.remote.run(job("echo"))
    assert world.sandbox.jobs == []


async def test_a_job_that_is_cancelled_has_ended_when_the_cancellation_has(world: Runner) -> None:
    task = asyncio.create_task(world.remote.run(job("hang")))
    await until(lambda: bool(world.sandbox.running))

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert world.sandbox.running == []
    assert world.meter.cuts == 0


async def test_a_stream_that_is_cut_ends_its_job(world: Runner) -> None:
    call: Any = world.stub.Run(metadata=METADATA)
    await started(call, job("hang"))
    await until(lambda: bool(world.sandbox.running))

    call.cancel()

    await until(lambda: not world.sandbox.running)
    await until(lambda: world.meter.cuts == 1)


async def test_a_caller_that_says_no_more_loses_its_job(world: Runner) -> None:
    call: Any = world.stub.Run(metadata=METADATA)
    await started(call, job("hang"))
    await until(lambda: bool(world.sandbox.running))

    await call.done_writing()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert reason(caught.value) == "CANCELLED"
    assert world.sandbox.running == []


async def test_a_caller_of_whom_nothing_is_heard_loses_its_job(tmp_path: Path) -> None:
    async with runner(tmp_path, silent_seconds=0.2) as world:
        call: Any = world.stub.Run(metadata=METADATA)
        await started(call, job("hang"))

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert world.sandbox.running == []


async def test_a_sandbox_that_is_lost_while_a_program_runs_leaves_an_unknown_outcome(world: Runner) -> None:
    task = asyncio.create_task(world.remote.run(job("hang")))
    await until(lambda: bool(world.sandbox.running))

    await world.server.stop(grace=0)

    with pytest.raises(SandboxLost) as caught:
        await task
    assert caught.value.reason == "UNKNOWN_OUTCOME"
    assert world.sandbox.running == []


async def test_what_had_not_begun_when_the_sandbox_was_lost_may_be_sent_again(tmp_path: Path) -> None:
    async with runner(tmp_path, jobs=1) as world:
        first = asyncio.create_task(world.remote.run(job("hang")))
        await until(lambda: bool(world.sandbox.running))
        second = asyncio.create_task(world.remote.run(job("echo")))
        await until(lambda: world.deps.jobs.places.waiting == 1)

        world.deps.draining.set()  # as a process does when it is told to stop
        with pytest.raises(SandboxUnavailable) as caught:
            await second
        await world.server.stop(grace=0)
        with pytest.raises(SandboxLost):
            await first

        assert caught.value.retry_after == 1.0
        await world.remote.look()
        assert "does not answer" in world.remote.problem
        with pytest.raises(SandboxUnavailable) as later:
            await world.remote.run(job("echo"))
        assert later.value.retry_after is not None
        assert len(world.sandbox.jobs) == 1


async def test_jobs_beyond_the_places_wait_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    async with runner(tmp_path, jobs=1) as world:
        blocker = asyncio.create_task(world.remote.run(job("hang")))
        await until(lambda: bool(world.sandbox.running))
        queued = []
        for number in range(4):
            queued.append(asyncio.create_task(world.remote.run(job("echo", stdin=b"%d" % number))))
            await until(partial(waiting, world, number + 1))

        blocker.cancel()
        await asyncio.gather(*queued)

        assert [each.stdin for each in world.sandbox.jobs[1:]] == [b"0", b"1", b"2", b"3"]


async def test_a_job_that_gets_no_place_in_time_is_refused_and_has_not_run(tmp_path: Path) -> None:
    async with runner(tmp_path, jobs=1, seconds=0.05, waiting=1) as world:
        blocker = asyncio.create_task(world.remote.run(job("hang")))
        await until(lambda: bool(world.sandbox.running))

        with pytest.raises(ToolBusy) as caught:
            await world.remote.run(job("echo"))

        assert caught.value.retry_after is not None
        assert len(world.sandbox.jobs) == 1
        blocker.cancel()


async def test_a_job_that_needs_more_than_there_is_is_refused_for_good(tmp_path: Path) -> None:
    async with runner(tmp_path, memory_bytes=10**9) as world:
        with pytest.raises(SandboxUnavailable) as caught:
            await world.remote.run(job("echo", limits=Limits(memory_bytes=10**9, scratch_bytes=1)))

        assert caught.value.retry_after is None


async def test_a_program_that_floods_is_heard_in_part_and_holds_no_memory(world: Runner) -> None:
    heard: list[int] = []

    end = await world.remote.run(job("flood"), lambda _stream, data: heard.append(len(data)))

    assert (end.how, end.truncated, len(end.stdout)) == (EndKind.OUTPUT, True, 65536)
    assert 0 < sum(heard) < 4 * 1024 * 1024


@pytest.mark.parametrize("behaviour", ["huge", "outside"])
async def test_a_sandbox_that_sends_more_than_a_job_may_leave_is_not_believed(
    world: Runner, behaviour: str
) -> None:
    """Who breaks out of a sandbox may speak for it."""
    with pytest.raises(SandboxLost):
        await world.remote.run(job(behaviour, want_files=True))


@pytest.mark.parametrize(
    "fields",
    [
        {"files": {"../up": b""}},
        {"files": {"/etc/passwd": b""}},
        {"files": {"a//b": b""}},
        {"files": {"": b""}},
        {"files": {"big": b"x" * 11}, "limits": Limits(scratch_bytes=10)},
        {"files": {"a": b"", "b": b""}, "limits": Limits(scratch_entries=1)},
        {"stdin": b"x" * (16 * 1024 * 1024 + 1)},
        {"python": "and a program"},
        {"mounts": {"up/../there": "/opt/tools/x"}},
    ],
)
async def test_a_job_that_cannot_be_one_is_refused_and_has_not_run(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    async with runner(tmp_path, offered=("/opt/tools",)) as world:
        with pytest.raises(InvalidRequest):
            await world.remote.run(job("echo", **fields))

        assert world.sandbox.jobs == []


async def test_a_directory_that_is_offered_is_given(tmp_path: Path) -> None:
    async with runner(tmp_path, offered=("/opt/tools",), network=True) as world:
        given = job("echo", mounts={"/x": "/opt/tools/y"}, limits=Limits(network=True))
        await world.remote.run(given)
        with pytest.raises(SandboxUnavailable):
            await world.remote.run(job("echo", mounts={"/x": "/opt/tools/../../etc"}))

        assert world.sandbox.jobs == [given]


async def test_a_program_that_is_refused_a_layer_has_not_run(world: Runner) -> None:
    with pytest.raises(SandboxUnavailable, match="a layer is missing") as caught:
        await world.remote.run(job("refused"))

    assert caught.value.retry_after is None


@pytest.mark.parametrize("fields", [{"mounts": {"/x": "/etc"}}, {"limits": Limits(network=True)}])
async def test_what_the_sandbox_does_not_offer_is_refused(world: Runner, fields: dict[str, Any]) -> None:
    with pytest.raises(SandboxUnavailable):
        await world.remote.run(job("echo", **fields))

    assert world.sandbox.jobs == []


@pytest.mark.parametrize("key", ["another", KEY[:-1], KEY + "x", "x" * 5000])
async def test_nobody_calls_without_the_credential(tmp_path: Path, key: str) -> None:
    async with runner(tmp_path, key=key) as world:
        assert world.remote.problem
        with pytest.raises(SandboxUnavailable):
            await world.remote.run(job("echo"))
        for metadata in ((), (("authorization", f"Bearer {key}"),)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await world.stub.GetSandbox(sandbox_pb2.GetSandboxRequest(), metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert world.sandbox.jobs == []


async def test_without_a_file_for_the_credential_nothing_is_run(world: Runner, tmp_path: Path) -> None:
    (tmp_path / "key").unlink()
    await world.remote.look()
    assert "credential" in world.remote.problem


async def test_a_program_is_talked_to(world: Runner) -> None:
    process = await world.remote.open(job("upper"))

    await process.write(b"hello")
    assert await process.read() == b"HELLO"
    await process.write(b"bye")
    end = await process.end()

    assert (await process.read(), await process.read()) == (b"BYE", b"")
    assert (end.how, end.stderr) == (EndKind.EXITED, b"bye then")
    assert await process.stop() == end
    with pytest.raises(ToolFailed):
        await process.write(b"more")


async def test_a_program_that_is_stopped_has_ended_then(world: Runner) -> None:
    process = await world.remote.open(job("upper"))

    end = await process.stop()

    assert (end.how, end.stderr, world.sandbox.running) == (EndKind.STOPPED, b"stopped", [])
    assert await process.stop() == end
    assert await process.read() == b""


async def test_a_program_that_does_not_read_makes_its_writer_wait_and_can_be_stopped(world: Runner) -> None:
    process = await world.remote.open(job("deaf"))
    writing = asyncio.create_task(process.write(b"x" * 1024 * 1024))
    done, _ = await asyncio.wait({writing}, timeout=0.2)

    assert not done
    assert (await process.stop()).how is EndKind.STOPPED
    with pytest.raises(ToolFailed):
        await writing


async def test_a_program_whose_output_nobody_reads_is_held_back_and_can_be_stopped(world: Runner) -> None:
    process = await world.remote.open(job("talker"))
    await until(lambda: world.sandbox.said >= 5)
    await asyncio.sleep(0.1)

    assert world.sandbox.said <= 6
    assert await process.read() == b"x" * 65536
    await until(lambda: world.sandbox.said >= 6)
    assert (await process.stop()).how is EndKind.STOPPED


async def test_a_program_that_is_talked_to_is_lost_with_its_sandbox(world: Runner) -> None:
    process = await world.remote.open(job("upper"))

    await world.server.stop(grace=0)

    with pytest.raises(SandboxLost):
        await process.end()
    assert await process.read() == b""
    with pytest.raises(ToolFailed):
        await process.write(b"x")
    assert (await process.stop()).how is EndKind.STOPPED
    assert world.sandbox.running == []


async def test_a_draining_sandbox_ends_the_programs_that_are_talked_to(world: Runner) -> None:
    process = await world.remote.open(job("upper"))

    world.deps.draining.set()

    assert (await process.end()).how is EndKind.STOPPED


@pytest.mark.parametrize(
    "messages",
    [
        [sandboxing.said("start")],
        [sandboxing.begin(job("echo"), talk=False)] * 2,
        [sandboxing.begin(job("echo"), talk=False), sandboxing.said("write", data=b"x")],
        [sandbox_pb2.RunRequest()],
        [sandbox_pb2.RunRequest(begin=sandbox_pb2.Begin(argv=["echo"]))],
    ],
)
async def test_messages_out_of_turn_end_the_stream(
    world: Runner, messages: list[sandbox_pb2.RunRequest]
) -> None:
    call: Any = world.stub.Run(metadata=METADATA)
    for message in messages:
        await call.write(message)

    code = None
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as failure:
        code = failure.code()
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def waiting(world: Runner, count: int) -> bool:
    """Tell whether so many jobs wait."""
    return world.deps.jobs.places.waiting == count


async def started(call: Any, what: SandboxJob) -> None:
    """Have a job run over a bare stream."""
    await call.write(sandboxing.begin(what, talk=False))
    assert (await call.read()).HasField("admitted")
    await call.write(sandboxing.said("start"))
