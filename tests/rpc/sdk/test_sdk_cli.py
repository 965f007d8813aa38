"""The aios command against a fake kernel."""

import io
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer

import aios
from aios import errors
from aios.api.tool.v1 import mcp_pb2
from aios.cli import main as cli
from aios.sync.portal import Portal
from aios.testing import FakeKernel

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


def test_agents_are_registered_listed_and_killed(run: Run) -> None:
    code, out, _ = run("agents", "register", "writer", "--kind", "author", "--class", "batch", "--json")
    assert code == 0
    assert json.loads(out) == {"name": "agents/writer", "agent_key": "fake-key-writer"}

    code, out, _ = run("agents", "list")
    assert code == 0
    assert "author" in out
    assert "batch" in out

    assert run("agents", "suspend", "writer")[0] == 0
    assert "suspended" in run("ps")[1]
    assert run("kill", "writer")[1] == "1 ended\n"
    assert run("ps")[1] == "no agents\n"
    assert "killed" in run("ps", "--all")[1]


def test_a_chat_streams_its_answer(run: Run) -> None:
    assert run("chat", "hello there")[:2] == (0, "echo: hello there\n")
    assert json.loads(run("--json", "chat", "hi")[1])["text"] == "echo: hi"


def test_the_queue_and_why(fake: FakeKernel, run: Run) -> None:
    fake.add_waiting_call("planner", "c1", wait=2.0, summary="One call is ahead.")

    assert "planner/calls/c1" in run("queue")[1]
    assert run("why", "planner/calls/c1")[1].startswith("One call is ahead.")
    assert json.loads(run("queue", "--json")[1])["calls"][0]["wait"] == 2.0
    assert run("cancel", "agents/planner/calls/c1")[1] == "cancelled\n"
    assert run("why", "agents/planner/calls/c1")[0] == 1


def test_policies(run: Run) -> None:
    assert "available: fifo, rr, priority" in run("policy")[1]
    assert run("policy", "--lane", "tool")[0] == 0
    code, out, _ = run("policy", "set", "rr", "--class", "batch", "-p", "quantum=0.5", "-p", "name=x")
    assert code == 0
    assert '{"name": "x", "quantum": 0.5}' in out
    assert run("policy", "set", "rr", "-p", "quantum")[0] == 2


def test_notes(run: Run) -> None:
    assert run("memory", "put", "k", "green tea")[0] == 0
    assert run("memory", "get", "k")[1] == "green tea\n"
    assert "green tea" in run("memory", "list")[1]
    assert "1.00" in run("memory", "search", "tea")[1]
    assert "1 notes" in run("memory", "usage")[1]
    assert run("memory", "delete", "k")[0] == 0
    assert run("memory", "list")[1] == "no notes\n"


def test_files(run: Run, tmp_path: Path) -> None:
    local = tmp_path / "local.txt"
    local.write_text("one\ntwo\n")

    assert run("files", "write", "a/b.txt", "one\n")[0] == 0
    assert run("files", "write", "a/b.txt", "--from", str(local))[0] == 0
    assert "+two" in run("files", "diff", "a/b.txt")[1]
    assert run("files", "rollback", "a/b.txt", "1")[1].endswith("version 3\n")
    assert "a/b.txt" in run("files", "list", "-r")[1]
    assert "3" in run("files", "versions", "a/b.txt")[1]
    assert "a/b.txt" in run("files", "search", "one")[1]
    assert json.loads(run("files", "read", "a/b.txt", "--json")[1])["content"] == "one\n"
    assert run("files", "delete", "a/b.txt")[1] == "1 deleted\n"


@aios.tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def test_tools(fake: FakeKernel, run: Run) -> None:
    fake.add_tool(double)

    assert "Double a number." in run("tools", "list")[1]
    assert '"integer"' in run("tools", "show", "double")[1]
    assert run("tools", "call", "double", '{"number": 4}')[1] == "8\n"
    assert run("tools", "call", "double", "{")[0] == 2


def test_an_agent_is_run_from_a_module(
    fake: FakeKernel, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sdk_cli_example.py").write_text(
        'import aios\n\nclass Keeper(aios.Agent):\n    tools = ("remember",)\n\nTHING = 1\n'
    )
    monkeypatch.chdir(tmp_path)
    fake.reply(tool_calls=[("remember", {"key": "k", "value": "v"})])
    fake.reply("Noted.")

    code, out, err = run("run", "sdk_cli_example:Keeper", "remember k = v", "-v")

    assert (code, out) == (0, "Noted.\n")
    assert 'remember {"key": "k", "value": "v"} -> ok' in err
    assert "killed" in run("ps", "--all")[1]
    for target in ("sdk_cli_example:THING", "sdk_cli_example:Absent", "absent_module:X", "x"):
        assert run("run", target, "task")[0] == 2


def test_an_agents_output_of_any_type_is_shown_as_json(
    fake: FakeKernel, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sdk_cli_wheels.py").write_text(
        "import aios, pydantic\n\nclass Wheel(pydantic.BaseModel):\n    inches: int\n\n"
        "class Maker(aios.Agent[None, Wheel]): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    fake.reply('{"inches": 28}')

    code, out, _ = run("--json", "run", "sdk_cli_wheels:Maker", "a wheel")

    assert code == 0
    assert json.loads(out)["output"] == {"inches": 28}


def test_doctor_says_what_is_in_order(run: Run) -> None:
    code, out, _ = run("doctor")

    assert code == 0
    assert "FAIL" not in out
    assert "ok   kernel:" in out
    assert "fake-model" in out


def test_doctor_says_what_is_not(fake: FakeKernel, run: Run) -> None:
    fake.fail_next("ListModels", errors.PermissionDenied("not yours"))

    code, out, _ = run("doctor", "--json")

    assert code == 1
    assert [check["name"] for check in json.loads(out) if not check["ok"]] == ["models"]


def test_doctor_tells_a_missing_credential_from_a_missing_kernel(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIOS_TOKEN")
    monkeypatch.setenv("AIOS_DATA_DIR", str(tmp_path))
    code, out, _ = run("doctor")
    assert code == 1
    assert "ok   kernel:" in out
    assert "FAIL credential:" in out

    monkeypatch.setenv("AIOS_ENDPOINT", "127.0.0.1:1")
    code, out, _ = run("doctor")
    assert code == 1
    assert "FAIL kernel:" in out
    assert "aios up" in out


def test_approvals_grants_and_audit(fake: FakeKernel, run: Run) -> None:
    fake.add_approval("planner", "send-mail")
    run("agents", "register", "writer")

    assert "tools/send-mail" in run("approvals")[1]
    assert run("approvals", "approve", "1")[1] == "approvals/1: approved\n"
    assert run("approvals", "reject", "approvals/1")[0] == 1
    assert run("approvals")[1] == "nothing waits\n"
    assert run("grants", "add", "writer", "agents/me/notes/", "memory.read")[0] == 0
    assert "memory.read" in run("grants")[1]
    assert run("grants", "revoke", "2")[0] == 0
    assert "access.revoke" in run("audit")[1]
    assert run("audit", "--verify")[1].startswith("intact: 2 entries")


def head(sequence: object, tenant: str = "default", digest: str = "a" * 64) -> str:
    """Make a line of a file of exported heads."""
    return json.dumps({"tenant": tenant, "sequence": sequence, "hash": digest}) + "\n"


def test_a_log_is_verified_against_the_newest_head_of_its_tenant(run: Run, tmp_path: Path) -> None:
    heads = tmp_path / "heads.jsonl"
    run("grants", "add", "writer", "agents/me/notes/", "memory.read")
    heads.write_text(head(1) + head(9, tenant="rival") + '{"tenant": "def')
    assert run("audit", "--verify", "--heads", str(heads))[:2] == (0, "intact: 1 entries, head \n")
    heads.write_text(head(1) + head(7) + head(3))
    code, out, _ = run("audit", "--verify", "--heads", str(heads))

    assert code == 1
    assert out == "broken at 1 (tail_cut): the tail was cut\n"
    assert run("audit", "--verify", "--heads", str(heads), "--tenant", "nobody")[0] == 2


@pytest.mark.parametrize(
    "text",
    ["", "[" * 100_000, head("x"), head(1e999), head(-1), head(1 << 64), head(1, digest="short"), "\xff\n"],
    ids=["empty", "deep", "text", "infinite", "negative", "huge", "short", "bytes"],
)
def test_a_file_without_a_head_is_refused_and_never_called_intact(
    run: Run, tmp_path: Path, text: str
) -> None:
    heads = tmp_path / "heads.jsonl"
    assert run("audit", "--verify", "--heads", str(heads))[0] == 2
    heads.write_text(text, encoding="latin-1")
    code, out, err = run("audit", "--verify", "--heads", str(heads))

    assert code == 2
    assert "intact" not in out
    assert "heads.jsonl" in err.replace("\n", "")


def test_an_agent_is_given_a_time_to_live(run: Run) -> None:
    run("agents", "register", "short", "--ttl", "3600")
    run("agents", "register", "long")
    listed = json.loads(run("agents", "list", "--json")[1])

    assert {one["name"]: bool(one["expire_time"]) for one in listed} == {
        "agents/short": True,
        "agents/long": False,
    }
    assert "ENDS (UTC)" in run("agents", "show", "short")[1]


def test_a_person_sees_and_decides_with_a_key_of_its_own(
    fake: FakeKernel, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake.add_approval("planner", "send-mail", '{"to":"' + "x" * 100 + '"}')
    code, out, _ = run("persons", "create", "amy", "--json")
    assert code == 0
    key = json.loads(out)["person_key"]
    assert "amy" in run("persons")[1]
    assert run("approvals", "rules", "put", "mails", "2", "--resource", "tools/send-mail")[0] == 0
    assert "tools/send-mail" in run("approvals", "rules")[1]

    monkeypatch.delenv("AIOS_TOKEN")
    (tmp_path / "key").write_text(key + "\n")
    monkeypatch.setenv("AIOS_PERSON_KEY_FILE", str(tmp_path / "key"))
    assert "[cut: 109 bytes]" in run("approvals")[1]
    assert "x" * 100 in run("approvals", "show", "1")[1]
    assert "x" * 100 in run("approvals", "show", "1", "--whole")[1].splitlines()[-1]
    assert run("approvals", "show", "1")[1].startswith("approvals/1\nstate      pending")
    assert run("approvals", "approve", "1")[1] == "approvals/1: approved\n"
    assert "person agents/amy: approved" in run("approvals", "show", "1")[1]
    assert run("persons")[0] == 1


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_comes_from_standard_input_and_is_never_shown(
    fake: FakeKernel, run: Run, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    piped(monkeypatch, f"sk-canary 0123{end}")
    told = [run("secrets", "set", "github", "--bound-to", "https://api.github.com")]
    assert told[0][:2] == (0, "secrets/github 1, for https://api.github.com\n")
    (asked,) = [call.request for call in fake.calls if call.method == "SetSecret"]
    assert asked["value"] == "sk-canary 0123"

    piped(monkeypatch, "another value")
    told.append(run("secrets", "set", "github", "--json"))
    assert json.loads(told[1][1])["version"] == 2
    told += [run("secrets", "list"), run("secrets", "list", "--json"), run("secrets", "delete", "github")]
    assert "https://api.github.com" in told[2][1]
    assert run("secrets", "list")[1] == "no secrets\n"
    assert run("secrets", "delete", "github")[0] == 1
    assert not any("canary" in text or "another" in text for _, *texts in told for text in texts)


def test_a_secret_is_no_argument(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, "from standard input")
    assert run("secrets", "set", "github", "sk-canary", "--bound-to", "https://h")[0] == 2
    assert run("secrets", "set", "github", "--value", "sk-canary", "--bound-to", "https://h")[0] == 2
    assert run("secrets", "list")[1] == "no secrets\n"


def test_a_secret_is_asked_for_on_a_terminal_without_showing_it(
    fake: FakeKernel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, "")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: "sk-canary-0123")
    code, out, err = run("secrets", "set", "github", "--bound-to", "mcpservers/web")
    assert (code, "canary" in out + err) == (0, False)
    (asked,) = [call.request for call in fake.calls if call.method == "SetSecret"]
    assert asked["value"] == "sk-canary-0123"


def test_mcp_servers_are_added_listed_and_removed(fake: FakeKernel, run: Run) -> None:
    added = run("mcp", "add", "files", "--env", "A=b", "--", "/usr/bin/node", "/srv/server.js", "--fast")
    assert added[:2] == (0, "mcpservers/files is ready with 0 tools\n")
    web = ("--secret-header", "Authorization=github", "--effect", "reversible", "--tool", "open")
    assert run("mcp", "add", "browser", "https://mcp.example.com/mcp", *web)[0] == 0
    programs, webs = [call.request["server"] for call in fake.calls if call.method == "AddMcpServer"]
    assert programs["stdio"]["command"] == ["/usr/bin/node", "/srv/server.js", "--fast"]
    assert programs["stdio"]["environment"] == {"A": "b"}
    assert webs["http"]["secret_headers"] == {"Authorization": "github"}
    assert webs["allowed_tools"] == ["open"]

    assert "https://mcp.example.com/mcp" in run("mcp", "list")[1]
    assert run("mcp", "remove", "files")[0] == 0
    assert run("mcp", "remove", "files")[0] == 1
    assert run("mcp", "add", "x", "https://h", "--header", "A")[0] == 2


def test_what_an_mcp_server_changed_is_shown_old_and_new_before_it_is_accepted(
    fake: FakeKernel, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("mcp", "add", "browser", "https://mcp.example.com/mcp")
    change = mcp_pb2.McpToolChange(
        tool="open",
        accepted_json='{"description":"Opens."}',
        offered_json='{"description":"Opens\\u202e all."}',
    )
    fake._tools.changes["mcpservers/browser"] = [change]

    shown = run("mcp", "show", "browser")[1].splitlines()
    assert '-   "description": "Opens."' in shown
    assert '+   "description": "Opens\\u202e all."' in shown
    piped(monkeypatch, "n\n")
    assert run("mcp", "approve", "browser")[0] == 1
    assert not [call for call in fake.calls if call.method == "AcceptMcpServer"]
    piped(monkeypatch, "y\n")
    assert run("mcp", "approve", "browser")[0] == 0
    assert run("mcp", "approve", "browser", "--sha256", "f" * 64)[0] == 1


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put a text into standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), newline=""))


def test_what_the_preview_cuts_is_approved_by_its_hash_alone(fake: FakeKernel, run: Run) -> None:
    name = fake.add_approval("planner", "send-mail")
    approval = fake._agents.approvals[name]
    approval.preview_truncated = True
    with fake.intercept() as calls:
        run("approvals", "approve", name, "--yes")
        assert calls.requests("DecideApproval")[-1]["arguments_sha256"] == ""
    other = fake.add_approval("planner", "send-mail")
    with fake.intercept() as calls:
        run("approvals", "approve", other, "--sha256", "ab" * 32)
        assert calls.requests("DecideApproval")[-1]["arguments_sha256"] == "ab" * 32


def test_errors_come_with_a_hint(fake: FakeKernel, run: Run) -> None:
    fake.fail_next("StreamGenerate", errors.QueueFull("128 calls wait"))

    code, _, err = run("chat", "hi")
    assert code == 1
    assert (
        err
        == "aios: QUEUE_FULL: 128 calls wait\n  Come back later, or see who fills the queue: `aios queue`.\n"
    )

    fake.fail_next("GetNote", errors.NotFound("no note", reason="NOTE_NOT_FOUND", metadata={"note": "x"}))
    code, _, err = run("memory", "get", "x", "--json")
    assert json.loads(err) == {
        "error": "NOTE_NOT_FOUND",
        "message": "no note",
        "metadata": {"note": "x"},
        "violations": [],
        "hint": "See which notes there are: `aios memory list`.",
    }


def test_commands_of_other_packages_are_added() -> None:
    point = EntryPoint("hello", "tests_sdk_plugin:hello", cli.COMMANDS_GROUP)
    point.__dict__["load"] = lambda: _hello
    app = cli.build([point])

    assert app.registered_commands[-1].name == "hello"


def test_a_command_of_another_package_that_cannot_be_imported_says_why_when_it_is_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = cli.build([EntryPoint("hello", "tests_sdk_no_such_plugin:hello", cli.COMMANDS_GROUP)])

    with pytest.raises(SystemExit) as ended:
        app(["hello"])
    assert ended.value.code == 1
    assert "No module named 'tests_sdk_no_such_plugin'" in capsys.readouterr().err


def _hello() -> None:
    """Say hello."""
    typer.echo("hello")


def test_json_may_stand_anywhere_before_the_dashes() -> None:
    assert cli.hoist(["ps", "--json"]) == ["--json", "ps"]
    assert cli.hoist(["run", "a:B", "--", "--json"]) == ["run", "a:B", "--", "--json"]
    assert cli.hoist(["ps"]) == ["ps"]


def test_a_trace_shows_who_waited_and_ran(fake: FakeKernel, run: Run, tmp_path: Path) -> None:
    began = datetime.now(UTC)
    for kind, after in (("submitted", 0.0), ("granted", 0.1), ("preempted", 0.2), ("yielded", 0.21)):
        at = began + timedelta(seconds=after)
        fake.add_schedule_event(kind, "planner", "c1", at=at, replica="r0")
    fake.add_waiting_call("writer", "c2")
    out, chart = tmp_path / "trace.json", tmp_path / "chart.svg"
    code, shown, _ = run("trace", "--seconds", "0.2", "--out", str(out), "--chart", str(chart))

    assert code == 0
    assert "planner" in shown
    assert "writer" in shown
    assert "█" in shown
    names = {event["name"] for event in json.loads(out.read_text())["traceEvents"]}
    assert {"waiting", "running on r0", "stopping on r0", "preempted", "calls"} <= names
    assert "<svg" in chart.read_text()
    told = json.loads(run("trace", "-s", "0.1", "-o", str(out), "--json")[1])
    assert [agent["agent"] for agent in told["agents"]] == ["planner", "writer"]


def test_a_trace_ends_with_an_interrupt(fake: FakeKernel, run: Run, tmp_path: Path) -> None:
    fake.add_waiting_call("writer", "c2")
    out = tmp_path / "trace.json"

    def interrupt() -> None:
        while not any(call.method == "WatchSchedule" for call in fake.calls):
            time.sleep(0.05)
        time.sleep(0.5)  # for the first events to come through
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.main_thread().ident or 0
    # Whoever runs tests in the background has them ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    try:
        code, shown, _ = run("trace", "--out", str(out))
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()

    assert code == 0
    assert "writer" in shown
    assert out.exists()


def test_a_chart_needs_a_known_format_and_matplotlib(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "png or .svg" in run("trace", "-s", "0", "--chart", "chart.bmp")[2]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    code, _, told = run("trace", "-s", "0", "--chart", "chart.png")

    assert code == 2
    assert "pip install matplotlib" in told


def test_what_agents_write_does_not_steer_the_terminal(fake: FakeKernel, run: Run) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b2J"
    run("agents", "register", "writer", "--kind", hostile)
    run("memory", "put", "k", hostile)
    fake.fail_next("KillAgent", errors.PermissionDenied(hostile))

    shown = [
        run("agents", "list"),
        run("ps"),
        run("agents", "list", "--json"),
        run("memory", "get", "k"),
        run("agents", "kill", "writer"),
    ]
    for _, out, err in shown:
        assert not {"\x1b", "\x07", "\x9b"} & set(out + err)
    assert "\\x1b]0;owned" in shown[0][1]
    assert "\\x1b]0;owned" in shown[3][1]
    assert "\\x1b]0;owned" in shown[4][2]


def test_tools_are_drafted_tested_shared_and_taken_back(run: Run, tmp_path: Path) -> None:
    source, examples = tmp_path / "twice.py", tmp_path / "examples.json"
    source.write_text("def twice(n):\n    return 2 * n\n")
    examples.write_text('[{"arguments": {"n": 1}, "result": 2}, {"arguments": {"n": 2}, "schema": {}}]')
    draft = ("tools", "draft", "twice", str(source), "--examples", str(examples), "--description", "Double.")
    assert run(*draft)[0] == 0
    assert run(*draft)[0] == 1
    assert "twice" in run("tools", "drafts")[1]
    assert "example 2: passed" in run("tools", "test", "twice")[1]
    assert "waits for a person" in run("tools", "share", "twice")[1]
    assert "shared" in run("tools", "share", "twice")[1]
    assert "return 2 * n" in run("tools", "review", "twice")[1]
    assert "return 2 * n" in run("tools", "review", "twice", "--version", "1")[1]
    assert "current" in run("tools", "versions", "twice")[1]
    assert run("tools", "rollback", "twice", "1", "--reason", "better")[0] == 0
    assert "1 versions" in run("tools", "revoke", "twice", "--reason", "it leaks")[1]
    assert "revoked" in run("tools", "versions", "twice")[1]
    assert json.loads(run("tools", "versions", "twice", "--json")[1])[0]["revoke_reason"] == "it leaks"
    assert run("tools", "undraft", "twice")[0] == 0


def test_examples_that_fail_and_files_that_are_no_json_are_told(run: Run, tmp_path: Path) -> None:
    source, examples = tmp_path / "bad.py", tmp_path / "examples.json"
    source.write_text("raise ValueError")
    words = ("tools", "draft", "bad", str(source), "--examples", str(examples), "--description", "Bad.")
    for text in ("[", "[" * 100_000, "{}", "[1]"):
        examples.write_text(text)
        assert run(*words)[0] == 2
    examples.write_text('[{"arguments": {}, "result": 1}, {"arguments": {}, "result": 2}]')
    assert run(*words)[0] == 0
    code, out, _ = run("tools", "test", "bad")
    assert (code, "it raised" in out) == (1, True)


def test_an_openapi_document_is_registered_from_its_file(fake: FakeKernel, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "Petstore.json"
    file.write_bytes(b"{}")
    told = run("tools", "openapi", str(file), "--base-url", "https://a.example.com", "--operation", "getPet")

    (asked,) = [call.request for call in fake.calls if call.method == "RegisterOpenApi"]
    assert (asked["name"], asked["base_url"]) == ("tools/petstore", "https://a.example.com")
    assert told[0] == 0
    assert "added     tools/petstore.getPet" in told[1]
    assert run("tools", "openapi", str(file), "--secret-header", "Authorization")[0] == 2
    assert run("tools", "remove-openapi", "petstore")[0] == 0
    assert run("tools", "remove-openapi", "petstore")[0] == 1


def test_where_tools_send_to_is_shown_and_said(run: Run) -> None:
    assert run("tools", "egress")[1] == "operator: https://*\ntenant:   all of it\n"
    assert "https://*.example.com" in run("tools", "egress", "--allow", "https://*.example.com")[1]
    assert run("tools", "egress", "--none")[1].endswith("tenant:   nothing\n")
    assert run("tools", "egress", "--all")[1].endswith("all of it\n")
    assert run("tools", "egress", "--all", "--none")[0] == 2
