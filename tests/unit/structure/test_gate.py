"""What the gate runs is there."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]


def test_every_target_of_the_gate_is_one_of_the_makefile() -> None:
    run = (ROOT / ".ci/run").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(_commands(run))))

    assert {"setup", "check", "verify-protos", "test", "test-web"} <= named
    assert named <= targets


def _commands(script: str) -> list[str]:
    return [line for line in script.splitlines() if not line.lstrip().startswith("#")]


def test_every_suite_of_its_own_is_run_by_the_gate() -> None:
    suites = set(re.findall(r"^(test-[a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert suites - {"test-fast", "test-again"} <= set(
        re.findall(r"make (test-[a-z]+)", (ROOT / ".ci/run").read_text())
    )
