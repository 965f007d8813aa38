"""Logs: structured, tied to the call, readable at a terminal."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from services.chassis.auth.identity import Caller, set_caller
from services.chassis.runtime import logs


@pytest.fixture
def root() -> Iterator[None]:
    """Put the root logger back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.usefixtures("root")
async def test_a_line_carries_service_call_and_fields() -> None:
    stream = io.StringIO()
    logs.configure("memory", stream=stream)
    set_caller(Caller("planner", "acme", token="secret", syscall_id="s1", trace_id="t1"))

    logs.logger("x").info("note swapped", note="n1", bytes=12)

    line = json.loads(stream.getvalue())
    assert line | {"time": ""} == {
        "time": "", "level": "info", "service": "memory", "event": "note swapped", "logger": "x",
        "syscall": "s1", "agent": "planner", "tenant": "acme", "trace": "t1", "note": "n1", "bytes": 12,
    }  # fmt: skip
    assert "secret" not in stream.getvalue()


@pytest.mark.usefixtures("root")
def test_an_error_carries_its_traceback() -> None:
    stream = io.StringIO()
    logs.configure("memory", style="json", stream=stream)

    logs.logger("x").error("it broke", exc=ValueError("because"))

    assert "ValueError: because" in json.loads(stream.getvalue())["exception"]


@pytest.mark.usefixtures("root")
def test_what_is_below_the_level_is_left_out() -> None:
    stream = io.StringIO()
    logs.configure("memory", level="warning", stream=stream)

    logs.logger("x").info("not interesting")
    logs.logger("x").debug("even less")

    assert stream.getvalue() == ""


@pytest.mark.usefixtures("root")
def test_a_migration_is_logged_and_what_it_says_without_one_is_not() -> None:
    stream = io.StringIO()
    logs.configure("memory", stream=stream)
    migrations = logging.getLogger("alembic.runtime.migration")

    for said in ("Context impl SQLiteImpl.", "Will assume transactional DDL.", "Running upgrade 1 -> 2"):
        migrations.info(said)

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "Running upgrade 1 -> 2"


@pytest.mark.usefixtures("root")
def test_the_console_form_is_one_readable_line() -> None:
    stream = io.StringIO()
    logs.configure("memory", style="console", stream=stream)

    logs.logger("x").warning("queue is long", waiting=7)

    assert "memory    warning queue is long waiting=7" in stream.getvalue()
    assert "Traceback" not in stream.getvalue()


@pytest.mark.usefixtures("root")
def test_what_a_caller_wrote_neither_steers_the_console_nor_passes_for_a_line() -> None:
    stream = io.StringIO()
    logs.configure("memory", style="console", stream=stream)

    logs.logger("x").info("seen", kind="\x1b[2J\n12:00:00 memory error forged\x9b")
    logs.logger("x").info("broke")

    first, second = stream.getvalue().splitlines()
    assert "kind=\\x1b[2J\\x0a12:00:00 memory error forged\\x9b" in first
    assert "broke" in second


def test_the_token_is_not_in_the_caller_s_text() -> None:
    assert "secret" not in repr(Caller("planner", "acme", token="secret"))
