"""Notes over a real socket."""

from __future__ import annotations  # the stubs' asynchronous classes exist for type checkers only

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from aios.api.memory.v1 import memory_pb2
from services.chassis.quotas import Cap
from services.memory.config import MemoryConfig
from tests.fakes import tokens
from tests.fakes.access import AllowOwner
from tests.fakes.clock import FakeClock
from tests.fakes.memory import memory_service, memory_stub
from tests.fakes.page_tokens import refuses_forgeries
from tests.fakes.rpc import reason

if TYPE_CHECKING:
    from aios.api.memory.v1.memory_pb2_grpc import MemoryServiceAsyncStub

PLANNER = tokens.metadata("planner")
CRITIC = tokens.metadata("critic")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def stub(clock: FakeClock) -> AsyncIterator[MemoryServiceAsyncStub]:
    config = MemoryConfig(quota_note_bytes=Cap.of(2000), block_bytes=100, quota_notes=Cap.of(20))
    grants = [("critic", f"memory.{right}", "agents/planner/notes/shared") for right in ("read", "write")]
    async with memory_stub(
        memory_service(clock=clock, config=config), authorizer=AllowOwner(*grants)
    ) as stub:
        yield stub


def name(key: str, agent: str = "me") -> str:
    return f"agents/{agent}/notes/{key}"


async def put(
    stub: MemoryServiceAsyncStub,
    key: str,
    content: str = "text",
    *,
    mode: int = 0,
    request_id: str = "",
    **fields: Any,
) -> memory_pb2.PutNoteResponse:
    note = memory_pb2.Note(name=name(key), content=content, **fields)
    request = memory_pb2.PutNoteRequest(note=note, mode=mode, request_id=request_id)  # type: ignore[arg-type]
    return await stub.PutNote(request, metadata=PLANNER)


async def get(stub: MemoryServiceAsyncStub, key: str) -> memory_pb2.Note:
    return (await stub.GetNote(memory_pb2.GetNoteRequest(name=name(key)), metadata=PLANNER)).note


async def refusal(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return reason(refused.value)


async def search(stub: MemoryServiceAsyncStub, query: str, **fields: Any) -> list[memory_pb2.NoteHit]:
    request = memory_pb2.SearchNotesRequest(parent="agents/me", query=query, **fields)
    return list((await stub.SearchNotes(request, metadata=PLANNER)).hits)


async def test_a_note_is_read_as_it_was_written(stub: MemoryServiceAsyncStub) -> None:
    written = await put(
        stub,
        "trip/budget",
        "2000 Euro",
        tags=["money"],
        category="travel",
        metadata={"a": "b"},
        importance=0.5,
    )
    found = await get(stub, "trip/budget")

    assert written.created
    assert not written.note.content
    assert (found.name, found.key) == ("agents/planner/notes/trip/budget", "trip/budget")
    assert (found.content, list(found.tags), found.category) == ("2000 Euro", ["money"], "travel")
    assert (found.writer, found.etag) == ("agents/planner", written.note.etag)
    assert found.size_bytes == len("2000 Euro" + "money" + "ab")


async def test_a_put_follows_its_mode_and_etag(stub: MemoryServiceAsyncStub) -> None:
    first = await put(stub, "n1")
    second = await put(stub, "n1", "more", etag=first.note.etag)

    assert not second.created
    assert await refusal(put(stub, "n1", etag=first.note.etag)) == "ETAG_MISMATCH"
    assert await refusal(put(stub, "n1", mode=memory_pb2.PUT_MODE_CREATE)) == "ALREADY_EXISTS"
    assert await refusal(put(stub, "n2", mode=memory_pb2.PUT_MODE_REPLACE)) == "NOTE_NOT_FOUND"
    assert await refusal(put(stub, "n2", etag="x")) == "NOTE_NOT_FOUND"
    assert (await get(stub, "n1")).content == "more"


async def test_a_repeated_put_has_one_effect(stub: MemoryServiceAsyncStub) -> None:
    first = await put(stub, "n1", "a", request_id="r1")
    await put(stub, "n1", "b")
    again = await put(stub, "n1", "a", request_id="r1")

    assert first == again
    assert (await get(stub, "n1")).content == "b"
    assert await refusal(put(stub, "n1", "c", request_id="r1")) == "IDEMPOTENCY_MISMATCH"


async def test_an_update_changes_only_what_the_mask_names(stub: MemoryServiceAsyncStub) -> None:
    await put(stub, "n1", "old words", tags=["a"])
    request = memory_pb2.UpdateNoteRequest(note=memory_pb2.Note(name=name("n1"), content="new words"))
    request.update_mask.paths.append("content")
    await stub.UpdateNote(request, metadata=PLANNER)
    found = await get(stub, "n1")
    request.update_mask.paths.append("etag")

    assert (found.content, list(found.tags)) == ("new words", ["a"])
    assert [hit.note.key for hit in await search(stub, "new", mode=memory_pb2.SEARCH_MODE_LEXICAL)] == ["n1"]
    assert await search(stub, "old", mode=memory_pb2.SEARCH_MODE_LEXICAL) == []
    assert await refusal(stub.UpdateNote(request, metadata=PLANNER)) == "INVALID_REQUEST"


async def test_a_deleted_note_takes_the_links_to_it_along(stub: MemoryServiceAsyncStub) -> None:
    await put(stub, "a")
    await put(stub, "b", links=[memory_pb2.NoteLink(note=name("a"))])
    request = memory_pb2.DeleteNoteRequest(name=name("a"))
    await stub.DeleteNote(request, metadata=PLANNER)

    assert await refusal(get(stub, "a")) == "NOTE_NOT_FOUND"
    assert not (await get(stub, "b")).links
    assert await refusal(stub.DeleteNote(request, metadata=PLANNER)) == "NOTE_NOT_FOUND"
    request.allow_missing = True
    await stub.DeleteNote(request, metadata=PLANNER)


async def test_links_are_added_and_removed_both_ways(stub: MemoryServiceAsyncStub) -> None:
    await put(stub, "a")
    await put(stub, "b")
    link = memory_pb2.NoteLink(note=name("b"), kind=memory_pb2.LINK_KIND_CONTRADICTS, weight=0.5)
    request = memory_pb2.LinkNotesRequest(name=name("a"), add=[link], both_ways=True)
    await stub.LinkNotes(request, metadata=PLANNER)
    there, back = (await get(stub, "a")).links[0], (await get(stub, "b")).links[0]
    missing = memory_pb2.LinkNotesRequest(name=name("a"), add=[memory_pb2.NoteLink(note=name("c"))])
    foreign = memory_pb2.LinkNotesRequest(name=name("a"), remove=[name("b", "critic")])

    assert (there.note, there.weight) == ("agents/planner/notes/b", 0.5)
    assert (back.note, back.kind) == ("agents/planner/notes/a", memory_pb2.LINK_KIND_CONTRADICTS)
    assert await refusal(stub.LinkNotes(missing, metadata=PLANNER)) == "NOTE_NOT_FOUND"
    assert await refusal(stub.LinkNotes(foreign, metadata=PLANNER)) == "INVALID_REQUEST"
    request = memory_pb2.LinkNotesRequest(name=name("a"), remove=[name("b")], both_ways=True)
    await stub.LinkNotes(request, metadata=PLANNER)
    assert not (await get(stub, "a")).links
    assert not (await get(stub, "b")).links


async def test_lists_page_filter_and_order(stub: MemoryServiceAsyncStub, clock: FakeClock) -> None:
    for key in ("a", "b", "c", "d"):
        clock.advance(1)
        await put(stub, key, tags=["odd"] if key in "ac" else [])

    async def listed(**fields: Any) -> list[str]:
        request = memory_pb2.ListNotesRequest(parent="agents/me", page_size=2, **fields)
        shown: list[str] = []
        while True:
            page = await stub.ListNotes(request, metadata=PLANNER)
            shown += [note.key for note in page.notes]
            if not page.next_page_token:
                return shown
            request.page_token = page.next_page_token

    assert await listed() == ["a", "b", "c", "d"]
    assert await listed(order=memory_pb2.NOTE_ORDER_UPDATE_TIME_DESC) == ["d", "c", "b", "a"]
    assert await listed(order=memory_pb2.NOTE_ORDER_CREATE_TIME) == ["a", "b", "c", "d"]
    assert await listed(tags=["odd"]) == ["a", "c"]
    assert await listed(key_prefix="b") == ["b"]
    for order in (memory_pb2.NOTE_ORDER_UNSPECIFIED, memory_pb2.NOTE_ORDER_CREATE_TIME):
        request = memory_pb2.ListNotesRequest(parent="agents/me", order=order)
        await refuses_forgeries(stub.ListNotes, request, PLANNER)


async def test_a_search_finds_by_words_and_by_parts_of_words(stub: MemoryServiceAsyncStub) -> None:
    await put(stub, "food", "Rome has good restaurants")
    await put(stub, "train", "the train leaves at nine", context="how to travel to Rome")
    await put(stub, "other", "buy milk")

    lexical = await search(stub, "Rome restaurant", mode=memory_pb2.SEARCH_MODE_LEXICAL)
    semantic = await search(stub, "restaurant", mode=memory_pb2.SEARCH_MODE_SEMANTIC)
    hybrid = await search(stub, "travelling to Rome")

    assert {hit.note.key for hit in lexical} == {"food", "train"}
    assert semantic[0].note.key == "food"
    assert hybrid[0].note.key == "train"
    assert all(0 <= hit.score <= 1 for hit in (*lexical, *semantic, *hybrid))


async def test_a_search_follows_links_and_pages(stub: MemoryServiceAsyncStub) -> None:
    await put(stub, "deep", "nothing")
    await put(stub, "linked", "nothing", links=[memory_pb2.NoteLink(note=name("deep"))])
    await put(stub, "hit", "Rome", links=[memory_pb2.NoteLink(note=name("linked"))])
    await put(stub, "hit2", "Rome again")

    lexical = {"mode": memory_pb2.SEARCH_MODE_LEXICAL}
    found = await search(stub, "rome", link_depth=2, **lexical)
    request = memory_pb2.SearchNotesRequest(
        parent="agents/me", query="rome", mode=memory_pb2.SEARCH_MODE_LEXICAL, link_depth=2, page_size=3
    )
    first = await stub.SearchNotes(request, metadata=PLANNER)
    request.page_token = first.next_page_token
    second = await stub.SearchNotes(request, metadata=PLANNER)

    assert [hit.note.key for hit in found] == ["hit", "hit2", "linked", "deep"]
    assert found[2].linked_from == "agents/planner/notes/hit"
    assert [hit.note.key for hit in (*first.hits, *second.hits)] == ["hit", "hit2", "linked", "deep"]
    assert not second.next_page_token
    await refuses_forgeries(
        stub.SearchNotes, memory_pb2.SearchNotesRequest(parent="agents/me", query="rome"), PLANNER
    )


async def test_a_query_without_words_is_invalid(stub: MemoryServiceAsyncStub) -> None:
    assert await refusal(search(stub, "?!")) == "QUERY_INVALID"


async def test_notes_leave_ram_and_come_back_unnoticed(stub: MemoryServiceAsyncStub) -> None:
    for number in range(10):
        await put(stub, f"n{number}", f"{number}" * 20)
    usage = await stub.GetUsage(memory_pb2.GetUsageRequest(name="agents/me"), metadata=PLANNER)
    found = await get(stub, "n0")
    later = await stub.GetUsage(memory_pb2.GetUsageRequest(name="agents/me"), metadata=PLANNER)

    assert (usage.note_count, usage.used_bytes, usage.quota_bytes) == (10, 200, 2000)
    assert usage.resident_bytes <= usage.high_water_bytes == 80
    assert usage.evicted_count == 10 - usage.resident_count
    assert found.content == "0" * 20
    assert later.restored_count == 1


async def test_the_quota_is_refused_with_its_name_and_frees_with_a_delete(
    stub: MemoryServiceAsyncStub,
) -> None:
    await put(stub, "big", "x" * 1500)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await put(stub, "more", "x" * 501)
    await put(stub, "big", "x" * 1400)
    await stub.DeleteNote(memory_pb2.DeleteNoteRequest(name=name("big")), metadata=PLANNER)
    await put(stub, "more", "x" * 2000)

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason(refused.value) == "QUOTA_EXCEEDED"


async def test_an_expired_note_is_gone_and_makes_room(stub: MemoryServiceAsyncStub, clock: FakeClock) -> None:
    note = memory_pb2.Note(name=name("old"), content="x" * 1900)
    note.expire_time.FromDatetime(clock.now())
    note.expire_time.seconds += 60
    await stub.PutNote(memory_pb2.PutNoteRequest(note=note), metadata=PLANNER)
    clock.advance(61)
    gone = await refusal(get(stub, "old"))
    await put(stub, "new", "x" * 1900)

    assert gone == "NOTE_NOT_FOUND"
    assert (await get(stub, "new")).size_bytes == 1900


async def test_another_agent_reads_and_writes_only_through_a_grant(stub: MemoryServiceAsyncStub) -> None:
    await put(stub, "shared")
    await put(stub, "own")
    theirs = memory_pb2.Note(name=name("shared", "planner"), content="from the critic")
    written = await stub.PutNote(memory_pb2.PutNoteRequest(note=theirs), metadata=CRITIC)
    shared = memory_pb2.GetNoteRequest(name=name("shared", "planner"))
    own = memory_pb2.GetNoteRequest(name=name("own", "planner"))
    namesake = tokens.metadata("planner", tenant="other")

    assert written.note.writer == "agents/critic"
    assert (await stub.GetNote(shared, metadata=CRITIC)).note.content == "from the critic"
    assert await refusal(stub.GetNote(own, metadata=CRITIC)) == "PERMISSION_DENIED"
    assert await refusal(stub.GetNote(own, metadata=namesake)) == "NOTE_NOT_FOUND"
    assert (await get(stub, "shared")).content == "from the critic"
