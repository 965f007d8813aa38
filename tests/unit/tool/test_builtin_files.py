"""The built-in tools that read, list and change files: what they answer, how they fail, what they cost."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc.errors import KernelError
from services.tool.core.files import MAX_FILE_BYTES, BadPath
from services.tool.drivers.builtin.catalog import TOOLS
from services.tool.drivers.builtin.limits import (
    MAX_LINE_BYTES,
    MAX_LINES,
    MAX_SCANNED_BYTES,
    MAX_SHOWN_BYTES,
    PART_BYTES,
)
from services.tool.drivers.builtin.lines import LineCollector
from services.tool.errors import ArgumentsInvalid, CapabilityMissing, ToolFailed
from services.tool.model import Driver, DriverKind, Effect, Tool
from tests.fakes.tool_jobs import PLANNER, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_file_is_read_by_lines_and_says_where_it_goes_on(bench: Bench) -> None:
    etag = bench.files.put("notes.txt", b"one\ntwo\nthree\nfour")

    part = await bench("read_file", path="notes.txt", first_line=2, lines=2)
    assert part == {
        "result": "two\nthree\n", "path": "notes.txt", "etag": etag, "size": 18, "first_line": 2, "lines": 2,
        "truncated": True, "next_line": 4,
    }  # fmt: skip
    rest = await bench("read_file", path="notes.txt", first_line=4)
    assert (rest["result"], rest["lines"], rest["truncated"]) == ("four", 1, False)
    beyond = await bench("read_file", path="notes.txt", first_line=9)
    assert (beyond["result"], beyond["lines"], beyond["truncated"]) == ("", 0, False)


async def test_a_huge_file_is_read_in_bounded_parts_from_any_byte(bench: Bench) -> None:
    size = MAX_SCANNED_BYTES + PART_BYTES
    bench.files.put("huge", b"\n" * size)
    bench.files.put("wide", b"x" * (3 * PART_BYTES) + b"\nend")

    missed = await bench("read_file", path="huge", first_line=1_000_000_000)
    assert (missed["truncated"], missed["next_byte"]) == (True, MAX_SCANNED_BYTES)
    tail = await bench("read_file", path="huge", first_byte=size - 2)
    assert (tail["result"], tail["truncated"]) == ("\n\n", False)
    many = await bench("read_file", path="huge")
    assert (many["lines"], many["next_line"]) == (MAX_LINES, MAX_LINES + 1)
    wide = await bench("read_file", path="wide")
    assert (len(wide["result"]), wide["lines"], wide["long_lines_cut"]) == (MAX_LINE_BYTES + 4, 2, True)
    assert wide["result"].endswith("\nend")


async def test_a_file_that_changes_while_it_is_read_is_told(bench: Bench) -> None:
    bench.files.put("growing", b"x" * (2 * PART_BYTES))
    read = bench.files.read

    async def meddled(path: str, *, limit: int, offset: int = 0) -> Any:
        part = await read(path, limit=limit, offset=offset)
        bench.files.put("growing", b"y" * (2 * PART_BYTES))
        return part

    bench.files.read = meddled  # type: ignore[method-assign]
    with pytest.raises(ToolFailed, match="changed while it was read"):
        await bench("read_file", path="growing", first_line=2)


@given(
    text=st.text(alphabet="ab\n", max_size=60).map(str.encode),
    first=st.integers(1, 12),
    most=st.integers(1, 12),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)
def test_lines_are_those_of_the_text_however_it_is_cut(
    text: bytes, first: int, most: int, cuts: list[int]
) -> None:
    lines = LineCollector(first, most)
    edges = [0, *sorted(cuts), len(text)]
    for start, end in pairwise(edges):
        lines.feed(text[start:end])
    lines.finish()

    whole = text.splitlines(keepends=True)
    assert lines.text == b"".join(whole[first - 1 : first - 1 + most])
    assert lines.shown == len(whole[first - 1 : first - 1 + most])


async def test_a_file_is_written_new_or_as_it_was_read(bench: Bench) -> None:
    made = await bench("write_file", path="dir/a.txt", content="1")
    with pytest.raises(KernelError) as exists:
        await bench("write_file", path="dir/a.txt", content="2")
    assert exists.value.reason == "ALREADY_EXISTS"
    changed = await bench("write_file", path="dir/a.txt", content="2", etag=made["etag"])
    with pytest.raises(KernelError) as stale:
        await bench("write_file", path="dir/a.txt", content="3", etag=made["etag"])
    assert stale.value.reason == "ETAG_MISMATCH"
    await bench("write_file", path="dir/a.txt", content="3", overwrite=True)
    await bench("write_file", path="dir/b.txt", content="new", overwrite=True)

    assert changed["result"] == "wrote 1 bytes to dir/a.txt"
    assert bench.files.contents == {"dir/a.txt": b"3", "dir/b.txt": b"new"}


async def test_a_repeated_call_writes_once(bench: Bench) -> None:
    first = await bench("write_file", "same", path="a", content="1")
    again = await bench("write_file", "same", path="a", content="1")

    assert again == first
    assert len(bench.files.writes) == 1


async def test_an_edit_replaces_exactly_one_place_or_all(bench: Bench) -> None:
    etag = bench.files.put("a.py", b"x = 1\ny = 1\n")

    done = await bench("edit", path="a.py", old_text="x = 1", new_text="x = 2", etag=etag)
    assert (bench.files.contents["a.py"], done["result"]) == (b"x = 2\ny = 1\n", "replaced once in a.py")
    await bench("edit", path="a.py", old_text=" = ", new_text="=", replace_all=True)
    assert bench.files.contents["a.py"] == b"x=2\ny=1\n"
    for old, why in (("z", "not in the file"), ("=", "2 times")):
        with pytest.raises(ToolFailed, match=why):
            await bench("edit", path="a.py", old_text=old, new_text="")
    with pytest.raises(ToolFailed, match="has changed since"):
        await bench("edit", path="a.py", old_text="x", new_text="y", etag=etag)
    assert bench.files.contents["a.py"] == b"x=2\ny=1\n"


async def test_what_is_no_text_or_would_grow_too_large_is_not_edited(bench: Bench) -> None:
    bench.files.put("binary", b"\0\1")
    bench.files.put("latin", "ä".encode("latin-1"))
    bench.files.put("huge", b"x" * (MAX_FILE_BYTES + 1))
    bench.files.put("bomb", b"x" * 100_000)

    for path, why in (("binary", "no text"), ("latin", "no text in UTF-8"), ("huge", "longer than")):
        with pytest.raises(ToolFailed, match=why):
            await bench("edit", path=path, old_text="x", new_text="y")
    with pytest.raises(ToolFailed, match="would be longer"):
        await bench("edit", path="bomb", old_text="x", new_text="y" * 500_000, replace_all=True)
    with pytest.raises(ToolFailed, match="half characters"):
        await bench("write_file", path="half", content="\ud800")
    assert bench.files.writes == []


async def test_files_are_found_by_names_with_any_directories_or_none(bench: Bench) -> None:
    for path in ("a.py", "src/b.py", "src/deep/c.py", "src/deep/d.txt"):
        bench.files.put(path, b"12")

    async def paths(**arguments: Any) -> list[str]:
        return [file["path"] for file in (await bench("glob", **arguments))["result"]]

    assert await paths(pattern="**/*.py") == ["a.py", "src/b.py", "src/deep/c.py"]
    assert await paths(pattern="src/**/?.py") == ["src/b.py", "src/deep/c.py"]
    assert await paths(pattern="*.py", directory="src") == ["src/b.py"]
    assert await paths(pattern="nothing*") == []
    cut = await bench("glob", pattern="**", limit=2)
    assert (cut["result"], cut["truncated"]) == (
        [{"path": "a.py", "size": 2}, {"path": "src/b.py", "size": 2}],
        True,
    )
    with pytest.raises(ToolFailed, match="at most three"):
        await bench("glob", pattern="**/" * 12 + "*")


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a\0b", "a\\b", "a/./b", "e\u0301", "\ud800"])
@pytest.mark.parametrize(
    ("tool", "more"),
    [
        ("read_file", {}),
        ("write_file", {"content": "x"}),
        ("write_file", {"content": "x", "overwrite": True}),
        ("edit", {"old_text": "a", "new_text": "b"}),
        ("json_query", {"query": "@"}),
    ],
)
async def test_no_tool_takes_a_path_that_no_file_may_have(
    bench: Bench, tool: str, more: dict[str, Any], path: str
) -> None:
    with pytest.raises(BadPath):
        await bench(tool, path=path, **more)


async def test_what_nobody_vouches_for_is_told_of_the_result(bench: Bench) -> None:
    bench.files.put("clean", b"{}\n")
    bench.files.put("dirty", b"{}\n")
    bench.files.untrusted = {"dirty"}

    for tool, more in (
        ("read_file", {}),
        ("json_query", {"query": "@"}),
        ("csv_query", {"sql": "select * from t"}),
    ):
        for path, untrusted in (("clean", False), ("dirty", True)):
            named = {"tables": {"t": path}} if tool == "csv_query" else {"path": path}
            outcome = await bench.outcome(tool, **named, **more)
            assert outcome.untrusted is untrusted, (tool, path)
    for tool, more in (("glob", {}), ("grep", {"files": "clean"}), ("grep", {})):
        outcome = await bench.outcome(tool, pattern="**" if tool == "glob" else "x", **more)
        assert outcome.untrusted is ("files" not in more)


async def test_every_schema_refuses_what_its_tool_does_not_know(bench: Bench) -> None:
    for tool in TOOLS:
        with pytest.raises(ArgumentsInvalid):
            await bench(tool.id, surprise=1)


async def test_another_name_of_a_function_keeps_its_arguments_and_its_effect(bench: Bench) -> None:
    def named(function: str, effect: Effect) -> Tool:
        driver = Driver(DriverKind.BUILTIN, function)
        return Tool(id="mine", parameters_schema="{}", effect=effect, driver=driver)

    taken = await bench.driver.prepare(PLANNER, named("write_file", Effect.PURE))
    assert taken.effect is Effect.REVERSIBLE
    assert '"content"' in taken.parameters_schema
    assert (await bench.driver.prepare(PLANNER, named("clock", Effect.IRREVERSIBLE))).needs_approval
    with pytest.raises(CapabilityMissing):
        await bench.driver.prepare(PLANNER, named("unheard-of", Effect.PURE))


async def test_what_is_shown_of_a_file_fits_into_a_result(bench: Bench) -> None:
    bench.files.put("wide", (b"\x01" * 1_000 + b"\n") * 1_000)

    shown = await bench("read_file", path="wide")
    assert len(shown["result"]) <= MAX_SHOWN_BYTES
    assert shown["truncated"]
