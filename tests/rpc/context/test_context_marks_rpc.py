"""Conversations that nobody vouches for: which they are, and whom they mark, over a real socket."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2 as pb
from aios.api.context.v1 import resources_pb2 as res
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.context import context_stub

if TYPE_CHECKING:
    from aios.api.context.v1.context_pb2_grpc import ContextServiceAsyncStub

PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
ADMIN = tokens.metadata("root", kind="admin")
TALK = "agents/planner/contexts/talk"
FORK = "agents/planner/contexts/fork"


@pytest.fixture
def access() -> AllowOwner:
    return AllowOwner(*(("critic", f"context.{right}", TALK) for right in ("read", "write")))


@pytest.fixture
async def stub(access: AllowOwner) -> AsyncIterator[ContextServiceAsyncStub]:
    async with context_stub(authorizer=access) as stub:
        created = pb.CreateContextRequest(context=res.Context(name=TALK), messages=said("hello"))
        await stub.CreateContext(created, metadata=PLANNER)
        yield stub


def said(text: str) -> list[res.Message]:
    return [res.Message(message=chat_pb2.ChatMessage(role=chat_pb2.ROLE_USER, content=text))]


async def append(stub: ContextServiceAsyncStub, who: Any = PLANNER, name: str = TALK) -> res.Context:
    request = pb.AppendMessagesRequest(name=name, messages=said("orders"))
    return (await stub.AppendMessages(request, metadata=who)).context


async def test_an_agents_own_conversation_marks_nobody(
    stub: ContextServiceAsyncStub, access: AllowOwner
) -> None:
    await append(stub)
    window = await stub.AssembleWindow(pb.AssembleWindowRequest(name=TALK), metadata=PLANNER)

    assert not window.untrusted
    assert not access.marked


@pytest.mark.parametrize(
    "look",
    [
        lambda stub, who: stub.GetContext(pb.GetContextRequest(name=TALK), metadata=who),
        lambda stub, who: stub.ListMessages(pb.ListMessagesRequest(name=TALK), metadata=who),
        lambda stub, who: stub.AssembleWindow(pb.AssembleWindowRequest(name=TALK), metadata=who),
        lambda stub, who: stub.PinMessage(
            pb.PinMessageRequest(name=TALK, position=1, pinned=True), metadata=who
        ),
    ],
)
async def test_what_a_marked_or_another_agent_said_marks_whoever_looks(
    stub: ContextServiceAsyncStub, access: AllowOwner, look: Any
) -> None:
    await look(stub, CRITIC)
    assert list(access.marked) == ["critic"]

    access.marked.clear()
    await append(stub, CRITIC)
    access.marked.clear()
    answer = await look(stub, PLANNER)
    assert getattr(answer, "context", answer).untrusted
    assert list(access.marked) == ["planner"]


async def test_a_list_of_conversations_marks_too(stub: ContextServiceAsyncStub, access: AllowOwner) -> None:
    access.marked["planner"] = "tools/browse"
    await append(stub)
    access.marked.clear()
    await stub.ListContexts(pb.ListContextsRequest(parent="agents/me"), metadata=PLANNER)

    assert list(access.marked) == ["planner"]


async def test_a_fork_begins_as_what_it_was_forked_from(
    stub: ContextServiceAsyncStub, access: AllowOwner
) -> None:
    access.marked["planner"] = "tools/browse"
    await append(stub)
    access.marked.clear()
    fork = pb.ForkContextRequest(name=FORK, source=TALK)
    assert (await stub.ForkContext(fork, metadata=PLANNER)).context.untrusted
    access.marked.clear()
    assert (await append(stub, name=FORK)).untrusted


async def test_a_fork_of_another_agents_conversation_is_untrusted_and_marks_who_made_it(
    stub: ContextServiceAsyncStub, access: AllowOwner
) -> None:
    mine = "agents/critic/contexts/mine"
    made = await stub.ForkContext(pb.ForkContextRequest(name=mine, source=TALK), metadata=CRITIC)

    assert made.context.untrusted
    assert list(access.marked) == ["critic"]


async def test_an_administrator_is_vouched_for_and_never_marked(
    stub: ContextServiceAsyncStub, access: AllowOwner
) -> None:
    assert not (await append(stub, ADMIN)).untrusted
    await append(stub, CRITIC)
    access.marked.clear()
    await stub.ListMessages(pb.ListMessagesRequest(name=TALK), metadata=ADMIN)

    assert not access.marked
