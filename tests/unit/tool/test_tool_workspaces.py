"""An agent's files checked out for a program, and what it changed committed as one write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc.errors import KernelError
from services.tool.core.files import BadPath, FileContent, FileEdit
from services.tool.core.workspaces import Workspace
from services.tool.drivers.workspace import check_out, commit
from services.tool.errors import ToolFailed
from tests.fakes.files import MemoryFiles


@pytest.fixture
def files() -> MemoryFiles:
    made = MemoryFiles()
    for path, data in {"src/a.py": b"a", "src/b.py": b"b", "notes.md": b"n"}.items():
        made.put(path, data)
    return made


async def test_what_matches_is_checked_out_and_what_changed_is_one_write(files: MemoryFiles) -> None:
    workspace = await check_out(files, ["src/**", "**.py"])
    assert workspace.files == {"src/a.py": b"a", "src/b.py": b"b"}

    await commit(files, workspace, {"src/a.py": b"A", "src/c.py": b"c"}, ["src/b.py"], request_id="r")

    assert files.contents == {"src/a.py": b"A", "src/c.py": b"c", "notes.md": b"n"}
    assert len(files.writes) == 1


async def test_nothing_is_written_where_nothing_changed(files: MemoryFiles) -> None:
    workspace = await check_out(files, ["**"])

    assert await commit(files, workspace, dict(workspace.files), request_id="r") == ()
    assert files.writes == []


@pytest.mark.parametrize("meanwhile", ["src/a.py", "src/made.py"])
async def test_what_somebody_changed_meanwhile_is_not_overwritten(files: MemoryFiles, meanwhile: str) -> None:
    workspace = await check_out(files, ["src/**"])
    files.put(meanwhile, b"theirs")

    with pytest.raises(KernelError) as refused:
        await commit(
            files, workspace, {"src/a.py": b"1", "src/b.py": b"2", "src/made.py": b"3"}, request_id="r"
        )

    assert refused.value.reason in {"ETAG_MISMATCH", "ALREADY_EXISTS"}
    assert files.contents["src/b.py"] == b"b"


async def test_too_many_or_too_large_files_are_refused_rather_than_cut(files: MemoryFiles) -> None:
    with pytest.raises(ToolFailed, match="more than 2 files"):
        await check_out(files, ["src/*", "notes.md"], max_files=2)
    with pytest.raises(ToolFailed, match="more than 2 files"):
        await check_out(files, ["**"], max_files=2)
    with pytest.raises(ToolFailed, match="more than 1 bytes"):
        await check_out(files, ["src/**"], max_bytes=1)


async def test_a_file_that_grows_while_it_is_checked_out_stays_bounded() -> None:
    class Growing(MemoryFiles):
        async def read(self, path: str, *, limit: int, offset: int = 0) -> FileContent:
            self.contents[path] = b"x" * 100
            return await super().read(path, limit=limit, offset=offset)

    growing = Growing()
    growing.put("a", b"1")
    with pytest.raises(ToolFailed, match="more than 10 bytes"):
        await check_out(growing, ["a"], max_bytes=10)


async def test_marks_go_along_and_others_files_are_not_checked_out(files: MemoryFiles) -> None:
    files.untrusted.add("notes.md")

    assert (await check_out(files, ["**"])).untrusted
    assert not (await check_out(files, ["src/**"])).untrusted
    with pytest.raises(BadPath):
        await check_out(files, ["agents/critic/files/**"])


@pytest.mark.parametrize(
    "name",
    [
        "../up",
        "/etc/passwd",
        "a/../../b",
        "a\0b",
        "a\\b",
        "",
        "x" * 2000,
        "\udce4",
        "agents/critic/files/x",
        "agents/me/files/x",
    ],
)
async def test_a_program_cannot_name_what_is_no_file_of_the_agent(files: MemoryFiles, name: str) -> None:
    workspace = await check_out(files, ["src/**"])

    with pytest.raises(BadPath):
        await commit(files, workspace, {name: b"x"}, request_id="r")
    assert await commit(files, workspace, {}, [name, "notes.md"], request_id="r") == ()


_PATHS = st.sampled_from(["a", "b", "c/d", "c/e"])
_FILES = st.dictionaries(_PATHS, st.binary(max_size=3))


@given(before=_FILES, after=_FILES)
def test_the_changes_turn_what_was_into_what_is(before: dict[str, bytes], after: dict[str, bytes]) -> None:
    workspace = Workspace(before, {path: f"e-{path}" for path in before})
    edits = workspace.changes(after, before.keys() - after.keys())

    result = dict(before)
    for edit in edits:
        assert edit.etag == (f"e-{edit.path}" if edit.path in before else "")
        assert isinstance(edit, FileEdit)
        if edit.data is None:
            del result[edit.path]
        else:
            result[edit.path] = edit.data
    assert result == after
    assert all(before.get(edit.path) != edit.data for edit in edits)
