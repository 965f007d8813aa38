"""The grammar of the aios command, and its commands for files, conversations, records and models."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aios.cli import chat, terminal
from aios.cli import main as cli
from aios.errors import NotFound
from aios.kernel import connect
from aios.sync import connect_sync
from aios.sync.portal import Portal
from aios.testing import FakeKernel
from aios.types.llm import Message

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fake() -> Iterator[FakeKernel]:
    with Portal() as portal, portal.entered(FakeKernel()) as kernel:
        yield kernel


@pytest.fixture
def run(fake: FakeKernel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AIOS_ENDPOINT", fake.endpoint)
    monkeypatch.setenv("AIOS_TOKEN", fake.admin_token)
    monkeypatch.delenv("AIOS_AGENT_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "160")

    def invoke(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        code = ended.value.code
        out, err = capsys.readouterr()
        return (code if isinstance(code, int) else 0), out, err

    return invoke


NOUNS = (
    *("agents", "approvals", "approvals rules", "contexts", "files", "grants", "mcp", "memory"),
    *("persons", "policy", "records", "secrets", "tools"),
)


def test_a_noun_alone_lists(run: Run) -> None:
    for words in (noun.split() for noun in NOUNS):
        alone, listed = run(*words), run(*words, "list")

        assert alone[0] == 0, words
        assert alone == listed
        json.loads(run(*words, "--json")[1])


def test_options_of_a_list_follow_its_noun(run: Run) -> None:
    run("files", "write", "a/b.txt", "one")
    assert "a/b.txt" in run("files", "--recursive")[1]
    assert "Usage: aios files [OPTIONS]" in run("files", "--help")[1]
    assert run("policy", "--lane", "tool")[0] == 0


def test_the_version_is_told_without_a_kernel(run: Run) -> None:
    assert run("--version")[1] == "aios 0.1.0\n"


def test_models_are_listed_with_what_they_can_do(run: Run) -> None:
    assert "fake-model" in run("models")[1]
    assert json.loads(run("models", "--json")[1])[0]["name"] == "fake-model"


def test_files_go_in_and_out_are_moved_deleted_and_brought_back(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.md").write_text("one\n")

    assert run("files", "put", "plan.md", "notes/")[1].endswith("files/notes/plan.md version 1, 4 bytes\n")
    assert run("files", "mv", "notes/plan.md", "notes/old.md")[0] == 0
    assert run("files", "cp", "notes/old.md", "notes/new.md")[0] == 0
    assert run("files", "cat", "notes/new.md")[1] == "one\n"
    assert run("files", "get", "notes/new.md")[1] == "new.md, 4 bytes\n"
    assert (tmp_path / "new.md").read_text() == "one\n"
    assert run("files", "get", "notes/new.md")[0] == 2, "what is there is not replaced"
    assert run("files", "get", "notes/new.md", "-f")[0] == 0
    assert run("files", "rm", "notes/new.md")[1] == "1 deleted\n"
    assert "notes/new.md" in run("files", "trash")[1]
    assert run("files", "restore", "notes/new.md")[0] == 0
    assert "notes/new.md" in run("files", "ls", "-r")[1]


def test_a_local_file_that_cannot_be_written_is_named_without_a_traceback(run: Run, tmp_path: Path) -> None:
    run("files", "write", "a.txt", "one")
    code, _, err = run("files", "get", "a.txt", str(tmp_path / "absent" / "a.txt"))

    assert code == 1
    assert err.startswith(f"aios: {tmp_path}/absent/")
    assert err.endswith(": No such file or directory\n")


def test_conversations_are_listed_shown_and_deleted(fake: FakeKernel, run: Run) -> None:
    with connect_sync(fake.endpoint, fake.admin_token) as kernel:
        kernel.contexts.create("c1", title="a talk\x1b[2J")
        kernel.contexts.append("c1", [Message("user", "hello\x1b[31m there")])

    assert "a talk\\x1b[2J" in run("contexts")[1]
    shown = run("contexts", "show", "c1")[1]
    assert "1 user" in shown
    assert "hello\\x1b[31m there" in shown
    assert run("contexts", "delete", "c1")[0] == 0
    assert run("contexts")[1] == "no conversations\n"


def test_records_are_put_found_and_deleted(run: Run) -> None:
    assert run("records", "put", "books", "b1", '{"year": 1968}', "--text", "a dream")[0] == 0
    assert run("records", "put", "books", "b2", "[1]")[0] == 2
    assert "books" in run("records")[1]
    assert '{"year": 1968' in run("records", "query", "books")[1]
    assert run("records", "delete", "books")[0] == 2
    assert run("records", "delete", "books", "b1")[1] == "1 deleted\n"


def test_an_empty_standard_input_is_nothing_to_say(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    code, out, err = run("chat")

    assert (code, out) == (2, "")
    assert "standard input is empty" in err


BROKEN = {
    "raises": ("1 / 0\n", "ZeroDivisionError"),
    "imports what is absent": ("import tests_sdk_cli_absent\n", "No module named 'tests_sdk_cli_absent'"),
    "is no Python": ("def :\n", "SyntaxError"),
    "leaves": ("raise SystemExit('no')\n", "SystemExit: no"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_module_that_fails_to_import_shows_its_own_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    source, told = BROKEN[how]
    name = f"sdk_cli_broken_{list(BROKEN).index(how)}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)

    code, _, err = run("run", f"{name}:Agent", "task")

    assert code == 2
    assert f"importing {name} failed:" in err
    assert told in err
    assert err.count(told) == 1
    assert "importlib" not in err


def test_a_reader_that_leaves_early_ends_the_command_without_a_word(fake: FakeKernel) -> None:
    environ = {**os.environ, "AIOS_ENDPOINT": fake.endpoint, "AIOS_TOKEN": fake.admin_token}
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-c", "from aios.cli.main import main; main()", "models"],
        env=environ,
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    os.close(write)

    assert (ended.returncode, ended.stderr) == (1, b"")


def test_the_syscalls_of_an_agent_are_shown_as_they_happen(fake: FakeKernel, run: Run) -> None:
    run("agents", "register", "amy")

    def act() -> None:
        deadline = time.monotonic() + 30
        while not any(call.method == "WatchSyscalls" for call in fake.calls) and time.monotonic() < deadline:
            time.sleep(0.01)
        with connect_sync(fake.endpoint, agent_key="fake-key-amy") as kernel:
            kernel.memory.put("plan", "x")
            with contextlib.suppress(NotFound):
                kernel.memory.get("absent")

    acting = threading.Thread(target=act)
    acting.start()
    code, out, err = run("trace", "amy", "--seconds", "1.5")
    acting.join()

    assert code == 0
    assert err == "aios: watching; Ctrl-C ends it\n"
    assert "MemoryService.PutNote() = OK" in out
    assert "MemoryService.GetNote() = NOTE_NOT_FOUND" in out
    assert run("trace", "--tree")[0] == 2


def test_top_prints_one_look_where_nobody_sits(fake: FakeKernel, run: Run) -> None:
    run("agents", "register", "amy")
    fake.add_waiting_call("amy", "c1", wait=2.0, summary="One call is ahead.")
    code, out, _ = run("top")

    assert code == 0
    assert out.startswith("aios top - ")
    assert "amy" in out
    assert "\x1b" not in out
    assert json.loads(run("top", "--json")[1])["calls"][0]["wait"] == 2.0


async def test_an_answer_that_does_not_begin_says_what_it_waits_for() -> None:
    async with FakeKernel() as fake, connect(fake.endpoint, fake.admin_token) as kernel:
        assert await chat._why(kernel) == ""
        fake.add_waiting_call("admin", "c1", wait=2.0, summary="One call is ahead.")
        assert await chat._why(kernel) == "One call is ahead."


@pytest.mark.parametrize("width", ["24", "80"])
def test_a_table_is_readable_however_narrow_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    run("agents", "register", "writer", "--kind", "author")
    run("agents", "register", "b")
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, _ = run("agents", "list")
    out = re.sub(r"\x1b\[\d*m", "", out)

    assert code == 0
    assert max(map(len, out.splitlines())) <= int(width)
    assert {"writer", "author", "active"} <= set(out.split())


def test_no_color_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.is_coloured()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.is_coloured()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.is_coloured()


def test_an_agent_is_changed_gets_another_key_and_is_deleted(run: Run) -> None:
    first = json.loads(run("agents", "register", "amy", "--weight", "3", "--json")[1])["agent_key"]

    assert run("agents", "update", "amy")[0] == 2, "nothing to change"
    assert run("agents", "update", "amy", "--kind", "author", "--priority", "4", "--label", "a=b")[0] == 0
    (changed,) = json.loads(run("agents", "--json")[1])
    assert (changed["kind"], changed["labels"]) == ("author", {"a": "b"})
    assert (changed["hints"]["priority"], changed["hints"]["weight"]) == (4, 3), "what is not named stays"
    assert run("agents", "update", "amy", "--label", "x")[0] == 2

    again = json.loads(run("agents", "key", "amy", "--json")[1])["agent_key"]
    assert again != first
    assert run("agents", "key", "amy", "--old-keys", "burn")[0] == 2
    assert run("agents", "delete", "amy", "--yes")[1] == "agents/amy is being deleted\n"
    assert run("agents", "show", "amy")[0] == 1


def test_a_policy_that_is_set_says_how_long_it_holds(run: Run) -> None:
    _, _, err = run("policy", "set", "rr")
    assert "until the scheduler starts again; AIOS_SCHEDULER_POLICY" in err
    assert run("policy", "set", "rr", "--json")[2] == ""


def test_tools_are_registered_and_removed(fake: FakeKernel, run: Run, tmp_path: Path) -> None:
    source, schema = tmp_path / "twice.py", tmp_path / "schema.json"
    source.write_text("def twice(n):\n    return 2 * n\n")
    schema.write_text('{"type": "object", "properties": {"n": {"type": "integer"}}}')
    words = ("tools", "register", "twice", "--description", "Doubles.")

    assert run(*words)[0] == 2, "neither a source nor an address"
    assert run(*words, str(source), "--url", "https://h")[0] == 2, "both"
    assert run(*words, str(source), "--effect", "magic")[0] == 2
    assert run(*words, str(source), "--parameters", str(schema))[1].startswith("tools/twice")
    (asked,) = [call.request["tool"] for call in fake.calls if call.method == "RegisterTool"]
    assert asked["python"]["function"] == "twice"
    assert "twice" in run("tools")[1]
    assert run("tools", "unregister", "twice")[1] == "removed twice\n"
    schema.write_text("[1]")
    assert run(*words, "--url", "https://h", "--parameters", str(schema))[0] == 2
