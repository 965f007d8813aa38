"""Settings from the environment."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from services.tgi_local.config import DEMO_MODEL, ConfigError, TgiLocalConfig, load
from services.tgi_local.main import main


def test_defaults_are_a_loopback_server_with_the_demo_model() -> None:
    config = load({})

    assert (config.host, config.port, config.slots, config.ctx, config.threads) == (
        "127.0.0.1",
        7079,
        0,
        0,
        1,
    )
    assert config.model == str(DEMO_MODEL)
    assert config == TgiLocalConfig()


def test_every_setting_can_be_given() -> None:
    config = load(
        {
            "AIOS_MODEL": "hf:a/b/c.gguf",
            "AIOS_TGI_LOCAL_PORT": "0",
            "AIOS_TGI_LOCAL_SLOTS": "2",
            "AIOS_TGI_LOCAL_EXACT": "False",
            "AIOS_TGI_LOCAL_SNAPSHOT_TTL": "1.5",
            "AIOS_TGI_LOCAL_DATA_DIR": "/data",
            "UNRELATED": "x",
        }
    )

    assert (config.model, config.port, config.slots) == ("hf:a/b/c.gguf", 0, 2)
    assert not config.exact
    assert (config.snapshot_ttl, config.data_dir) == (timedelta(seconds=1.5), Path("/data"))


def test_the_common_data_directory_is_used_unless_its_own_is_named() -> None:
    common = {"AIOS_DATA_DIR": "/data"}

    assert load(common).data_dir == Path("/data/tgi-local")
    assert load(common | {"AIOS_TGI_LOCAL_DATA_DIR": "/own"}).data_dir == Path("/own")


def test_exact_slots_are_no_more_than_the_engine_has_room_for() -> None:
    with pytest.raises(ConfigError, match="at most 127 where exact"):
        load({"AIOS_TGI_LOCAL_SLOTS": "128", "AIOS_TGI_LOCAL_MAX_CONCURRENT": "128"})

    assert load({"AIOS_TGI_LOCAL_SLOTS": "128", "AIOS_TGI_LOCAL_EXACT": "false"}).slots == 128


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            {
                "AIOS_TGI_LOCAL_PORT": "99999",
                "AIOS_TGI_LOCAL_SLOTS": "many",
                "AIOS_TGI_LOCAL_CTX": "1",
                "AIOS_TGI_LOCAL_SLOT": "3",
                "AIOS_TGI_LOCAL_DRAIN": "1e400",
                "AIOS_TGI_LOCAL_EXACT": "maybe",
            }
        )

    problems = str(caught.value).splitlines()
    assert len(problems) == 6
    for name in (
        "PORT=99999",
        "SLOTS='many'",
        "CTX=1",
        "SLOT: no such setting",
        "DRAIN='1e400'",
        "EXACT='maybe'",
    ):
        assert any(f"AIOS_TGI_LOCAL_{name}" in problem for problem in problems), name


@pytest.mark.parametrize(("style", "json"), [("console", False), ("json", True), ("", True)])
def test_its_log_is_in_the_form_that_the_kernels_other_processes_were_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, style: str, *, json: bool
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.delenv("AIOS_LOG_FORMAT", raising=False)
    monkeypatch.setenv("AIOS_TGI_LOCAL_PORT", "none")
    if style:
        monkeypatch.setenv("AIOS_LOG_FORMAT", style)

    assert main() == 2

    told = capsys.readouterr().err
    assert "AIOS_TGI_LOCAL_PORT" in told
    assert told.startswith("{") is json


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "engine.example"])
def test_without_a_key_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(ConfigError, match="set a key"):
        load({"AIOS_TGI_LOCAL_HOST": host})

    assert load({"AIOS_TGI_LOCAL_HOST": host, "AIOS_TGI_LOCAL_API_KEY": "k" * 16}).host == host


def test_the_key_comes_from_a_file_and_is_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret-of-sixteen\n")
    config = load({"AIOS_TGI_LOCAL_API_KEY_FILE": str(file)})

    assert config.api_key == "secret-of-sixteen"
    assert config.api_key not in repr(config)


@pytest.mark.parametrize("key", ["", "short", "a key with blanks in it", "schlüssel-mit-umlaut"])
def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    file = tmp_path / "key"
    file.write_text(key)

    with pytest.raises(ConfigError) as caught:
        load({"AIOS_TGI_LOCAL_API_KEY_FILE": str(file)})
    assert not key or key not in str(caught.value)
    with pytest.raises(ConfigError, match="API_KEY_FILE"):
        load({"AIOS_TGI_LOCAL_API_KEY_FILE": str(tmp_path / "none")})
