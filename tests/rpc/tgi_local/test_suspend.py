"""Suspend, resume and snapshots over HTTP, on an engine without a model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.inference.backends.tgi.client import (
    AiosOptions,
    PooledAsyncClient,
    Suspended,
    Suspension,
    TokenEvent,
)
from gateway.inference.errors import BackendInvalid, NotRunning, NotSuspendable
from services.tgi_local.main import Server
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.tgi_local import tgi_local
from tests.fakes.waiting import until


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    made = FakeEngine(tmp_path / "data" / "snapshots")
    made.script.gate = asyncio.Event()
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
async def server(engine: FakeEngine, model: Path, tmp_path: Path) -> AsyncIterator[Server]:
    async with tgi_local(model, tmp_path / "data", engine, slots=1, ctx=64) as started:
        yield started


@pytest.fixture
async def client(server: Server) -> AsyncIterator[PooledAsyncClient]:
    made = PooledAsyncClient(f"http://127.0.0.1:{server.port}")
    yield made
    await made.close()


async def suspended(
    client: PooledAsyncClient, request_id: str = "r1", prompt: bytes = b"hello"
) -> Suspension:
    """Start a generation and suspend it after its first token."""
    options = AiosOptions(request_id=request_id, prompt_ids=list(prompt))
    state: asyncio.Task[Suspension] | None = None
    seen: list[TokenEvent | Suspended] = []
    async with aclosing(client.generate_stream(aios=options, max_new_tokens=8)) as events:
        async for event in events:
            seen.append(event)
            if state is None:
                state = asyncio.create_task(client.suspend(request_id))
    assert state is not None
    assert isinstance(seen[-1], Suspended)
    return await state


async def resumed(client: PooledAsyncClient, engine: FakeEngine, state: Suspension) -> str:
    assert engine.script.gate is not None
    engine.script.gate.set()
    options = AiosOptions(
        prompt_ids=[*state.prompt_ids, *state.token_ids],
        produced=len(state.token_ids),
        kv_handle=state.kv_handle or "",
    )
    left = 8 - len(state.token_ids)
    events = [e async for e in client.generate_stream(aios=options, max_new_tokens=left)]
    return "".join(e.text for e in events if isinstance(e, TokenEvent))


def restores(server: Server) -> list[str]:
    lines = server.metrics.exposition().decode().splitlines()
    return [line for line in lines if line.startswith("aios_tgi_local_kv_restore_total{")]


async def test_a_suspended_generation_tells_what_it_had(
    client: PooledAsyncClient, engine: FakeEngine
) -> None:
    state = await suspended(client)

    assert (bytes(state.prompt_ids), bytes(state.token_ids), state.text) == (b"hello", b"f", "f")
    assert state.kv_handle
    assert state.bytes > 0
    assert not engine.busy


async def test_a_resumed_generation_restores_its_state(
    client: PooledAsyncClient, engine: FakeEngine, server: Server
) -> None:
    state = await suspended(client)
    engine.script.gate.set()  # type: ignore[union-attr]  # set by the fixture
    await client.generate("something else", max_new_tokens=3)
    rest = await resumed(client, engine, state)

    assert state.text + rest == "fghijklm"
    assert engine.restored == [f"{state.kv_handle}.bin"]
    assert restores(server) == ['aios_tgi_local_kv_restore_total{outcome="restored"} 1.0']


async def test_a_slot_that_still_holds_the_state_is_not_restored_into(
    client: PooledAsyncClient, engine: FakeEngine, server: Server
) -> None:
    rest = await resumed(client, engine, await suspended(client))

    assert rest == "ghijklm"
    assert engine.restored == []
    assert restores(server) == ['aios_tgi_local_kv_restore_total{outcome="warm"} 1.0']


async def test_a_lost_state_is_computed_again(
    client: PooledAsyncClient, engine: FakeEngine, server: Server
) -> None:
    state = await suspended(client)
    await client.drop_snapshot(state.kv_handle or "")
    rest = await resumed(client, engine, state)

    assert rest == "ghijklm"
    assert restores(server) == ['aios_tgi_local_kv_restore_total{outcome="unknown"} 1.0']


async def test_a_damaged_state_is_not_loaded(
    client: PooledAsyncClient, engine: FakeEngine, server: Server
) -> None:
    state = await suspended(client)
    (engine.directory / f"{state.kv_handle}.bin").write_text("1 2 3")
    rest = await resumed(client, engine, state)

    assert rest == "ghijklm"
    assert restores(server) == ['aios_tgi_local_kv_restore_total{outcome="corrupt"} 1.0']


async def test_a_state_that_the_engine_refuses_is_computed_again(
    client: PooledAsyncClient, engine: FakeEngine, server: Server
) -> None:
    state = await suspended(client)
    engine.script.gate.set()  # type: ignore[union-attr]  # set by the fixture
    await client.generate("something else", max_new_tokens=3)
    engine.script.restore_fails = True
    rest = await resumed(client, engine, state)

    assert rest == "ghijklm"
    assert restores(server) == ['aios_tgi_local_kv_restore_total{outcome="failed"} 1.0']


async def test_without_room_for_the_state_there_is_no_handle(
    engine: FakeEngine, model: Path, tmp_path: Path
) -> None:
    async with tgi_local(model, tmp_path / "data", engine, snapshot_max_bytes=1) as server:
        client = PooledAsyncClient(f"http://127.0.0.1:{server.port}")
        state = await suspended(client)
        await client.close()

    assert (state.kv_handle, state.bytes, state.text) == (None, 0, "f")
    assert list(engine.directory.iterdir()) == []


async def test_a_state_the_engine_cannot_save_has_no_handle(
    client: PooledAsyncClient, engine: FakeEngine
) -> None:
    engine.script.save_fails = True

    assert (await suspended(client)).kv_handle is None


async def test_a_state_is_kept_although_the_stream_is_closed_meanwhile(
    client: PooledAsyncClient, engine: FakeEngine
) -> None:
    engine.script.save_gate = asyncio.Event()
    options = AiosOptions(request_id="r1", prompt_ids=list(b"hello"))
    async with aclosing(client.generate_stream(aios=options, max_new_tokens=8)) as events:
        await anext(events)
        suspending = asyncio.create_task(client.suspend("r1"))
        await until(lambda: engine.saving == 1)
    engine.script.save_gate.set()
    state = await suspending

    assert state.kv_handle
    assert await resumed(client, engine, state) == "ghijklm"


async def test_states_survive_a_restart_but_not_another_model(
    engine: FakeEngine, model: Path, tmp_path: Path
) -> None:
    settings = {"slots": 1, "ctx": 64}
    outcomes = []
    async with tgi_local(model, tmp_path / "data", engine, **settings) as server:
        client = PooledAsyncClient(f"http://127.0.0.1:{server.port}")
        state = await suspended(client)
        await client.close()
    for weights in (b"weights", b"others"):
        await asyncio.to_thread(model.write_bytes, weights)
        async with tgi_local(model, tmp_path / "data", engine, **settings) as server:
            client = PooledAsyncClient(f"http://127.0.0.1:{server.port}")
            assert await resumed(client, engine, state) == "ghijklm"
            outcomes += restores(server)
            await client.close()

    assert [line.partition('"')[2].partition('"')[0] for line in outcomes] == ["restored", "foreign"]


async def test_a_state_expires(engine: FakeEngine, model: Path, tmp_path: Path) -> None:
    ttl = timedelta(microseconds=1)
    async with tgi_local(model, tmp_path / "data", engine, snapshot_ttl=ttl) as server:
        client = PooledAsyncClient(f"http://127.0.0.1:{server.port}")
        rest = await resumed(client, engine, await suspended(client))
        outcomes = restores(server)
        await client.close()

    assert rest == "ghijklm"
    assert outcomes == ['aios_tgi_local_kv_restore_total{outcome="expired"} 1.0']


async def test_a_state_that_nobody_wants_is_deleted(engine: FakeEngine, model: Path, tmp_path: Path) -> None:
    quick = {"snapshot_ttl": timedelta(microseconds=1), "snapshot_collect_every": timedelta(milliseconds=1)}
    async with tgi_local(model, tmp_path / "data", engine, **quick) as server:
        client = PooledAsyncClient(f"http://127.0.0.1:{server.port}")
        await suspended(client)
        await client.close()
        await until(lambda: not _files(tmp_path / "data/snapshots"))


def _files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_a_queued_generation_can_be_suspended(
    client: PooledAsyncClient, engine: FakeEngine, server: Server
) -> None:
    first = AiosOptions(request_id="first", prompt_ids=[1, 2])
    async with aclosing(client.generate_stream(aios=first, max_new_tokens=4)) as running:
        await anext(running)
        second = AiosOptions(request_id="second", prompt_ids=[3])
        waiting = client.generate_stream(aios=second, max_new_tokens=4)
        reading = asyncio.create_task(_all(waiting))
        await until(lambda: b"tgi_queue_size 1.0" in server.metrics.exposition())
        state = await client.suspend("second")
        events = await reading

    assert (state.kv_handle, state.prompt_ids, state.token_ids, state.text) == (None, (3,), (), "")
    assert events == [Suspended()]
    assert len(engine.jobs) == 1


async def _all(stream: AsyncIterator[TokenEvent | Suspended]) -> list[TokenEvent | Suspended]:
    return [event async for event in stream]


async def test_suspending_what_does_not_run_is_not_found(client: PooledAsyncClient) -> None:
    with pytest.raises(NotRunning):
        await client.suspend("nobody")


async def test_a_constrained_generation_is_not_suspended(client: PooledAsyncClient) -> None:
    options = AiosOptions(request_id="r1", prompt_ids=[1])
    grammar = {"type": "regex", "value": "[a-z]+"}
    stream = client.generate_stream(aios=options, max_new_tokens=8, grammar=grammar)
    async with aclosing(stream) as events:
        await anext(events)

        with pytest.raises(NotSuspendable):
            await client.suspend("r1")


async def test_a_running_request_id_is_not_taken_twice(client: PooledAsyncClient) -> None:
    options = AiosOptions(request_id="r1", prompt_ids=[1])
    async with aclosing(client.generate_stream(aios=options, max_new_tokens=8)) as events:
        await anext(events)

        with pytest.raises(BackendInvalid, match="already running"):
            await client.generate(aios=options, max_new_tokens=8)


async def test_a_suspended_unary_generation_ends_with_an_error(
    client: PooledAsyncClient, engine: FakeEngine
) -> None:
    options = AiosOptions(request_id="r1", prompt_ids=[1])
    unary = asyncio.create_task(client.generate(aios=options, max_new_tokens=8))
    await until(lambda: bool(engine.busy))
    state = await client.suspend("r1")

    with pytest.raises(BackendInvalid, match="suspended"):
        await unary
    assert len(state.token_ids) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (AiosOptions(prompt_ids=[100_000]), "outside the vocabulary"),
        (AiosOptions(prompt_ids=[1], produced=2), "`aios.produced` must be <="),
        (AiosOptions(prompt_ids=[1], kv_handle="../../etc/passwd"), "is not a handle"),
        (AiosOptions(prompt_ids=[1], request_id="x" * 201), "longer than 200"),
    ],
)
async def test_a_wrong_extension_is_refused(
    client: PooledAsyncClient, options: AiosOptions, problem: str
) -> None:
    with pytest.raises(BackendInvalid, match=problem):
        await client.generate(aios=options)


async def test_a_stop_string_is_found_across_the_cut(client: PooledAsyncClient, engine: FakeEngine) -> None:
    engine.script.gate.set()  # type: ignore[union-attr]  # set by the fixture
    options = AiosOptions(prompt_ids=list(b"hellofg"), produced=2)
    answer = await client.generate(aios=options, max_new_tokens=8, stop_sequences=["gh"])

    assert (answer.generated_text, answer.finish_reason) == ("h", "stop_sequence")


async def test_deleting_an_unknown_state_is_fine(client: PooledAsyncClient) -> None:
    await client.drop_snapshot("never-was")
    await client.drop_snapshot("never-was")
