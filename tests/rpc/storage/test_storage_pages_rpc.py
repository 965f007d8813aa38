"""Pages of every list of storage while its rows change: what stays as it is appears exactly once."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct

from aios.api.storage.v1 import resources_pb2 as res
from aios.api.storage.v1 import storage_pb2 as pb
from aios.api.storage.v1 import storage_pb2_grpc
from services.chassis.rpc import paging
from services.chassis.runtime.clock import SystemClock
from services.storage.main import servicer
from services.storage.store.sql import MIGRATIONS, SqlIndex
from tests.fakes import tokens
from tests.fakes.databases import migrated
from tests.fakes.rpc import reason, serving
from tests.fakes.storage import Kernel, storage_limits

ME = tokens.metadata("planner")
FILES = "agents/planner/files"
ROWS = 24
WORDS = ["amber", "basalt", "cobalt", "dune", "ember"]
Change = Callable[[], Awaitable[object]]


@pytest.fixture(params=["memory", "sqlite"])
async def kernel(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Kernel]:
    limits = storage_limits(files=1_000, size=10_000_000, versions=50)
    if request.param == "memory":
        yield Kernel(limits=limits)
        return
    async with migrated(f"sqlite:///{tmp_path}/storage.db", MIGRATIONS) as database:
        yield Kernel(index=SqlIndex(database, SystemClock()), limits=limits)


@pytest.fixture
async def stub(kernel: Kernel) -> AsyncIterator[Any]:
    async with serving(servicer(kernel.service)) as channel:
        yield storage_pb2_grpc.StorageServiceStub(channel)


def text(rng: random.Random) -> bytes:
    return " ".join(rng.choices(WORDS, k=rng.randrange(3, 30))).encode()


async def write(stub: Any, path: str, content: bytes) -> None:
    await stub.WriteFile(pb.WriteFileRequest(name=f"{FILES}/{path}", content=content), metadata=ME)


async def remove(stub: Any, path: str) -> None:
    await stub.DeleteFile(pb.DeleteFileRequest(name=f"{FILES}/{path}", allow_missing=True), metadata=ME)


async def disturb_files(stub: Any, rng: random.Random, round_: int) -> None:
    """Make, change and delete files whose names begin with x; the others stay as they are."""
    for number in range(6):
        path = f"x{rng.randrange(40):02}"
        if rng.random() < 0.4:
            await remove(stub, path)
        else:
            await write(stub, path, text(rng) + f" amber {round_} {number}".encode())


async def pages(method: Any, request: Any, disturb: Callable[[int], Awaitable[None]]) -> list[Any]:
    found, round_ = [], 0
    while True:
        response = await method(request, metadata=ME)
        found.append(response)
        request.page_token = response.next_page_token
        if not request.page_token:
            return found
        round_ += 1
        await disturb(round_)


MODES = [pb.SEARCH_MODE_LEXICAL, pb.SEARCH_MODE_SEMANTIC, pb.SEARCH_MODE_HYBRID]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
async def test_a_search_shows_each_file_that_stays_once(stub: Any, mode: pb.SearchMode, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a workload, not a secret
    for number in range(ROWS):
        await write(stub, f"s{number:02}", b"amber " + text(rng))
        await write(stub, f"x{number:02}", b"amber " + text(rng))
    request = pb.SearchFilesRequest(parent=FILES, query="amber dune", mode=mode, page_size=5)
    shown = await pages(stub.SearchFiles, request, lambda round_: disturb_files(stub, rng, round_))

    names = [hit.file.name.removeprefix(f"{FILES}/") for page in shown for hit in page.hits]
    assert sorted(name for name in names if name.startswith("s")) == [f"s{n:02}" for n in range(ROWS)]
    assert len(names) == len(set(names))
    scores = [hit.score for page in shown for hit in page.hits]
    assert scores == sorted(scores, reverse=True)


async def test_who_deletes_what_each_page_shows_is_shown_everything(stub: Any) -> None:
    rng = random.Random(7)  # noqa: S311
    for number in range(40):
        await write(stub, f"s{number:02}", b"amber " + text(rng))
    request = pb.SearchFilesRequest(
        parent=FILES, query="amber dune", mode=pb.SEARCH_MODE_HYBRID, page_size=10
    )
    seen: list[str] = []
    while True:
        response = await stub.SearchFiles(request, metadata=ME)
        seen += [hit.file.name for hit in response.hits]
        for hit in response.hits:
            await stub.DeleteFile(pb.DeleteFileRequest(name=hit.file.name), metadata=ME)
        request.page_token = response.next_page_token
        if not request.page_token:
            break

    assert len(seen) == len(set(seen)) == 40


@pytest.mark.parametrize("recursive", [True, False])
async def test_a_listing_shows_each_file_that_stays_once(stub: Any, *, recursive: bool) -> None:
    rng = random.Random(1)  # noqa: S311
    for number in range(ROWS):
        await write(stub, f"s{number:02}", b"a")
    request = pb.ListFilesRequest(parent=FILES, page_size=5, recursive=recursive)
    shown = await pages(stub.ListFiles, request, lambda round_: disturb_files(stub, rng, round_))

    names = [file.name.removeprefix(f"{FILES}/") for page in shown for file in page.files]
    assert [name for name in names if name.startswith("s")] == [f"s{n:02}" for n in range(ROWS)]
    assert len(names) == len(set(names))


async def test_versions_and_trash_show_what_stays_once(stub: Any) -> None:
    for number in range(ROWS):
        await write(stub, "v", str(number).encode())
        await write(stub, f"t{number}", b"a")
        await remove(stub, f"t{number}")

    async def disturb(round_: int) -> None:
        await write(stub, "v", f"new {round_}".encode())
        await write(stub, f"u{round_}", b"a")
        await remove(stub, f"u{round_}")

    versions = pb.ListVersionsRequest(name=f"{FILES}/v", page_size=5)
    found = [v.version for page in await pages(stub.ListVersions, versions, disturb) for v in page.versions]
    assert found == list(range(ROWS, 0, -1))
    trash = pb.ListTrashRequest(parent="agents/me", page_size=5)
    names = [file.name for page in await pages(stub.ListTrash, trash, disturb) for file in page.files]
    assert [n for n in names if "/t" in n] == [f"{FILES}/t{number}" for number in range(ROWS - 1, -1, -1)]
    assert len(names) == len(set(names))


async def put(stub: Any, key: str, words: str) -> None:
    fields = Struct()
    fields.update({"kind": "row"})
    record = res.Record(key=key, fields=fields, text=words)
    request = pb.PutRecordsRequest(collection="agents/me/collections/c", records=[record])
    await stub.PutRecords(request, metadata=ME)


@pytest.mark.parametrize("mode", [None, *MODES])
async def test_a_query_shows_each_record_that_stays_once(stub: Any, mode: pb.SearchMode | None) -> None:
    rng = random.Random(2)  # noqa: S311
    for number in range(ROWS):
        await put(stub, f"s{number:02}", "amber " + text(rng).decode())

    async def disturb(round_: int) -> None:
        for _ in range(6):
            key = f"x{rng.randrange(30):02}"
            if rng.random() < 0.4:
                doomed = pb.DeleteRecordsRequest(collection="agents/me/collections/c", keys=[key])
                await stub.DeleteRecords(doomed, metadata=ME)
            else:
                await put(stub, key, "amber " * round_ + text(rng).decode())

    request = pb.QueryRecordsRequest(collection="agents/me/collections/c", page_size=5)
    if mode is not None:
        request.query, request.mode = "amber dune", mode
    keys = [hit.record.key for page in await pages(stub.QueryRecords, request, disturb) for hit in page.hits]

    assert sorted(key for key in keys if key.startswith("s")) == [f"s{n:02}" for n in range(ROWS)]
    assert len(keys) == len(set(keys))


async def test_shares_show_what_stays_once(stub: Any) -> None:
    await write(stub, "a", b"a")

    async def give(grantee: str) -> None:
        share = pb.ShareFileRequest(name=f"{FILES}/a", grantee=grantee, role=res.SHARE_ROLE_READER)
        await stub.ShareFile(share, metadata=ME)

    for number in range(ROWS):
        await give(f"agents/s{number:02}")
        await give(f"agents/x{number:02}")

    async def disturb(round_: int) -> None:
        for number in (round_, round_ + 7):
            gone = pb.RevokeShareRequest(name=f"{FILES}/a", grantee=f"agents/x{number:02}")
            await stub.RevokeShare(gone, metadata=ME)

    request = pb.ListSharesRequest(name=f"{FILES}/a", page_size=5)
    names = [s.grantee for page in await pages(stub.ListShares, request, disturb) for s in page.shares]
    assert sorted(n for n in names if "/s" in n) == [f"agents/s{number:02}" for number in range(ROWS)]
    assert len(names) == len(set(names))


async def test_a_file_that_is_gone_is_left_out_and_a_forged_token_is_refused(stub: Any) -> None:
    for number in range(8):
        await write(stub, f"s{number}", b"amber")
    request = pb.SearchFilesRequest(parent=FILES, query="amber", page_size=3)
    first = await stub.SearchFiles(request, metadata=ME)
    left = {f"{FILES}/s{n}" for n in range(8)} - {hit.file.name for hit in first.hits}
    gone = min(left)
    await remove(stub, gone.removeprefix(f"{FILES}/"))
    request.page_token = first.next_page_token
    second = await stub.SearchFiles(request, metadata=ME)
    query = ("hits", "acme", "planner", "", "amber", "hybrid", "", 0.0, 0)

    assert gone not in {hit.file.name for hit in second.hits}
    assert len(second.hits) == 3
    forged: list[list[paging.Key]] = [[3], ["f" * 32, 3], ["\0", 3], ["f" * 32, -3]]
    for position in forged:
        request.page_token = paging.encode(position, *query)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.SearchFiles(request, metadata=ME)
        assert (refused.value.code(), reason(refused.value)) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_PAGE_TOKEN",
        )
