"""What runs a tool's function in the sandbox. It is sent there by its text, and answers on descriptor 3.

On standard input comes a JSON object: `source`, `function`, `arguments`. It answers with a JSON object:
`value`, or `error` with what went wrong, or `unreadable` with why the result is no JSON.
"""

from __future__ import annotations  # loading `typing` would be most of what a call takes

import contextlib
import json
import os
import sys
import traceback
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_CHARACTERS = 2000


def answer(given: dict[str, Any]) -> str:
    """Run the function and return the answer's text."""
    try:
        names: dict[str, Any] = {"__name__": "tool"}
        exec(compile(given["source"], "<tool>", "exec", dont_inherit=True), names)  # noqa: S102 - what it is for
        function = names.get(given["function"])
        if not callable(function):
            return json.dumps({"error": f"the source defines no function {given['function']!r}"})
        value = function(**given["arguments"])
        if isinstance(value, types.CoroutineType):
            import asyncio  # noqa: PLC0415 - takes longer to load than most calls run

            value = asyncio.run(value)
    except BaseException as error:  # noqa: BLE001 - all of it is the tool's own, its exit included
        lines = traceback.format_exception_only(type(error), error)
        return json.dumps({"error": lines[-1].strip()[:MOST_CHARACTERS]})
    try:
        return json.dumps({"value": value}, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return json.dumps({"unreadable": f"the result is no JSON: {error}"[:MOST_CHARACTERS]})


def main() -> None:
    """Answer once and end: threads of the function, and what it left for its exit, are not waited for."""
    text = answer(json.load(sys.stdin)).encode()
    for said in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # the tool may have closed or replaced it; the answer counts
            said.flush()
    while text:
        text = text[os.write(3, text) :]
    os._exit(0)  # taking an interpreter down by the book takes as long as most calls


if __name__ == "__main__":
    main()
