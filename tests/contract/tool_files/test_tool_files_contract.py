"""What the files of an agent are to its tools: the same on the storage manager and on the fake."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from aios.api.storage.v1 import storage_pb2 as pb
from aios.api.storage.v1 import storage_pb2_grpc
from services.chassis.auth.identity import Caller, set_caller
from services.chassis.rpc.errors import KernelError
from services.storage.main import servicer
from services.tool.adapters.storage_files import StorageFiles
from services.tool.core.files import BadPath, FileEdit
from services.tool.ports import Files
from tests.fakes.access import AllowOwner
from tests.fakes.files import MemoryFiles
from tests.fakes.rpc import serving
from tests.fakes.storage import Kernel
from tests.fakes.tokens import ISSUER_FOR_TESTS, PassOn, metadata

SHARED = "agents/critic/files/review.md"

Put = Callable[[str, bytes], Awaitable[str]]
"""Writes a file as its owner would, and returns its etag."""


class World:
    """Files of `planner`, and how to put some there."""

    def __init__(self, files: Files, put: Put, marked: Callable[[], bool]) -> None:
        self.files = files
        self.put = put
        self.marked = marked
        """Whether the planner is marked as having read what nobody vouches for."""

    async def refused(self, *edits: FileEdit) -> str:
        with pytest.raises(KernelError) as refused:
            await self.files.write(edits, request_id="")
        return refused.value.reason


@pytest.fixture(params=["memory", "storage"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Yield the files of an agent whose call runs."""
    token = ISSUER_FOR_TESTS.token("planner", act={"sub": "tool"})
    set_caller(Caller("planner", "acme", owner="planner", trace_id="0" * 32, token=token))
    if request.param == "memory":
        memory = MemoryFiles()

        async def keep(path: str, data: bytes) -> str:
            return memory.put(path, data)

        yield World(memory, keep, lambda: False)
        return
    rights = (("planner", f"storage.{what}", SHARED) for what in ("read", "write"))
    access = AllowOwner(*rights)
    async with serving(servicer(Kernel().service), authorizer=access) as channel:
        stub: storage_pb2_grpc.StorageServiceAsyncStub = storage_pb2_grpc.StorageServiceStub(channel)

        async def put(path: str, data: bytes) -> str:
            name = path if path == SHARED else f"agents/planner/files/{path}"
            owner = "critic" if path == SHARED else "planner"
            sent = pb.WriteFileRequest(name=name, content=data)
            return (await stub.WriteFile(sent, metadata=metadata(owner))).file.etag

        yield World(StorageFiles(channel, PassOn()), put, lambda: "planner" in access.marked)


async def test_a_file_is_read_in_parts_that_say_whether_it_goes_on(world: World) -> None:
    etag = await world.put("notes/todo.txt", b"0123456789")

    part = await world.files.read("notes/todo.txt", limit=4, offset=2)
    assert (part.data, part.truncated, part.stat.etag, part.stat.size) == (b"2345", True, etag, 10)
    rest = await world.files.read("notes/todo.txt", limit=100, offset=2)
    assert (rest.data, rest.truncated) == (b"23456789", False)
    assert (await world.files.read("notes/todo.txt", limit=0)).data == b""
    assert (await world.files.stat("notes/todo.txt")).etag == etag
    assert not part.stat.untrusted
    assert not world.marked()


async def test_files_are_listed_by_pattern_and_bounded(world: World) -> None:
    for path in ("a.py", "src/b.py", "src/deep/c.py", "src/d.txt"):
        await world.put(path, b"x")

    found = await world.files.list("", "**.py", limit=10)
    assert [file.path for file in found.files] == ["a.py", "src/b.py", "src/deep/c.py"]
    assert not found.more
    inside = await world.files.list("src", "*.py", limit=10)
    assert [file.path for file in inside.files] == ["src/b.py"]
    some = await world.files.list("", "**", limit=2)
    assert (len(some.files), some.more) == (2, True)
    assert (await world.files.list("nowhere", "**", limit=2)).files == ()


async def test_an_own_file_whose_path_looks_like_anothers_is_listed_by_its_full_name(world: World) -> None:
    if isinstance(world.files, MemoryFiles):
        pytest.skip("the fake keeps paths as they are written")
    await world.put("agents/critic/files/trap", b"own")

    (found,) = (await world.files.list("", "**", limit=9)).files
    assert found.path == "agents/me/files/agents/critic/files/trap"
    assert (await world.files.read(found.path, limit=9)).data == b"own"


async def test_several_files_change_as_one_write(world: World) -> None:
    kept, gone = await world.put("src/kept", b"old"), await world.put("src/gone", b"x")
    edits = [
        FileEdit("src/new", "", b"made"),
        FileEdit("src/gone", gone, None),
        FileEdit("src/kept", kept, b"new"),
    ]

    made = await world.files.write(edits, request_id="r1")
    again = await world.files.write(edits, request_id="r1")

    assert [file.path for file in made] == ["src/new", "src/gone", "src/kept"]
    assert made[1].etag == ""
    assert made[2].etag not in ("", kept)
    assert list(again) == list(made)
    listed = await world.files.list("", "**", limit=9)
    assert [file.path for file in listed.files] == ["src/kept", "src/new"]


async def test_one_file_is_made_or_replaced_only_as_it_was_read(world: World) -> None:
    (made,) = await world.files.write([FileEdit("a", "", b"1")], request_id="")
    (changed,) = await world.files.write([FileEdit("a", made.etag, b"2")], request_id="")

    assert changed.etag != made.etag
    assert await world.refused(FileEdit("a", made.etag, b"3")) == "ETAG_MISMATCH"
    assert await world.refused(FileEdit("a", "", b"3")) == "ALREADY_EXISTS"
    assert await world.refused(FileEdit("b", made.etag, b"3")) == "FILE_NOT_FOUND"
    assert (await world.files.read("a", limit=9)).data == b"2"


async def test_a_write_that_does_not_fit_in_one_place_changes_nothing(world: World) -> None:
    etag = await world.put("a", b"1")
    await world.put("b", b"1")

    assert await world.refused(FileEdit("a", etag, b"2"), FileEdit("b", "other", b"2")) == "ETAG_MISMATCH"
    assert (await world.files.read("a", limit=9)).data == b"1"


async def test_another_agents_file_is_read_and_written_by_its_full_name_and_marks(world: World) -> None:
    etag = await world.put(SHARED, b"orders")

    read = await world.files.read(SHARED, limit=10)
    assert (read.data, read.stat.path, read.stat.untrusted) == (b"orders", SHARED, True)
    (written,) = await world.files.write([FileEdit(SHARED, etag, b"mine")], request_id="")
    assert written.path == SHARED
    assert written.untrusted
    assert world.marked() or isinstance(world.files, MemoryFiles)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "./a", "a\0b", "a\\b", "a\nb", "e\u0301", "\ud800"],
)
async def test_a_path_that_no_file_may_have_is_refused(world: World, path: str) -> None:
    with pytest.raises(BadPath):
        await world.files.read(path, limit=1)
    with pytest.raises(BadPath):
        await world.files.write([FileEdit(path, "", b"x")], request_id="")
    with pytest.raises(BadPath):
        await world.files.stat(path)


@pytest.mark.parametrize(
    "edits",
    [
        [],
        [FileEdit("a", "", b""), FileEdit("a", "", b"")],
        [FileEdit("a", "", b""), FileEdit("agents/critic/files/a", "", b"")],
        [FileEdit("a", "", bytes(2 * 1024 * 1024 + 1))],
        [FileEdit(f"{n}", "", bytes(2 * 1024 * 1024)) for n in range(2)],
        [FileEdit(f"{n}", "", b"") for n in range(257)],
    ],
)
async def test_more_than_one_write_may_carry_is_refused(world: World, edits: list[FileEdit]) -> None:
    with pytest.raises(BadPath):
        await world.files.write(edits, request_id="")
