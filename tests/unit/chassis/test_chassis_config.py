"""Configuration: values are parsed by type, and every problem is reported in one error."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.runtime import config
from services.chassis.runtime.config import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Limits of a thing."""

    name: str
    """What it is called."""

    max_notes: int = 10
    ratio: float = 0.5
    fast: bool = False
    root: Path = Path("/data")

    max_wait: timedelta = timedelta(seconds=30)
    """Longest wait.

    Unit: seconds.
    """

    peers: tuple[str, ...] = ("a", "b")
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.max_notes < 0:
            raise ValueError("max_notes must not be negative")


def test_values_are_read_by_type() -> None:
    environ = {
        "T_NAME": "x",
        "T_MAX_NOTES": "7",
        "T_RATIO": "0.25",
        "T_FAST": "yes",
        "T_ROOT": "/srv",
        "T_MAX_WAIT": "1.5",
        "T_PEERS": "h1:1, h2:2",
        "T_LIMIT": "3",
    }

    assert config.load(Settings, environ, "T_") == Settings(
        name="x", max_notes=7, ratio=0.25, fast=True, root=Path("/srv"), max_wait=timedelta(seconds=1.5),
        peers=("h1:1", "h2:2"), limit=3,
    )  # fmt: skip


def test_defaults_hold_when_nothing_is_set() -> None:
    assert config.load(Settings, {"T_NAME": "x", "T_LIMIT": ""}, "T_") == Settings(name="x")


def test_every_problem_is_reported_at_once() -> None:
    environ = {
        "T_MAX_NOTES": "many", "T_RATIO": "inf", "T_FAST": "maybe", "T_MAX_WAIT": "-1", "T_COLOUR": "red",
        "OTHER": "1",
    }  # fmt: skip

    with pytest.raises(ConfigError) as failure:
        config.load(Settings, environ, "T_")

    assert [problem.split(":")[0] for problem in failure.value.problems] == [
        "T_NAME", "T_MAX_NOTES", "T_RATIO", "T_FAST", "T_MAX_WAIT", "T_COLOUR",
    ]  # fmt: skip


def test_an_invariant_of_the_dataclass_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="must not be negative"):
        config.load(Settings, {"T_NAME": "x", "T_MAX_NOTES": "-1"}, "T_")


def test_variables_named_as_known_may_be_present() -> None:
    assert config.load(Settings, {"T_NAME": "x", "T_PORT": "1"}, "T_", known=["PORT"]).name == "x"
    assert config.load(Settings, {"T_NAME": "x", "T_PORT": "1"}, "T_", known=None).name == "x"


def test_the_description_shows_name_type_default_and_meaning() -> None:
    text = config.describe(Settings, "T_")

    assert "T_NAME  (str, required)\n    What it is called." in text
    assert "T_MAX_WAIT  (seconds, default 30.0)\n    Longest wait.  Unit: seconds." in text
    assert "T_PEERS  (comma separated, default a,b)" in text
    assert "T_LIMIT  (int | None, default None)" in text
