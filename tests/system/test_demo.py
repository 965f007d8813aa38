"""The demo: it ends well, compares its ways, survives a crash, and leaves a picture of who waited and ran."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(170)]


async def test_the_demo_plays_all_its_acts_and_says_how_they_went(tmp_path: Path) -> None:
    chart, trace, picture = (tmp_path / "new" / each for each in ("chart.png", "trace.json", "table.svg"))
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "aios"),
        *("demo", "--chart", str(chart), "--trace", str(trace), "--picture", str(picture), "--seed", "1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(140):
            told = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()

    assert process.returncode == 0, told
    assert re.search(r"^demo passed, in \d+ s", told, re.MULTILINE), told
    assert "policy adaptive, 4 slots" in told
    assert "aios demo --seed 1" in told
    for way in ("kernel, default policy", "kernel, fifo", "no kernel"):
        assert re.search(rf"^{way}  +[\d.]+ s .*\d/\d+$", told, re.MULTILINE), told
    assert re.search(r"against no kernel: wait p50 [\d.]+ x", told), told
    assert re.search(r"^killed +kill -9 \d+, the scheduler: \d+ calls ran, \d+ waited", told, re.MULTILINE), (
        told
    )
    assert re.search(r"^survived +nothing lost: (\d+) of \1 answers", told, re.MULTILINE), told
    assert "nobody at a terminal decided, so it was left waiting and did not run" in told
    for device in ("sandbox", "self-made", "http", "mcp"):
        assert re.search(rf"^{device} +(?!WRONG)\S", told, re.MULTILINE), told
    events = json.loads(trace.read_text())["traceEvents"]
    assert {"ada", "mallory"} <= {each["args"]["name"] for each in events if each["name"] == "process_name"}
    assert chart.read_bytes().startswith(b"\x89PNG")
    drawn = picture.read_text()
    for header in ("agent", "state", "right", "tokens", "preempted"):
        assert f">{header}" in drawn, f"the column {header} is cut"
