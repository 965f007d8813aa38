"""Where a kernel's door is, how its agents' keys are kept, and how variables are written."""

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios import _keys
from aios._keys import MOST_KEYS, AgentKeys, KeyFiles, KeysUnusable
from aios._settings import Target, door_url, keys_dir, target
from aios.cli.env import WRITERS, Format, variables


@pytest.mark.parametrize(
    ("address", "door"),
    [
        ("127.0.0.1:7070", "http://127.0.0.1:7090"),
        ("http://localhost:18000/", "http://localhost:18020"),
        ("https://kernel.example:443", "https://kernel.example:463"),
        ("dns:///gateway-replicas.aios:7070", "http://gateway-replicas.aios:7090"),
        ("[::1]:7070", "http://[::1]:7090"),
    ],
)
def test_the_door_is_found_from_where_the_kernel_is(address: str, door: str) -> None:
    assert door_url(target(address)) == door


@pytest.mark.parametrize(
    "address", ["unix:/run/aios.sock", "kernel", "kernel:port", "ipv4:1.2.3.4:7070", "h:65530", ""]
)
def test_an_address_without_host_and_port_has_no_door(address: str) -> None:
    with pytest.raises(ValueError, match="--door"):
        door_url(Target(address))


def test_a_kernel_on_this_machine_has_one_place_for_keys_and_every_other_its_own() -> None:
    environ = {"AIOS_DATA_DIR": "/data"}
    here = {keys_dir(Target(each), environ) for each in ("127.0.0.1:7070", "localhost:9", "[::1]:7070")}
    there = {keys_dir(Target(each), environ) for each in ("a:1", "a:2", "b:1", "../../x:1", "unix:/a/b")}

    assert here == {Path("/data/keys/local")}
    assert len(there) == 5
    assert all(each.parent == Path("/data/keys") for each in there)


def test_keys_are_for_their_owner_alone_and_outlive_the_program(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path / "keys" / "local")
    with files.locked():
        first = files.read("writer")
        files.write("writer", first.with_key("k1"))

    again = KeyFiles(tmp_path / "keys" / "local").read("writer")
    path = tmp_path / "keys" / "local" / "writer.json"
    assert again == AgentKeys(first.request_id, ("k1",))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(each.name for each in path.parent.iterdir()) == ["lock", "writer.json"]


def test_the_id_of_a_registration_is_kept_before_it_is_made(tmp_path: Path) -> None:
    files = KeyFiles(tmp_path)
    with files.locked():
        assert files.read("writer") == files.read("writer")


def test_keys_of_other_kernels_at_the_same_address_are_not_forgotten_at_once() -> None:
    kept = AgentKeys("r")
    for key in "abcdea":
        kept = kept.with_key(key)

    assert kept.keys == ("a", "e", "d", "c")
    assert len(kept.keys) == MOST_KEYS


@pytest.mark.parametrize("text", ["", "[]", '{"keys": 3, "request_id": "r"}', '{"keys": []}', "[" * 100_000])
def test_a_damaged_file_is_told_without_its_content(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(KeysUnusable, match=r"a\.json is damaged"):
        KeyFiles(tmp_path).read("a")


def test_a_run_that_holds_the_keys_for_ever_does_not_hold_up_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_keys, "LOCK_SECONDS", 0.1)
    with (
        KeyFiles(tmp_path).locked(),
        pytest.raises(KeysUnusable, match="for too long"),
        KeyFiles(tmp_path).locked(),
    ):
        pass


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")

    with pytest.raises(KeysUnusable, match="cannot keep keys"), KeyFiles(tmp_path / "keys" / "x").locked():
        pass


def test_the_usual_clients_find_their_variables() -> None:
    assert variables("http://h:7090", "k") == {
        "OPENAI_BASE_URL": "http://h:7090/v1",
        "OPENAI_API_KEY": "k",
        "ANTHROPIC_BASE_URL": "http://h:7090",
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_AUTH_TOKEN": "k",
        "AIOS_MCP_URL": "http://h:7090/mcp",
        "AIOS_KEY": "k",
    }


values = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)


@given(values)
def test_a_shell_reads_exactly_what_was_meant(value: str) -> None:
    script = WRITERS[Format.SH]({"AIOS_KEY": value}) + '\nprintf %s "$AIOS_KEY"'

    assert subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode() == value


@given(values)
def test_json_says_exactly_what_was_meant(value: str) -> None:
    assert json.loads(WRITERS[Format.JSON]({"AIOS_KEY": value})) == {"AIOS_KEY": value}


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (Format.SH, """export K='a'"'"'b\\"$c`'"""),
        (Format.FISH, """set -gx K 'a\\'b\\\\"$c`'"""),
        (Format.POWERSHELL, """$env:K = 'a''b\\"$c`'"""),
        (Format.DOTENV, '''K="a'b\\\\\\"\\$c\\`"'''),
    ],
)
def test_each_shell_has_its_own_quotes(written: Format, line: str) -> None:
    assert WRITERS[written]({"K": "a'b\\\"$c`"}) == line


def test_there_is_a_shell_to_try_the_lines_in() -> None:
    assert shutil.which("sh")
