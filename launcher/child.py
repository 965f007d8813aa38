"""`python -m launcher.child [--nice N] MODULE`: runs a module that ends when the supervisor dies.

A supervisor that is killed cannot stop its processes; the kernel of the machine does it then, where it can.
"""

import ctypes
import os
import runpy
import signal
import sys

from services.chassis.runtime.private_files import private_umask
from services.chassis.runtime.standing_back import stand_back

NICE = "--nice"
"""Option before the module: how far the process stands back for others on the processors."""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent and become the module."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)  # the supervisor died before it could be tied to
    private_umask()
    arguments = sys.argv[1:]
    if arguments[0] == NICE:
        stand_back(os.getpid(), int(arguments[1]))
        arguments = arguments[2:]
    module = arguments[0]
    sys.argv = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
