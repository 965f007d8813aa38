"""Memory, files and tools against a fake kernel."""

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

import aios
from aios import errors
from aios.kernel import Kernel
from aios.testing import FakeKernel
from aios.types.drafts import Example
from aios.types.llm import ToolSpec
from aios.types.memory import NoteLink
from aios.types.tools import text_of


async def test_a_note_is_put_read_changed_and_deleted(agent: Kernel) -> None:
    written = await agent.memory.put(
        "trip/budget", "1200 EUR", tags=["trip"], importance=0.8, expire_time=datetime(2030, 1, 1, tzinfo=UTC)
    )
    read = await agent.memory.get("trip/budget")
    changed = await agent.memory.update("trip/budget", content="1500 EUR", category="money", etag=read.etag)
    await agent.memory.delete("trip/budget")

    assert written.content == ""
    assert read.content == "1200 EUR"
    assert read.key == "trip/budget"
    assert read.name == "agents/planner/notes/trip/budget"
    assert read.tags == ("trip",)
    assert read.importance == 0.8
    assert read.expire_time == datetime(2030, 1, 1, tzinfo=UTC)
    assert read.residence == "memory"
    assert changed.category == "money"
    assert changed.etag != read.etag
    with pytest.raises(errors.NotFound) as caught:
        await agent.memory.get("trip/budget")
    assert (caught.value.reason, caught.value.metadata) == ("NOTE_NOT_FOUND", {"key": "trip/budget"})
    await agent.memory.delete("trip/budget", missing_ok=True)


async def test_a_stale_etag_loses(agent: Kernel) -> None:
    first = await agent.memory.put("k", "1")
    await agent.memory.put("k", "2")

    with pytest.raises(errors.EtagMismatch):
        await agent.memory.put("k", "3", etag=first.etag)
    with pytest.raises(errors.AlreadyExists):
        await agent.memory.put("k", "4", mode="create")


async def test_notes_are_listed_searched_linked_and_counted(agent: Kernel) -> None:
    await agent.memory.put("a", "green tea from Japan", tags=["tea"])
    await agent.memory.put("b", "black coffee")
    linked = await agent.memory.link("a", add=[NoteLink(note="b", kind="related", weight=0.5)])
    unlinked = await agent.memory.link("a", remove=["b"])
    hits = await agent.memory.search("tea japan")
    usage = await agent.memory.usage()

    assert [note.key for note in await agent.memory.list()] == ["a", "b"]
    assert [note.key for note in await agent.memory.list(tags=["tea"], with_content=False)] == ["a"]
    assert linked.links == (NoteLink(note="agents/planner/notes/b", kind="related", weight=0.5),)
    assert unlinked.links == ()
    assert hits[0].note.content == "green tea from Japan"
    assert hits[0].score == 1.0
    assert usage.note_count == 2


async def test_a_naive_time_is_refused(agent: Kernel) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await agent.memory.put("k", "v", expire_time=datetime(2030, 1, 1))  # noqa: DTZ001  # the point


async def test_another_agents_notes_need_a_grant(fake: FakeKernel, agent: Kernel) -> None:
    async with fake.agent("critic") as critic:
        await critic.memory.put("k", "v")

    with pytest.raises(errors.PermissionDenied):
        await agent.memory.get("k", agent="critic")
    fake.grant("critic", "planner")
    assert (await agent.memory.get("k", agent="critic")).content == "v"
    with pytest.raises(errors.PermissionDenied):
        await agent.memory.put("k", "w", agent="critic")


async def test_a_file_has_versions_that_can_be_compared_and_restored(agent: Kernel) -> None:
    await agent.files.write("/notes/may.md", "one\n", comment="first")
    second = await agent.files.write("notes/may.md", "one\ntwo\n", etag="v1")
    difference = await agent.files.diff("notes/may.md")
    bare = await agent.files.diff("notes/may.md", context_lines=0)
    versions = await agent.files.versions("notes/may.md")
    restored = await agent.files.rollback("notes/may.md", version=1)

    assert second.version == 2
    assert second.path == "notes/may.md"
    assert difference.added_lines == 1
    assert "+two" in difference.unified_diff
    assert " one" in difference.unified_diff
    assert "+two" in bare.unified_diff
    assert " one" not in bare.unified_diff
    assert [version.version for version in versions] == [2, 1]
    assert versions[1].comment == "first"
    assert restored.version == 3
    assert await agent.files.read_text("notes/may.md") == "one\n"
    assert await agent.files.read("notes/may.md", version=2, offset=4, length=3) == b"two"


async def test_files_are_listed_moved_copied_deleted_and_restored(agent: Kernel) -> None:
    await agent.files.write("a/x.txt", "tea")
    await agent.files.write("a/y.md", "coffee")
    await agent.files.write("top.txt", "")
    directory = await agent.files.mkdir("new")

    assert directory.kind == "directory"
    assert [file.path for file in await agent.files.list()] == ["a", "top.txt"]
    assert [f.path for f in await agent.files.list(recursive=True, pattern="**.txt")] == [
        "a/x.txt",
        "top.txt",
    ]
    assert [f.path for f in await agent.files.list(recursive=True, pattern="*.txt")] == ["top.txt"]
    assert (await agent.files.move("a/x.txt", "b/x.txt")).path == "b/x.txt"
    assert (await agent.files.copy("b/x.txt", "c/x.txt")).size_bytes == 3
    assert (await agent.files.stat("b")).kind == "directory"
    with pytest.raises(errors.PreconditionFailed):
        await agent.files.delete("b")
    assert await agent.files.delete("b", recursive=True) == 1
    assert (await agent.files.restore("b/x.txt")).path == "b/x.txt"
    assert [hit.file.path for hit in await agent.files.search("coffee")] == ["a/y.md"]
    assert (await agent.files.usage()).file_count == 4


async def test_a_big_file_goes_up_in_chunks_and_survives_lost_answers(
    fake: FakeKernel, agent: Kernel, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 5000
    local = tmp_path / "big.bin"
    await asyncio.to_thread(local.write_bytes, data)
    fake.fail_next("UploadChunk", errors.Unavailable("restarting"))
    fake.fail_next("CommitUpload", errors.Unavailable("restarting"))

    uploaded = await agent.files.upload("big.bin", local)
    written = await agent.files.write("big2.bin", data)
    streamed = await agent.files.upload("big3.bin", io.BytesIO(data))
    copied = await agent.files.download("big.bin", tmp_path / "copy.bin")

    assert uploaded.size_bytes == written.size_bytes == streamed.size_bytes == copied == len(data)
    assert await asyncio.to_thread((tmp_path / "copy.bin").read_bytes) == data


async def test_an_interrupted_read_goes_on_where_it_stopped(fake: FakeKernel, agent: Kernel) -> None:
    data = bytes(200_000)
    await agent.files.write("f", data)
    with fake.intercept() as calls:
        calls.fail_next("ReadFile", errors.Unavailable("gone"), after=3)
        assert await agent.files.read("f") == data

    first, second = calls.requests("ReadFile")
    assert first["offset"] == "0"
    assert int(second["offset"]) > 0
    assert second["version"] == "1"


@aios.tool
async def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@aios.tool
def explode() -> None:
    """Fail."""
    raise RuntimeError("bang")


async def test_a_kernel_tool_is_called_once_however_often_the_stream_breaks(
    fake: FakeKernel, agent: Kernel
) -> None:
    fake.add_tool(double)
    with fake.intercept() as calls:
        calls.fail_next("CallTool", errors.Unavailable("gone"), after=2)
        result = await agent.tools.call("double", {"number": 2**60})
        again = await agent.tools.call("double", {"number": 1}, request_id="same")
    joined = await agent.tools.call("double", {"number": 1}, request_id="same")

    assert result.value == 2**61
    assert str(again) == str(joined) == "2"
    assert calls.count("CallTool") == 2
    assert len(await agent.tools.calls()) == 2
    info = await agent.tools.get("tools/double")
    assert info.effect == "pure"
    assert info.spec.parameters["properties"] == {"number": {"type": "integer"}}


async def test_a_detached_call_is_found_again(fake: FakeKernel, agent: Kernel) -> None:
    fake.add_tool(double)

    name = await agent.tools.start("double", {"number": 4}, request_id="job")
    await agent.tools.call("double", {"number": 4}, request_id="job")
    call = await agent.tools.get_call(name)

    assert call.state == "succeeded"
    assert call.result is not None
    assert call.result.value == 8


async def test_local_functions_are_provided_to_other_agents(fake: FakeKernel, agent: Kernel) -> None:
    async with fake.agent("caller") as caller, agent.tools.provide(double, explode):
        assert str(await caller.tools.call("double", {"number": 21})) == "42"
        with pytest.raises(errors.ToolFailed, match="bang"):
            await caller.tools.call("explode")


async def test_a_cancelled_call_is_cancelled_where_it_runs(fake: FakeKernel, agent: Kernel) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    @aios.tool
    async def slow() -> None:
        """Take long."""
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    async with fake.agent("caller") as caller, agent.tools.provide(slow):
        task = asyncio.create_task(caller.tools.call("slow"))
        await asyncio.wait_for(started.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await asyncio.wait_for(stopped.wait(), 30)


async def test_a_call_that_runs_out_of_time_ends(fake: FakeKernel, agent: Kernel) -> None:
    @aios.tool
    async def slow() -> None:
        """Take long."""
        await asyncio.sleep(60)

    fake.add_tool(slow)

    with pytest.raises(errors.DeadlineExceeded):
        await agent.tools.call("slow", timeout=0.05)


async def test_a_provider_survives_lost_connections(fake: FakeKernel, agent: Kernel) -> None:
    fake.fail_next("TakeCalls", errors.Unavailable("gone"), after=1)
    fake.fail_next("CompleteCall", errors.Unavailable("gone"))
    async with fake.agent("caller") as caller, agent.tools.provide(double) as provider:
        assert (await caller.tools.call("double", {"number": 3})).value == 6
        waiting = asyncio.create_task(provider.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


async def test_a_provider_that_is_refused_says_so(fake: FakeKernel, agent: Kernel) -> None:
    fake.fail_next("TakeCalls", errors.PermissionDenied("not a provider"))

    with pytest.raises(errors.PermissionDenied):
        async with agent.tools.provide(double):
            raise AssertionError("the block must not be entered")


async def test_errors_of_tools_are_typed(fake: FakeKernel, agent: Kernel) -> None:
    fake.add_tool(double)
    fake.add_tool(explode)

    with pytest.raises(errors.ToolArgumentsInvalid):
        await agent.tools.call("double", {"number": "x"})
    with pytest.raises(errors.ToolFailed, match="bang"):
        await agent.tools.call("explode")
    with pytest.raises(errors.NotFound):
        await agent.tools.call("absent")


async def test_sandboxed_and_http_tools_are_registered(agent: Kernel) -> None:
    spec = ToolSpec("twice", "Double.", {"type": "object"})
    registered = await agent.tools.register_python(spec, "def twice(): ...", run_timeout=2.5)
    http = await agent.tools.register_http(ToolSpec("hook", "Call."), "https://example.org/x", method="GET")
    await agent.tools.unregister("hook")

    assert registered.timeout == 2.5
    assert registered.effect == "pure"
    assert http.id == "hook"
    assert [tool.id for tool in await agent.tools.list()] == ["twice"]


TRIED = (Example({"n": 1}, 2), Example({"n": 2}, schema={"type": "integer"}))


async def test_an_agent_makes_a_tool_of_its_own_and_shares_it_once_that_was_approved(
    fake: FakeKernel, agent: Kernel
) -> None:
    spec = ToolSpec("twice", "Double.", {"type": "object"})
    own = await agent.tools.register_python(spec, "def twice(n): return 2 * n", examples=TRIED)
    (sent,) = [call.request for call in fake.calls if call.method == "DraftTool"]
    assert [one["arguments_json"] for one in sent["draft"]["examples"]] == ['{"n": 1}', '{"n": 2}']
    assert own.id.endswith(".twice")

    found = await agent.drafts.get("twice")
    assert (found.state, found.source) == ("own", "def twice(n): return 2 * n")
    asked = await agent.drafts.share("twice")
    shared = await agent.drafts.share(found.name)
    assert (asked.state, bool(asked.approval)) == ("own", True)
    assert (shared.state, shared.shared_version) == ("shared", 1)
    (version,) = await agent.drafts.versions("twice")
    assert (version.number, version.current) == (1, True)
    assert (await agent.drafts.version("twice", 1)).draft.source == found.source
    assert [one.id for one in await agent.drafts.list()] == ["twice"]
    with pytest.raises(errors.PermissionDenied):
        await agent.drafts.revoke("twice")


async def test_a_tool_whose_examples_do_not_come_out_is_no_tool(agent: Kernel) -> None:
    spec = ToolSpec("twice", "Double.", {"type": "object"})
    with pytest.raises(errors.ToolFailed, match="it raised"):
        await agent.tools.register_python(spec, "raise ValueError", examples=TRIED)
    with pytest.raises(errors.PreconditionFailed):
        await agent.drafts.share("twice")

    assert await agent.tools.list() == []
    await agent.drafts.delete("twice")
    with pytest.raises(errors.NotFound):
        await agent.drafts.test("twice")


def test_results_read_as_plain_text() -> None:
    assert text_of({"result": 19.0}) == "19"
    assert text_of({"result": "ok"}) == "ok"
    assert text_of({"result": 2.5}) == "2.5"
    assert text_of(None) == "ok"
    assert text_of("text") == "text"
    assert text_of({"result": True}) == "true"
    assert text_of({"a": 1, "b": [1, "é"]}) == '{"a":1,"b":[1,"é"]}'


async def test_several_files_change_as_one_write(agent: Kernel) -> None:
    old = await agent.files.write("src/old", "1")
    kept = await agent.files.write("src/kept", "1")
    etags = {"src/old": old.etag, "src/kept": kept.etag}
    made = await agent.files.write_all({"src/new": "made", "src/old": None, "src/kept": b"2"}, etags=etags)

    assert [file.name.rpartition("/")[2] for file in made] == ["new", "old", "kept"]
    assert await agent.files.read_text("src/kept") == "2"
    with pytest.raises(errors.NotFound):
        await agent.files.read("src/old")
    with pytest.raises(errors.EtagMismatch):
        await agent.files.write_all(
            {"src/new": "x", "src/kept": "3"}, etags=etags | {"src/new": made[0].etag}
        )
    with pytest.raises(errors.AlreadyExists):
        await agent.files.write_all({"fresh": "x", "src/new": "y"})
    assert await agent.files.read_text("src/new") == "made"
