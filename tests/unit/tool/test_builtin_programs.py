"""The built-in tools that run code: on which files, what they answer, and what a failure changes."""

from collections.abc import AsyncIterator

import pytest

from services.chassis.sandbox.errors import SandboxUnavailable
from services.tool.errors import ToolFailed
from tests.fakes.files import MemoryFiles
from tests.fakes.isolation import isolated, need
from tests.fakes.tool_jobs import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Yield the tools in the strongest sandbox of this machine."""
    await need("")
    async with isolated(warm=0) as sandbox:
        files = MemoryFiles()
        files.put("data/a.txt", b"one\ntwo\n")
        files.put("other.txt", b"left alone")
        yield Bench(files, sandbox=sandbox)


async def data(bench: Bench, path: str) -> bytes:
    return (await bench.files.read(path, limit=1000)).data


async def test_python_works_on_the_callers_files_and_changes_them_as_one_write(bench: Bench) -> None:
    code = (
        "import os\nprint(os.listdir('.'), open('data/a.txt').read().count('\\n'))\n"
        "open('data/a.txt', 'a').write('three\\n')\nopen('new.txt', 'w').write('made')"
    )

    told = (await bench.outcome("python", code=code, files=["data/*"])).value

    assert told == {"result": "['data'] 2\n", "changed": ["data/a.txt", "new.txt"]}
    assert await data(bench, "data/a.txt") == b"one\ntwo\nthree\n"
    assert await data(bench, "new.txt") == b"made"
    assert await data(bench, "other.txt") == b"left alone"


async def test_without_files_nothing_comes_in_and_nothing_goes_out(bench: Bench) -> None:
    told = (await bench.outcome("python", code="import os\nopen('x', 'w')\nprint(os.listdir('.'))")).value

    assert told == {"result": "['x']\n"}
    assert [file.path for file in (await bench.files.list("", "**", limit=9)).files] == [
        "data/a.txt",
        "other.txt",
    ]


async def test_python_that_fails_tells_its_traceback_and_changes_nothing(bench: Bench) -> None:
    code = "open('data/a.txt', 'w').write('gone')\nraise ValueError('no good')"

    with pytest.raises(ToolFailed, match="ValueError: no good"):
        await bench.outcome("python", code=code, files=["data/*"])

    assert await data(bench, "data/a.txt") == b"one\ntwo\n"


async def test_a_command_tells_its_status_and_errors(bench: Bench) -> None:
    told = (
        await bench.outcome("shell", command="rm data/a.txt; echo out; echo bad >&2; exit 3", files=["**"])
    ).value

    assert told == {"result": "out\n", "errors": "bad\n", "exit_status": 3, "changed": ["data/a.txt"]}


@pytest.mark.parametrize(("tool", "argument"), [("python", "code"), ("shell", "command")])
async def test_where_nothing_isolates_no_code_is_run(tool: str, argument: str) -> None:
    with pytest.raises(SandboxUnavailable):
        await Bench().outcome(tool, **{argument: "echo 1"})
