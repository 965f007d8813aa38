"""The console's modules that need no browser: decoding, folding, routing, Markdown, the client."""

import shutil
import subprocess
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent / "node"
_NODE = shutil.which("node")


@pytest.mark.skipif(_NODE is None, reason="Node.js is not installed: `apt-get install nodejs`")
def test_the_pure_parts_do_what_their_own_tests_say() -> None:
    assert _NODE is not None
    tests = sorted(str(path) for path in _TESTS.glob("*.test.mjs"))
    assert tests
    done = subprocess.run([_NODE, "--test", *tests], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
