"""Runs the suites that vendors test their SDKs with, and tells what came of each test."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from tests.clients.environments import run

INSIDE: Final = Path(__file__).parent / "inside"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a suite."""

    passed: int
    failed: dict[str, str]
    """Why, by `file::function` where all its variants failed (the synchronous and the asynchronous client,
    strict and loose), else by `file::function[variant]`."""


async def run_suite(
    python: Path, suite: Path, report: Path, *tests: str, url: str, key: str, options: Sequence[str] = ()
) -> Outcome:
    """Run tests of an unpacked suite against the door; `tests` and `options` are what pytest is told."""
    told = ("-q", "-p", "no:cacheprovider", "-p", "vendor_key", "-o", "addopts=", f"--junitxml={report}")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(INSIDE),
        "TEST_API_BASE_URL": url,
        "AIOS_KEY": key,
    }
    done = await run(python, "-m", "pytest", *told, *options, *tests, environment=environment, cwd=suite)
    try:
        return _read(report)
    except FileNotFoundError as error:
        raise AssertionError(done.tail) from error


def _read(report: Path) -> Outcome:
    variants: dict[str, dict[str, str]] = {}
    passed: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by our own run
        file = case.get("classname", "").rpartition(".")[0].removeprefix("tests.api_resources.")
        name = f"{file}::{case.get('name')}"
        function = name.partition("[")[0]
        fault = next((each for each in case if each.tag in {"failure", "error", "skipped"}), None)
        if fault is None:
            passed[function] += 1
        else:
            # Two clients share a function's name and "loose" and "strict" with it; either may fail.
            variants.setdefault(function, {})[name] = fault.get("message", fault.tag)
    failed: dict[str, str] = {}
    for function, each in variants.items():
        failed |= each if passed[function] else {function: next(iter(each.values()))}
    return Outcome(passed.total(), failed)
