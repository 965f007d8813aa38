"""What every Shelf of responses must do: the one in memory, and the one on a context manager."""

from collections.abc import AsyncIterator

import pytest

from aios.api.context.v1 import context_pb2, context_pb2_grpc
from gateway.http.kernel import kernel_on
from gateway.http.responses.adapters.contexts import ContextShelf
from gateway.http.responses.model import Keeper, Name, Place
from gateway.http.responses.ports import Shelf
from services.chassis.chat import ChatMessage, Role, ToolCall
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import KernelError
from services.chassis.rpc.local import LocalChannel
from services.context.config import ContextConfig
from services.context.servicer import ContextServicer
from tests.fakes.context import context_service
from tests.fakes.rpc import running
from tests.fakes.stores.responses import InMemoryShelf
from tests.fakes.tokens import ISSUER_FOR_TESTS

ROOM = 4
ASK = ChatMessage(Role.USER, "what is it?")
CALL = ChatMessage(Role.ASSISTANT, "", (ToolCall("c1", "look", '{"at":1}'),))
FOUND = ChatMessage(Role.TOOL, "a thing", tool_call_id="c1")
SAY = ChatMessage(Role.ASSISTANT, "a thing \u0000 ünï")
A, B, C = Name("resp-a"), Name("resp-b"), Name("conv-c")


def keeper(agent: str) -> Keeper:
    return Keeper("acme", agent, (("authorization", f"Bearer {ISSUER_FOR_TESTS.token(agent)}"),))


ME, OTHER = keeper("planner"), keeper("critic")


@pytest.fixture(params=["memory", "context manager"])
async def shelf(request: pytest.FixtureRequest) -> AsyncIterator[Shelf]:
    if request.param == "memory":
        yield InMemoryShelf(ROOM)
        return
    service = ContextServicer(context_service(config=ContextConfig(quota_contexts=Cap.of(ROOM))))
    add = context_pb2_grpc.add_ContextServiceServicer_to_server
    async with running((add, service, context_pb2.DESCRIPTOR)) as server:
        yield ContextShelf(kernel_on(LocalChannel(server._pipeline)).context)


async def test_a_record_and_the_messages_before_it_are_kept_apart(shelf: Shelf) -> None:
    record = "ü".encode() * 700_000

    assert await shelf.put(ME, A, [ASK, CALL, FOUND, SAY], record)
    assert await shelf.record(ME, A) == record
    assert await shelf.messages(ME, A, 100) == [ASK, CALL, FOUND, SAY]
    assert await shelf.record(ME, B) is None
    assert await shelf.messages(ME, B, 100) is None


async def test_a_name_is_given_once(shelf: Shelf) -> None:
    assert await shelf.put(ME, A, [ASK], b"first")
    assert not await shelf.put(ME, A, [ASK, SAY], b"second")
    assert await shelf.put(ME, B, [SAY], b"branch", Place(A, 1))
    assert not await shelf.put(ME, B, [CALL], b"other", Place(A, 1))
    assert await shelf.record(ME, A) == b"first"
    assert await shelf.record(ME, B) == b"branch"


async def test_a_branch_goes_on_before_the_record_and_outlives_what_it_follows(shelf: Shelf) -> None:
    await shelf.put(ME, A, [ASK, CALL], b"first")
    await shelf.put(ME, B, [FOUND, SAY], b"second", Place(A, 2))
    assert await shelf.messages(ME, A, 100) == [ASK, CALL]
    assert await shelf.remove(ME, A)

    assert await shelf.messages(ME, B, 100) == [ASK, CALL, FOUND, SAY]
    assert await shelf.record(ME, B) == b"second"
    with pytest.raises(KernelError) as gone:
        await shelf.put(ME, Name("resp-late"), [SAY], b"third", Place(A, 2))
    assert gone.value.reason == "CONTEXT_NOT_FOUND"
    assert await shelf.record(ME, Name("resp-late")) is None


async def test_a_conversation_grows_and_is_read_in_both_directions(shelf: Shelf) -> None:
    made = await shelf.open(ME, C, {"topic": "trip"})
    said = [ChatMessage(Role.USER, str(number)) for number in range(1, 8)]
    assert await shelf.append(ME, C, said[:3], "one") == 1
    assert await shelf.append(ME, C, said[3:], "two") == 4
    assert await shelf.append(ME, C, said[3:], "two") == 4

    assert (made.name, made.labels, made.count) == (C, {"topic": "trip"}, 0)
    ahead = await shelf.page(ME, C, after=2, most=2, newest_first=False)
    back = await shelf.page(ME, C, after=3, most=5, newest_first=True)
    last = await shelf.page(ME, C, after=0, most=1, newest_first=True)
    assert [(place, each.content) for place, each in ahead] == [(3, "3"), (4, "4")]
    assert [(place, each.content) for place, each in back] == [(2, "2"), (1, "1")]
    assert [(place, each.content) for place, each in last] == [(7, "7")]
    assert await shelf.messages(ME, C, 100) == said
    with pytest.raises(KernelError) as there:
        await shelf.open(ME, C, {})
    assert there.value.reason == "ALREADY_EXISTS"
    with pytest.raises(KernelError) as gone:
        await shelf.append(ME, Name("conv-none"), said, "")
    assert gone.value.reason == "CONTEXT_NOT_FOUND"


async def test_something_else_under_the_same_name_is_not_added(shelf: Shelf) -> None:
    await shelf.open(ME, C, {})
    first = await shelf.append(ME, C, [ASK], "once")
    assert await shelf.append(ME, C, [ASK], "once") == first
    with pytest.raises(KernelError) as other:
        await shelf.append(ME, C, [SAY], "once")

    assert other.value.reason == "IDEMPOTENCY_MISMATCH"
    assert await shelf.messages(ME, C, 9) == [ASK]


async def test_labels_change_only_at_the_version_that_was_seen(shelf: Shelf) -> None:
    seen = await shelf.open(ME, C, {})
    assert await shelf.label(ME, C, {"a": "1"}, seen.etag)
    assert not await shelf.label(ME, C, {"a": "2"}, seen.etag)
    assert await shelf.label(ME, C, {"a": "3"})

    found = await shelf.look(ME, C)
    assert found is not None
    assert found.labels == {"a": "3"}
    assert not await shelf.label(ME, Name("conv-none"), {})
    assert await shelf.look(ME, Name("conv-none")) is None


async def test_nothing_of_another_agent_is_there(shelf: Shelf) -> None:
    await shelf.put(ME, A, [ASK], b"mine")

    assert await shelf.record(OTHER, A) is None
    assert await shelf.messages(OTHER, A, 9) is None
    assert not await shelf.remove(OTHER, A)
    assert await shelf.everything(OTHER) == []
    assert await shelf.record(ME, A) == b"mine"
    assert [each.name for each in await shelf.everything(ME)] == [A]


async def test_a_full_shelf_says_so_and_has_room_again(shelf: Shelf) -> None:
    for number in range(ROOM):
        await shelf.put(ME, Name(f"resp-{number}"), [ASK], b"record")
    with pytest.raises(KernelError) as full:
        await shelf.put(ME, A, [ASK], b"record")

    assert full.value.reason == "QUOTA_EXCEEDED"
    assert await shelf.remove(ME, Name("resp-0"))
    assert not await shelf.remove(ME, Name("resp-0"))
    assert await shelf.put(ME, A, [ASK], b"record")
