"""The demo: it ends well, says which policy ruled, and leaves a picture of who waited and ran."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(150)]


async def test_the_demo_shows_the_policy_and_its_preemptions_and_draws_them(tmp_path: Path) -> None:
    chart, trace = tmp_path / "chart.png", tmp_path / "trace.json"
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "aios"),
        *("demo", "--chart", str(chart), "--trace", str(trace)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(120):
            told = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()

    assert process.returncode == 0, told
    assert "policy rr (quantum 16), 4 slots" in told
    found = re.search(r"(\d+) preemptions", told)
    assert found is not None, told
    events = json.loads(trace.read_text())["traceEvents"]
    switched = [each for each in events if each["ph"] == "i" and each["name"] == "preempted"]
    assert 0 < int(found[1]) <= len(switched)
    assert {"ada", "mallory"} <= {each["args"]["name"] for each in events if each["name"] == "process_name"}
    for device in ("sandbox", "self-made", "http", "mcp"):
        assert re.search(rf"^{device} +(?!WRONG)\S", told, re.MULTILINE), told
    assert chart.read_bytes().startswith(b"\x89PNG")
