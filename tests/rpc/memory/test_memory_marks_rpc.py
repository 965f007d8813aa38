"""Notes that nobody vouches for: which they are, and whom they mark, over a real socket."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from aios.api.memory.v1 import memory_pb2
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.memory import memory_service, memory_stub

if TYPE_CHECKING:
    from aios.api.memory.v1.memory_pb2_grpc import MemoryServiceAsyncStub

PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")
ADMIN = tokens.metadata("root", kind="admin")
SHARED = "agents/planner/notes/shared"


@pytest.fixture
def access() -> AllowOwner:
    return AllowOwner(*(("critic", f"memory.{right}", SHARED) for right in ("read", "write")))


@pytest.fixture
async def stub(access: AllowOwner) -> AsyncIterator[MemoryServiceAsyncStub]:
    async with memory_stub(memory_service(), authorizer=access) as stub:
        yield stub


async def put(stub: MemoryServiceAsyncStub, name: str = SHARED, who: Any = PLANNER) -> memory_pb2.Note:
    note = memory_pb2.Note(name=name, content="a text about orders")
    return (await stub.PutNote(memory_pb2.PutNoteRequest(note=note), metadata=who)).note


async def get(stub: MemoryServiceAsyncStub, name: str = SHARED, who: Any = PLANNER) -> memory_pb2.Note:
    return (await stub.GetNote(memory_pb2.GetNoteRequest(name=name), metadata=who)).note


async def test_an_agents_own_notes_mark_nobody(stub: MemoryServiceAsyncStub, access: AllowOwner) -> None:
    await put(stub)

    assert not (await get(stub)).untrusted
    assert not access.marked


async def test_who_reads_another_agents_note_is_marked(
    stub: MemoryServiceAsyncStub, access: AllowOwner
) -> None:
    await put(stub)
    await get(stub, who=CRITIC)

    assert access.marked == {"critic": SHARED}


async def test_what_a_marked_agent_notes_stays_untrusted_after_its_mark_is_cleared(
    stub: MemoryServiceAsyncStub, access: AllowOwner
) -> None:
    access.marked["planner"] = "tools/browse"
    await put(stub)
    access.marked.clear()

    assert (await get(stub)).untrusted
    assert access.marked == {"planner": SHARED}


async def test_what_another_agent_writes_into_a_note_marks_its_owner(
    stub: MemoryServiceAsyncStub, access: AllowOwner
) -> None:
    await put(stub, who=CRITIC)
    await get(stub)

    assert access.marked == {"planner": SHARED}


async def test_an_administrator_is_vouched_for_and_never_marked(
    stub: MemoryServiceAsyncStub, access: AllowOwner
) -> None:
    access.marked["critic"] = "tools/browse"
    await put(stub, who=CRITIC)
    await get(stub, who=ADMIN)
    assert access.marked == {"critic": "tools/browse"}

    await put(stub, who=ADMIN)
    assert not (await get(stub)).untrusted


async def test_a_note_written_anew_by_who_is_not_marked_is_clean_and_one_that_is_changed_is_not(
    stub: MemoryServiceAsyncStub, access: AllowOwner
) -> None:
    access.marked["planner"] = "tools/browse"
    await put(stub)
    access.marked.clear()
    request = memory_pb2.UpdateNoteRequest(
        note=memory_pb2.Note(name=SHARED, category="c"), update_mask=FieldMask(paths=["category"])
    )
    assert (await stub.UpdateNote(request, metadata=PLANNER)).note.untrusted

    access.marked.clear()
    assert not (await put(stub)).untrusted
    assert not access.marked


async def test_lists_and_searches_mark_too(stub: MemoryServiceAsyncStub, access: AllowOwner) -> None:
    access.marked["planner"] = "tools/browse"
    await put(stub)
    for view in (memory_pb2.NOTE_VIEW_BASIC, memory_pb2.NOTE_VIEW_FULL):
        access.marked.clear()
        await stub.ListNotes(memory_pb2.ListNotesRequest(parent="agents/me", view=view), metadata=PLANNER)
        assert "planner" in access.marked
    access.marked.clear()
    found = await stub.SearchNotes(
        memory_pb2.SearchNotesRequest(parent="agents/me", query="orders"), metadata=PLANNER
    )
    assert found.hits[0].note.untrusted
    assert "planner" in access.marked
