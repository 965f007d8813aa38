"""A setting that means nothing ends the start with one line that names it, and never with a traceback."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.chassis.runtime.config import ConfigError
from services.chassis.runtime.ports import PortTaken
from services.chassis.runtime.process import Process
from services.scheduler.main import build as scheduler


def refused(name: str, settings: Mapping[str, str], tmp_path: Path) -> str:
    """Start to build a process and return what it says of its settings."""
    environ = {"AIOS_DATA_DIR": str(tmp_path), **settings}

    async def start() -> None:
        process = Process(name, environ)
        async with process.stack:
            if name == "scheduler":
                await scheduler(process)
            else:
                await process.database(Path("services") / name / "store" / "migrations")

    with pytest.raises(ConfigError) as failure:
        asyncio.run(start())
    return str(failure.value)


@pytest.mark.parametrize(
    ("name", "variable", "value", "told"),
    [
        ("scheduler", "AIOS_SCHEDULER_POLICY", "nonsense", "known: adaptive, edf, fifo, las"),
        ("scheduler", "AIOS_SCHEDULER_TOOL_POLICY", "nonsense", "known: adaptive, edf, fifo, las"),
        ("scheduler", "AIOS_SCHEDULER_MAX_WAITING", "0", "at least 1"),
        ("scheduler", "AIOS_SCHEDULER_QUANTUM_TOKENS", "-4", "at least 0"),
        ("scheduler", "AIOS_SCHEDULER_KEPT_SLOT_FROM", "1", "0 or at least 2"),
        ("scheduler", "AIOS_SCHEDULER_POLICI", "rr", "unknown variable"),
        ("scheduler", "AIOS_SCHEDULER_PORT", "70000", "a port from 0 to 65535"),
        ("memory", "AIOS_MEMORY_HTTP_PORT", "-1", "a port from 0 to 65535"),
        ("memory", "AIOS_MEMORY_DATABASE_URL", "nonsense", "a URL such as"),
        ("memory", "AIOS_MEMORY_DATABASE_URL", "mysql://h/x", "no support"),
        ("memory", "AIOS_LOG_LEVEL", "loud", "debug, info, warning"),
        ("memory", "AIOS_LOG_FORMAT", "xml", "auto, json, console"),
        ("memory", "AIOS_OTEL_ENDPOINT", "collector", "a URL such as"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line_with_its_name(
    name: str, variable: str, value: str, told: str, tmp_path: Path
) -> None:
    text = refused(name, {variable: value}, tmp_path)

    assert text.startswith(f"bad configuration: {variable}: ")
    assert told in text
    assert "\n" not in text


def test_two_wrong_settings_are_both_told(tmp_path: Path) -> None:
    wrong = {"AIOS_SCHEDULER_POLICY": "x", "AIOS_SCHEDULER_TOOL_POLICY": "y"}
    lines = refused("scheduler", wrong, tmp_path).splitlines()

    assert lines[0] == "bad configuration:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == list(wrong)


def test_a_host_that_is_none_is_not_called_a_port_in_use() -> None:
    assert "no.such.host.invalid' has no address" in str(PortTaken(1, "gRPC", "no.such.host.invalid"))
    assert "in use" in str(PortTaken(1, "gRPC"))
