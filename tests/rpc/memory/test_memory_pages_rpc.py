"""Pages of notes while notes change: what stays as it is appears exactly once."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from aios.api.memory.v1 import memory_pb2 as pb
from services.chassis.auth.identity import Scope
from services.chassis.db.rankings import KEPT, PER_AGENT
from services.chassis.rpc import paging
from services.memory.ports import NoteStore, Transaction
from services.memory.store.sql import MIGRATIONS, SqlStore
from tests.fakes import tokens
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated
from tests.fakes.memory import memory_service, memory_stub
from tests.fakes.rpc import reason
from tests.fakes.stores.memory import InMemoryStore

ME = tokens.metadata("planner")
NOTES = "agents/planner/notes"
ROWS = 24
WORDS = ["amber", "basalt", "cobalt", "dune", "ember"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[NoteStore]:
    if request.param == "memory":
        yield InMemoryStore(clock)
        return
    postgres = request.param == "postgres"
    url = request.getfixturevalue("lent_postgres_url") if postgres else f"sqlite:///{tmp_path}/memory.db"
    async with migrated(url, MIGRATIONS, schema="memory" if postgres else "") as database:
        yield SqlStore(database, clock)


@pytest.fixture
async def stub(store: NoteStore, clock: FakeClock) -> AsyncIterator[Any]:
    async with memory_stub(memory_service(store=store, clock=clock)) as stub:
        yield stub


def text(rng: random.Random) -> str:
    return "amber " + " ".join(rng.choices(WORDS, k=rng.randrange(3, 30)))


async def put(stub: Any, key: str, content: str) -> None:
    note = pb.Note(name=f"{NOTES}/{key}", content=content)
    await stub.PutNote(pb.PutNoteRequest(note=note), metadata=ME)


async def disturb(stub: Any, rng: random.Random) -> None:
    """Make, change and delete notes whose keys begin with x; the others stay as they are."""
    for _ in range(6):
        key = f"x{rng.randrange(30):02}"
        if rng.random() < 0.4:
            doomed = pb.DeleteNoteRequest(name=f"{NOTES}/{key}", allow_missing=True)
            await stub.DeleteNote(doomed, metadata=ME)
        else:
            await put(stub, key, "amber " * rng.randrange(20) + text(rng))


async def pages(method: Any, request: Any, between: Callable[[], Awaitable[None]]) -> list[Any]:
    found = []
    while True:
        response = await method(request, metadata=ME)
        found.append(response)
        request.page_token = response.next_page_token
        if not request.page_token:
            return found
        await between()


@pytest.mark.parametrize("mode", [pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_SEMANTIC, pb.SEARCH_MODE_HYBRID])
async def test_a_search_shows_each_note_that_stays_once(stub: Any, mode: pb.SearchMode) -> None:
    rng = random.Random(mode)  # noqa: S311 - a workload, not a secret
    for number in range(ROWS):
        await put(stub, f"s{number:02}", text(rng))
        await put(stub, f"x{number:02}", text(rng))
    request = pb.SearchNotesRequest(parent="agents/me", query="amber dune", mode=mode, limit=100, page_size=5)
    shown = await pages(stub.SearchNotes, request, lambda: disturb(stub, rng))

    keys = [hit.note.name.removeprefix(f"{NOTES}/") for page in shown for hit in page.hits]
    assert sorted(key for key in keys if key.startswith("s")) == [f"s{n:02}" for n in range(ROWS)]
    assert len(keys) == len(set(keys))
    scores = [hit.score for page in shown for hit in page.hits]
    assert scores == sorted(scores, reverse=True)


async def test_who_deletes_what_each_page_shows_is_shown_everything(stub: Any) -> None:
    rng = random.Random(7)  # noqa: S311
    for number in range(60):
        await put(stub, f"s{number:02}", text(rng))
    request = pb.SearchNotesRequest(
        parent="agents/me", query="amber dune", mode=pb.SEARCH_MODE_HYBRID, limit=100, page_size=10
    )
    seen: list[str] = []
    while True:
        response = await stub.SearchNotes(request, metadata=ME)
        seen += [hit.note.name for hit in response.hits]
        for hit in response.hits:
            await stub.DeleteNote(pb.DeleteNoteRequest(name=hit.note.name), metadata=ME)
        request.page_token = response.next_page_token
        if not request.page_token:
            break

    assert len(seen) == len(set(seen)) == 60


@pytest.mark.parametrize("order", pb.NoteOrder.values())
async def test_a_listing_shows_each_note_that_stays_once(
    stub: Any, clock: FakeClock, order: pb.NoteOrder
) -> None:
    rng = random.Random(order)  # noqa: S311
    for number in range(ROWS):
        await put(stub, f"s{number:02}", text(rng))
        await put(stub, f"x{number:02}", text(rng))
        clock.advance(0.001)

    async def between() -> None:
        clock.advance(0.5)
        await disturb(stub, rng)

    request = pb.ListNotesRequest(parent="agents/me", order=order, page_size=5)
    shown = await pages(stub.ListNotes, request, between)

    keys = [note.name.removeprefix(f"{NOTES}/") for page in shown for note in page.notes]
    staying = [key for key in keys if key.startswith("s")]
    assert sorted(staying) == [f"s{n:02}" for n in range(ROWS)]


async def test_no_token_but_the_one_returned_is_taken(stub: Any) -> None:
    for number in range(8):
        await put(stub, f"s{number}", "amber")
    request = pb.SearchNotesRequest(parent="agents/me", query="amber", page_size=3, limit=100)
    first = await stub.SearchNotes(request, metadata=ME)
    query: list[paging.Key] = ["hits", "acme", "planner", 100, 0, 0, "0.0", "amber", ""]
    forged: list[list[paging.Key]] = [[3], ["f" * 32, 3], ["\0", 3], ["f" * 32, -3], ["f" * 32, 10**30]]
    for token in [paging.encode(position, *query) for position in forged]:
        request.page_token = token
        assert await refusal(stub.SearchNotes(request, metadata=ME)) == "INVALID_PAGE_TOKEN"
    request.page_token = first.next_page_token
    second = await stub.SearchNotes(request, metadata=ME)
    assert len({hit.note.name for hit in (*first.hits, *second.hits)}) == 6


async def refusal(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return reason(refused.value)


async def test_a_ranking_is_kept_for_a_while_only(store: NoteStore, clock: FakeClock) -> None:
    scope = Scope("acme", "planner")
    for number in range(PER_AGENT + 3):
        clock.advance(0.001)
        ranking, body = f"{number:032x}", f"body {number}".encode()
        await store.write(scope, _keeper(ranking, body))

    async def kept(number: int) -> bytes | None:
        return await store.read(scope, lambda tx: tx.ranking(f"{number:032x}"))

    assert await kept(PER_AGENT + 2) == f"body {PER_AGENT + 2}".encode()
    assert await kept(2) is None
    assert await kept(3) == b"body 3"
    assert await store.read(Scope("acme", "critic"), lambda tx: tx.ranking(f"{3:032x}")) is None
    clock.advance(KEPT.total_seconds())
    await store.collect()
    assert isinstance(store, InMemoryStore) or await kept(PER_AGENT + 2) is None


def _keeper(ranking: str, body: bytes) -> Callable[[Transaction], None]:
    return lambda tx: tx.keep_ranking(ranking, body)
