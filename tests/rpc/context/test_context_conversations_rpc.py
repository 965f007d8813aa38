"""Conversations and windows over a real socket."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import grpc
import pytest

from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2, resources_pb2
from services.context.config import ContextConfig
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.context import context_service, context_stub
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import reason

if TYPE_CHECKING:
    from aios.api.context.v1.context_pb2_grpc import ContextServiceAsyncStub

TRIP = "agents/me/contexts/trip"
PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")


@pytest.fixture
async def stub() -> AsyncIterator[ContextServiceAsyncStub]:
    authorizer = AllowOwner(("critic", "context.read", "agents/planner/contexts/trip"))
    service = context_service(config=ContextConfig(max_messages=50), authorizer=authorizer)
    async with context_stub(service, authorizer=authorizer) as stub:
        yield stub


def said(
    content: str, role: chat_pb2.Role = chat_pb2.ROLE_USER, *, count: int = 10, pinned: bool = False
) -> resources_pb2.Message:
    chat = chat_pb2.ChatMessage(role=role, content=content)
    return resources_pb2.Message(message=chat, token_count=count, pinned=pinned)


def called(*ids: str) -> resources_pb2.Message:
    calls = [chat_pb2.ToolCall(id=id_, name="search", arguments_json="{}") for id_ in ids]
    chat = chat_pb2.ChatMessage(role=chat_pb2.ROLE_ASSISTANT, tool_calls=calls)
    return resources_pb2.Message(message=chat, token_count=10)


def result(id_: str) -> resources_pb2.Message:
    chat = chat_pb2.ChatMessage(role=chat_pb2.ROLE_TOOL, content="found", tool_call_id=id_)
    return resources_pb2.Message(message=chat, token_count=10)


async def create(
    stub: ContextServiceAsyncStub, *messages: resources_pb2.Message, name: str = TRIP
) -> resources_pb2.Context:
    request = context_pb2.CreateContextRequest(
        context=resources_pb2.Context(name=name, token_budget=100, reserve_tokens=20), messages=messages
    )
    return (await stub.CreateContext(request, metadata=PLANNER)).context


async def append(
    stub: ContextServiceAsyncStub, *messages: resources_pb2.Message, name: str = TRIP, request_id: str = ""
) -> context_pb2.AppendMessagesResponse:
    request = context_pb2.AppendMessagesRequest(name=name, messages=messages, request_id=request_id)
    return await stub.AppendMessages(request, metadata=PLANNER)


async def contents(stub: ContextServiceAsyncStub, name: str = TRIP) -> list[str]:
    response = await stub.ListMessages(context_pb2.ListMessagesRequest(name=name), metadata=PLANNER)
    return [message.message.content for message in response.messages]


async def test_a_context_is_created_once(stub: ContextServiceAsyncStub) -> None:
    made = await create(stub, said("You plan.", chat_pb2.ROLE_SYSTEM), said("Rome?"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await create(stub)
    found = await stub.GetContext(context_pb2.GetContextRequest(name=TRIP), metadata=PLANNER)

    assert made == found.context
    assert (made.name, made.message_count, made.token_count) == ("agents/planner/contexts/trip", 2, 20)
    assert reason(refused.value) == "ALREADY_EXISTS"


async def test_an_append_repeated_with_its_request_id_has_one_effect(stub: ContextServiceAsyncStub) -> None:
    await create(stub)
    first = await append(stub, said("a"), said("b"), request_id="r1")
    again = await append(stub, said("a"), said("b"), request_id="r1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await append(stub, said("c"), request_id="r1")

    assert first == again
    assert first.first_position == 1
    assert await contents(stub) == ["a", "b"]
    assert reason(refused.value) == "IDEMPOTENCY_MISMATCH"


async def test_an_append_with_a_stale_etag_is_refused(stub: ContextServiceAsyncStub) -> None:
    made = await create(stub)
    await append(stub, said("a"))
    request = context_pb2.AppendMessagesRequest(name=TRIP, messages=[said("b")], etag=made.etag)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.AppendMessages(request, metadata=PLANNER)

    assert refused.value.code() is grpc.StatusCode.ABORTED
    assert reason(refused.value) == "ETAG_MISMATCH"


async def test_a_tool_result_needs_a_call_before_it(stub: ContextServiceAsyncStub) -> None:
    await create(stub, said("Rome?"), called("c1"))
    await append(stub, result("c1"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await append(stub, said("fine"), result("c1"))

    assert reason(refused.value) == "ORPHAN_TOOL_RESULT"
    assert len(await contents(stub)) == 3


async def test_messages_are_paged_in_both_directions(stub: ContextServiceAsyncStub) -> None:
    await create(stub, *(said(str(number)) for number in range(1, 6)))

    async def listed(*, newest_first: bool, after: int = 0) -> list[str]:
        request = context_pb2.ListMessagesRequest(
            name=TRIP, newest_first=newest_first, after_position=after, page_size=2
        )
        shown: list[str] = []
        while True:
            page = await stub.ListMessages(request, metadata=PLANNER)
            shown += [message.message.content for message in page.messages]
            if not page.next_page_token:
                return shown
            request.page_token = page.next_page_token

    assert await listed(newest_first=False) == ["1", "2", "3", "4", "5"]
    assert await listed(newest_first=True) == ["5", "4", "3", "2", "1"]
    assert await listed(newest_first=True, after=2) == ["5", "4", "3"]
    await refuses_forgeries(stub.ListMessages, context_pb2.ListMessagesRequest(name=TRIP), PLANNER)
    assert await listed(newest_first=False, after=2) == ["3", "4", "5"]


async def test_a_fork_and_its_source_go_their_own_ways(stub: ContextServiceAsyncStub) -> None:
    await create(stub, said("a"), said("b"), said("c"))
    request = context_pb2.ForkContextRequest(name="agents/me/contexts/b", source=TRIP, at_position=2)
    fork = (await stub.ForkContext(request, metadata=PLANNER)).context
    await append(stub, said("x"), name="agents/me/contexts/b")
    await append(stub, said("d"))
    await stub.DeleteContext(context_pb2.DeleteContextRequest(name=TRIP), metadata=PLANNER)

    assert (fork.parent, fork.forked_at) == ("agents/planner/contexts/trip", 2)
    assert (fork.message_count, fork.token_count) == (2, 20)
    assert await contents(stub, "agents/me/contexts/b") == ["a", "b", "x"]


async def test_a_fork_does_not_part_a_tool_call_from_its_result(stub: ContextServiceAsyncStub) -> None:
    await create(stub, said("Rome?"), called("c1", "c2"), result("c1"), result("c2"))

    async def fork(at: int) -> str:
        request = context_pb2.ForkContextRequest(
            name=f"agents/me/contexts/f{at}", source=TRIP, at_position=at
        )
        try:
            await stub.ForkContext(request, metadata=PLANNER)
        except grpc.aio.AioRpcError as refused:
            return reason(refused)
        return "ok"

    outcomes = [await fork(at) for at in (1, 2, 3, 4, 9)]
    assert outcomes == ["ok", "ORPHAN_TOOL_RESULT", "ORPHAN_TOOL_RESULT", "ok", "CONTEXT_NOT_FOUND"]


async def test_another_agent_forks_only_what_it_may_read(stub: ContextServiceAsyncStub) -> None:
    await create(stub, said("a"))
    request = context_pb2.ForkContextRequest(
        name="agents/me/contexts/copy", source="agents/planner/contexts/trip"
    )
    made = await stub.ForkContext(request, metadata=CRITIC)
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await stub.ForkContext(request, metadata=tokens.metadata("stranger"))

    assert made.context.name == "agents/critic/contexts/copy"
    assert reason(denied.value) == "PERMISSION_DENIED"


async def test_an_update_changes_only_what_the_mask_names(stub: ContextServiceAsyncStub) -> None:
    await create(stub)
    request = context_pb2.UpdateContextRequest(
        context=resources_pb2.Context(name=TRIP, title="Rome", token_budget=5)
    )
    request.update_mask.paths.append("title")
    made = (await stub.UpdateContext(request, metadata=PLANNER)).context
    request.update_mask.paths.append("message_count")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.UpdateContext(request, metadata=PLANNER)

    assert (made.title, made.token_budget) == ("Rome", 100)
    assert reason(refused.value) == "INVALID_REQUEST"


async def test_contexts_are_listed_by_name_and_label(stub: ContextServiceAsyncStub) -> None:
    for id_, kind in (("a", "x"), ("b", "y"), ("c", "x")):
        context = resources_pb2.Context(name=f"agents/me/contexts/{id_}", labels={"kind": kind})
        await stub.CreateContext(context_pb2.CreateContextRequest(context=context), metadata=PLANNER)
    request = context_pb2.ListContextsRequest(parent="agents/me", labels={"kind": "x"}, page_size=1)
    first = await stub.ListContexts(request, metadata=PLANNER)
    request.page_token = first.next_page_token
    second = await stub.ListContexts(request, metadata=PLANNER)

    assert [context.name[-1] for context in (*first.contexts, *second.contexts)] == ["a", "c"]
    assert not second.next_page_token
    await refuses_forgeries(stub.ListContexts, context_pb2.ListContextsRequest(parent="agents/me"), PLANNER)


async def test_a_window_keeps_system_pinned_and_newest_and_explains_the_rest(
    stub: ContextServiceAsyncStub,
) -> None:
    await create(
        stub,
        said("You plan.", chat_pb2.ROLE_SYSTEM),
        said("first"),
        said("remember me"),
        called("c1"),
        result("c1"),
        *(said(f"m{number}") for number in range(5)),
    )
    pin = context_pb2.PinMessageRequest(name=TRIP, position=3, pinned=True)
    await stub.PinMessage(pin, metadata=PLANNER)
    request = context_pb2.AssembleWindowRequest(name=TRIP)
    window = await stub.AssembleWindow(request, metadata=PLANNER)

    assert [message.position for message in window.messages] == [1, 3, 6, 7, 8, 9, 10]
    assert (window.token_count, window.token_budget, window.available_tokens) == (70, 100, 30)
    assert not window.exact_count
    assert [(run.first_position, run.last_position, run.reason) for run in window.dropped] == [
        (2, 2, context_pb2.DROP_REASON_NO_ROOM),
        (4, 5, context_pb2.DROP_REASON_TOOL_GROUP),
    ]


async def test_a_window_keeps_head_and_tail(stub: ContextServiceAsyncStub) -> None:
    await create(stub, *(said(f"m{number}") for number in range(20)))
    request = context_pb2.AssembleWindowRequest(
        name=TRIP, strategy=resources_pb2.WINDOW_STRATEGY_KEEP_HEAD_AND_TAIL
    )
    window = await stub.AssembleWindow(request, metadata=PLANNER)

    assert [message.position for message in window.messages] == [1, 2, 15, 16, 17, 18, 19, 20]
    assert [(run.first_position, run.last_position) for run in window.dropped] == [(3, 14)]


async def test_a_window_that_cannot_hold_what_must_stay_is_too_small(stub: ContextServiceAsyncStub) -> None:
    await create(stub, said("You plan.", chat_pb2.ROLE_SYSTEM, count=90), said("Rome?"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.AssembleWindow(context_pb2.AssembleWindowRequest(name=TRIP), metadata=PLANNER)

    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason(refused.value) == "WINDOW_TOO_SMALL"


async def test_a_strategy_that_is_not_there_falls_back_and_says_so(stub: ContextServiceAsyncStub) -> None:
    await create(stub, *(said("Paris?") for _ in range(8)), said("Rome?"))
    request = context_pb2.AssembleWindowRequest(name=TRIP, strategy=resources_pb2.WINDOW_STRATEGY_SUMMARIZE)
    window = await stub.AssembleWindow(request, metadata=PLANNER)

    assert window.fallback
    assert window.fallback_reason == "CAPABILITY_MISSING"
    assert window.strategy == resources_pb2.WINDOW_STRATEGY_DROP_OLDEST


async def test_too_many_messages_are_refused_with_the_quota(stub: ContextServiceAsyncStub) -> None:
    await create(stub, *(said("a") for _ in range(50)))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await append(stub, said("b"))

    assert reason(refused.value) == "QUOTA_EXCEEDED"
    assert len(await contents(stub)) == 50


async def test_a_window_that_keeps_nothing_free_is_not_one_that_says_nothing(
    stub: ContextServiceAsyncStub,
) -> None:
    await create(stub, *(said(f"message {number}") for number in range(9)))
    counts = []
    for reserve in (None, 0, 50):
        request = context_pb2.AssembleWindowRequest(name=TRIP, reserve_tokens=reserve)
        counts.append((await stub.AssembleWindow(request, metadata=PLANNER)).token_count)

    assert counts == [80, 90, 50]
