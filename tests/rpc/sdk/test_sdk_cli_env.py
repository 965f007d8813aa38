"""`aios env` against a fake kernel: who it speaks for, and what it keeps."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aios.cli import main as cli
from aios.sync.portal import Portal
from aios.testing import FakeKernel

Run = Callable[..., tuple[int, str, str]]
KEPT = Path("keys/local/writer.json")


@pytest.fixture
def fake() -> Iterator[FakeKernel]:
    with Portal() as portal, portal.entered(FakeKernel()) as kernel:
        yield kernel


@pytest.fixture
def run(
    fake: FakeKernel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    monkeypatch.setenv("AIOS_ENDPOINT", fake.endpoint)
    monkeypatch.setenv("AIOS_TOKEN", fake.admin_token)
    monkeypatch.setenv("AIOS_DATA_DIR", str(tmp_path))
    for name in ("AIOS_AGENT_KEY", "AIOS_DOOR_URL"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        code = ended.value.code
        out, err = capsys.readouterr()
        return (code if isinstance(code, int) else 0), out, err

    return invoke


def told(run: Run, *words: str) -> dict[str, str]:
    code, out, err = run(*words, "--json")
    assert code == 0, err
    found: dict[str, str] = json.loads(out)
    return found


def test_an_agent_is_registered_the_first_time_and_has_the_same_key_the_second(
    fake: FakeKernel, run: Run
) -> None:
    first = told(run, "env", "writer")

    assert first["OPENAI_API_KEY"] == "fake-key-writer"
    port = int(fake.endpoint.rpartition(":")[2])
    assert first["OPENAI_BASE_URL"] == f"http://127.0.0.1:{port + 20}/v1"
    assert told(run, "env", "writer") == first
    assert [call.method for call in fake.calls].count("RegisterAgent") == 1


def test_without_a_name_it_is_the_agent_whose_key_is_given_else_the_default_one(run: Run) -> None:
    key = told(run, "env", "writer")["AIOS_KEY"]

    assert told(run, "--agent-key", key, "env")["AIOS_KEY"] == key
    assert told(run, "env")["AIOS_KEY"] == "fake-key-default"


def test_a_wrong_key_is_told_and_nothing_is_printed_that_a_shell_would_run(run: Run) -> None:
    code, out, err = run("--agent-key", "wrong", "env")

    assert (code, out) == (1, "")
    assert "CREDENTIAL_INVALID" in err


def test_an_agent_of_somebody_else_is_not_taken_over(run: Run) -> None:
    key = json.loads(run("agents", "register", "writer", "--json")[1])["agent_key"]

    code, out, err = run("env", "writer")
    assert (code, out) == (1, "")
    assert "--agent-key" in err
    assert told(run, "--agent-key", key, "env", "writer")["AIOS_KEY"] == key
    assert told(run, "env", "writer")["AIOS_KEY"] == key


def test_a_run_that_was_cut_off_before_it_kept_the_key_is_made_good_by_the_next(
    run: Run, tmp_path: Path
) -> None:
    key = told(run, "env", "writer")["AIOS_KEY"]
    kept = json.loads((tmp_path / KEPT).read_text())
    (tmp_path / KEPT).write_text(json.dumps(kept | {"keys": []}))

    assert told(run, "env", "writer")["AIOS_KEY"] == key


def test_a_kept_key_that_the_kernel_does_not_know_is_replaced_and_the_old_one_is_kept_for_its_kernel(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / KEPT).parent.mkdir(parents=True)
    (tmp_path / KEPT).write_text(json.dumps({"request_id": "r", "keys": ["of-another-kernel"]}))

    assert told(run, "env", "writer")["AIOS_KEY"] == "fake-key-writer"
    assert json.loads((tmp_path / KEPT).read_text())["keys"] == ["fake-key-writer", "of-another-kernel"]


def test_a_key_of_another_agent_in_the_file_is_not_passed_off(run: Run, tmp_path: Path) -> None:
    other = told(run, "env", "other")["AIOS_KEY"]
    (tmp_path / KEPT).write_text(json.dumps({"request_id": "r", "keys": [other]}))

    assert told(run, "env", "writer")["AIOS_KEY"] == "fake-key-writer"


@pytest.mark.parametrize("name", ["me", "../x", "Writer", "-", "a" * 64, "a/b"])
def test_what_is_no_id_makes_no_file(run: Run, tmp_path: Path, name: str) -> None:
    assert run("env", "--", name)[0] == 2
    assert not list(tmp_path.rglob("*.json"))


def test_another_door_may_be_named_and_its_silence_is_said_beside_the_lines(run: Run) -> None:
    code, out, err = run("env", "writer", "--door", "http://127.0.0.1:9/v1/", "--format", "sh")

    assert code == 0
    assert "export OPENAI_BASE_URL=http://127.0.0.1:9/v1\n" in out
    assert "nothing answers at http://127.0.0.1:9" in err
    assert run("env", "writer", "--door", "127.0.0.1:9")[0] == 2
