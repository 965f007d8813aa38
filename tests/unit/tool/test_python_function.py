"""What runs a tool's function answers and ends, whatever the function leaves behind."""

import json
import subprocess
import sys
from typing import Any

from services.tool.drivers.python import FUNCTION

PATIENCE = 30.0
"""Seconds until a process that waits for what its function left is given up."""


def answered(source: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """Run `tool` of a source as the sandbox does and return its answer and what it said."""
    told = {"source": source, "function": "tool", "arguments": arguments}
    shell = 'exec 4>&1; "$0" -c "$1" 3>&4 4>&- >&2'  # answers on descriptor 3 come out as the standard output
    ended = subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable, FUNCTION],
        input=json.dumps(told).encode(),
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer, ended.stderr.decode()


def test_a_value_comes_back_after_what_was_printed_before_it() -> None:
    assert answered("def tool(text):\n print('half')\n return [text]", text="é") == (
        {"value": ["é"]},
        "half\n",
    )


def test_a_thread_that_goes_on_does_not_hold_the_answer_up() -> None:
    source = (
        "import threading, time\n"
        "def tool():\n threading.Thread(target=time.sleep, args=(3600,)).start()\n return 1"
    )

    assert answered(source)[0] == {"value": 1}


def test_a_function_that_waits_at_its_exit_is_not_waited_for() -> None:
    assert answered("import atexit, time\ndef tool():\n atexit.register(time.sleep, 3600)\n return 1")[0] == {
        "value": 1
    }


def test_a_function_that_closes_its_outputs_still_answers() -> None:
    assert answered("import sys\ndef tool():\n sys.stdout.close(); sys.stderr = None\n return 1")[0] == {
        "value": 1
    }


def test_a_function_that_ends_the_program_is_told_as_its_failure() -> None:
    assert answered("import sys\ndef tool():\n sys.exit(3)")[0] == {"error": "SystemExit: 3"}


def test_a_coroutine_is_run_to_its_end() -> None:
    assert answered("import asyncio\nasync def tool():\n await asyncio.sleep(0)\n return 1")[0] == {
        "value": 1
    }


def test_what_is_no_json_is_said_to_be_unreadable() -> None:
    assert "unreadable" in answered("def tool():\n return {1, 2}")[0]
