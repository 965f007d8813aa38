"""Snapshots over a real socket."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest

from aios.api.context.v1 import context_pb2, resources_pb2
from services.chassis.quotas import Cap
from services.context.config import ContextConfig
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.clock import FakeClock
from tests.fakes.context import context_service, context_stub
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import reason

if TYPE_CHECKING:
    from aios.api.context.v1.context_pb2_grpc import ContextServiceAsyncStub

NAME = "agents/me/generations/g1"
PLANNER = tokens.metadata("planner")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def stub(clock: FakeClock) -> AsyncIterator[ContextServiceAsyncStub]:
    service = context_service(clock=clock, config=ContextConfig(quota_snapshots=Cap.of(3)))
    authorizer = AllowOwner(("critic", "context.read", "agents/planner/generations/g1"))
    async with context_stub(service, authorizer=authorizer) as stub:
        yield stub


def whole(name: str = NAME, *, emitted: int = 2, epoch: int = 0) -> context_pb2.SaveSnapshotRequest:
    snapshot = resources_pb2.Snapshot(
        name=name,
        model="demo",
        prompt_text="Say hello.",
        prompt_token_ids=[1, 2, 3],
        emitted_token_ids=range(10, 10 + emitted),
        emitted_text="ab" * emitted,
        emitted_piece_lengths=[2] * emitted,
        sequence=emitted,
        seed=7,
        epoch=epoch,
        request_digest="0" * 64,
    )
    snapshot.sampling.temperature = 0.5
    snapshot.constraint.regex = "h.*"
    snapshot.usage.prompt_tokens = 3
    snapshot.kv.replica = "http://127.0.0.1:7079"
    snapshot.gateway_state.update({"class": "interactive"})
    for sequence in (1, 2):
        place = snapshot.top_alternatives.add(sequence=sequence)
        place.alternatives.add(token_id=11, text="cd", logprob=-1.5)
    return context_pb2.SaveSnapshotRequest(snapshot=snapshot)


def more(
    after: int, count: int, *, epoch: int = 0, finished: bool = False
) -> context_pb2.SaveSnapshotRequest:
    snapshot = resources_pb2.Snapshot(
        name=NAME,
        emitted_token_ids=range(10 + after, 10 + after + count),
        emitted_text="ab" * count,
        emitted_piece_lengths=[2] * count,
        sequence=after + count,
        epoch=epoch,
        finished=finished,
        finish_reason=resources_pb2.FINISH_REASON_STOP
        if finished
        else resources_pb2.FINISH_REASON_UNSPECIFIED,
    )
    return context_pb2.SaveSnapshotRequest(snapshot=snapshot, after_sequence=after)


async def load(stub: ContextServiceAsyncStub, name: str = NAME) -> resources_pb2.Snapshot:
    request = context_pb2.LoadSnapshotRequest(name=name)
    return (await stub.LoadSnapshot(request, metadata=PLANNER)).snapshot


async def test_a_whole_snapshot_is_loaded_as_it_was_saved(stub: ContextServiceAsyncStub) -> None:
    saved = await stub.SaveSnapshot(whole(), metadata=PLANNER)
    found = await load(stub)

    assert (saved.sequence, saved.epoch) == (2, 0)
    assert found.name == "agents/planner/generations/g1"
    assert found.HasField("create_time")
    assert found.HasField("expire_time")
    for field in ("name", "create_time", "update_time", "expire_time"):
        found.ClearField(field)
    expected = whole().snapshot
    expected.ClearField("name")
    assert found == expected


async def test_an_increment_adds_output_and_replaces_the_state(stub: ContextServiceAsyncStub) -> None:
    await stub.SaveSnapshot(whole(), metadata=PLANNER)
    step = more(2, 3)
    step.snapshot.top_alternatives.add(sequence=5)
    await stub.SaveSnapshot(step, metadata=PLANNER)
    saved = await stub.SaveSnapshot(more(5, 1, finished=True), metadata=PLANNER)
    found = await load(stub)

    assert saved.sequence == 6
    assert list(found.emitted_token_ids) == list(range(10, 16))
    assert found.emitted_text == "ab" * 6
    assert list(found.emitted_piece_lengths) == [2] * 6
    assert found.finished
    assert [place.sequence for place in found.top_alternatives] == [1, 2, 5]
    assert not found.HasField("kv")
    assert found.prompt_text == "Say hello."


async def test_an_increment_that_does_not_continue_is_refused_with_where_it_stands(
    stub: ContextServiceAsyncStub,
) -> None:
    await stub.SaveSnapshot(whole(), metadata=PLANNER)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.SaveSnapshot(more(4, 2), metadata=PLANNER)

    assert refused.value.code() is grpc.StatusCode.ABORTED
    assert reason(refused.value) == "SNAPSHOT_CONFLICT"


async def test_a_claim_fences_the_owner_from_before(stub: ContextServiceAsyncStub) -> None:
    await stub.SaveSnapshot(whole(), metadata=PLANNER)
    request = context_pb2.ClaimSnapshotRequest(name=NAME, owner="gateway-b")
    claimed = (await stub.ClaimSnapshot(request, metadata=PLANNER)).snapshot
    again = (await stub.ClaimSnapshot(request, metadata=PLANNER)).snapshot
    with pytest.raises(grpc.aio.AioRpcError) as fenced:
        await stub.SaveSnapshot(more(2, 1), metadata=PLANNER)
    saved = await stub.SaveSnapshot(more(2, 1, epoch=claimed.epoch), metadata=PLANNER)

    assert (claimed.epoch, claimed.owner, again.epoch) == (1, "gateway-b", 1)
    assert reason(fenced.value) == "SNAPSHOT_CONFLICT"
    assert (saved.sequence, saved.epoch) == (3, 1)


async def test_a_list_shows_the_last_saved_first_and_no_output(
    stub: ContextServiceAsyncStub, clock: FakeClock
) -> None:
    for name in ("a", "b", "c"):
        clock.advance(1)
        await stub.SaveSnapshot(whole(f"agents/me/generations/{name}"), metadata=PLANNER)
    request = context_pb2.ListSnapshotsRequest(parent="agents/me", page_size=2)
    first = await stub.ListSnapshots(request, metadata=PLANNER)
    request.page_token = first.next_page_token
    second = await stub.ListSnapshots(request, metadata=PLANNER)

    shown = [*first.snapshots, *second.snapshots]
    assert [snapshot.name[-1] for snapshot in shown] == ["c", "b", "a"]
    assert not second.next_page_token
    await refuses_forgeries(stub.ListSnapshots, context_pb2.ListSnapshotsRequest(parent="agents/me"), PLANNER)
    assert shown[0].model == "demo"
    assert shown[0].usage.prompt_tokens == 3
    assert not shown[0].prompt_text
    assert not shown[0].emitted_text
    assert not shown[0].HasField("kv")


async def test_a_deleted_snapshot_is_gone_and_deleting_again_succeeds(stub: ContextServiceAsyncStub) -> None:
    await stub.SaveSnapshot(whole(), metadata=PLANNER)
    request = context_pb2.DeleteSnapshotRequest(name=NAME, request_id="r1")
    await stub.DeleteSnapshot(request, metadata=PLANNER)
    await stub.DeleteSnapshot(request, metadata=PLANNER)
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await load(stub)

    assert reason(missing.value) == "SNAPSHOT_NOT_FOUND"


async def test_an_expired_snapshot_is_gone(stub: ContextServiceAsyncStub, clock: FakeClock) -> None:
    await stub.SaveSnapshot(whole(), metadata=PLANNER)
    clock.advance(3601)
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await load(stub)

    assert reason(missing.value) == "SNAPSHOT_NOT_FOUND"


async def test_too_many_snapshots_are_refused_with_the_quota(stub: ContextServiceAsyncStub) -> None:
    for name in ("a", "b", "c"):
        await stub.SaveSnapshot(whole(f"agents/me/generations/{name}"), metadata=PLANNER)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.SaveSnapshot(whole(), metadata=PLANNER)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(refused.value) == "QUOTA_EXCEEDED"


async def test_another_agent_reads_only_through_a_grant(stub: ContextServiceAsyncStub) -> None:
    await stub.SaveSnapshot(whole(), metadata=PLANNER)
    granted = context_pb2.LoadSnapshotRequest(name="agents/planner/generations/g1")
    found = await stub.LoadSnapshot(granted, metadata=tokens.metadata("critic"))
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await stub.LoadSnapshot(granted, metadata=tokens.metadata("stranger"))
    with pytest.raises(grpc.aio.AioRpcError) as elsewhere:
        await stub.LoadSnapshot(granted, metadata=tokens.metadata("planner", tenant="other"))

    assert found.snapshot.name == "agents/planner/generations/g1"
    assert reason(denied.value) == "PERMISSION_DENIED"
    assert reason(elsewhere.value) == "SNAPSHOT_NOT_FOUND"


async def test_a_sequence_before_its_beginning_is_invalid(stub: ContextServiceAsyncStub) -> None:
    request = more(5, 1)
    request.snapshot.sequence = 3
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.SaveSnapshot(request, metadata=PLANNER)

    assert reason(refused.value) == "INVALID_REQUEST"
