"""How far a process stands back for others on the processors.

Where Linux groups processes by session (autogroup), a niceness counts within its session only: between
sessions the group's own counts. A process that leads a session of its own is given both.
"""

import contextlib
import os
from pathlib import Path


def stand_back(pid: int, niceness: int) -> None:
    """Make a process of ours nicer by so much, and its session as nice when it leads one.

    What the machine does not let us, stays as it is. Blocks for a moment.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + niceness)
    with contextlib.suppress(OSError):
        if os.getsid(pid) == pid:
            Path(f"/proc/{pid}/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, pid)))
