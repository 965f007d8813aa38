"""How a process's Python runs: collections of garbage that stay short, and threads that give way soon."""

import asyncio
import gc
import sys
from typing import Final

SWITCH_SECONDS: Final = 0.0005
"""How long a thread that computes keeps the interpreter while the event loop waits for it. The loop gives it
up with every look for input and asks for it again: at the library's default, ten times as long, a single
thread that computes makes a call of a dozen such looks 60 ms longer."""


def give_way() -> None:
    """Let threads that compute hand the interpreter to the event loop soon."""
    sys.setswitchinterval(SWITCH_SECONDS)


_AGAIN_SECONDS: Final = 20.0
"""When most of what the first calls load and remember is there."""


def settle_in() -> None:
    """Let threads give way, and settle: now, and once more when the first calls have been."""
    give_way()
    settle()
    asyncio.get_running_loop().call_later(_AGAIN_SECONDS, settle)


def settle() -> None:
    """Take what is alive now out of all later collections. Call it once a process is up.

    The modules, classes and messages that a process has loaded are some hundred thousand objects
    that live as long as it does. Each full collection that goes through them stops it for 50 to 200 ms, and
    whoever makes garbage decides how often that is. What becomes garbage later is collected as ever.
    """
    gc.collect()
    gc.freeze()
