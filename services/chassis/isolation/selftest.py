"""The self-test: what the host prepares for it, and how it judges what came of it."""

import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.chassis.isolation.scratch import remove
from services.chassis.sandbox.terms import EndKind, Limits, SandboxEnd, SandboxLevel

ATTEMPTS: Final = (Path(__file__).parent / "inside" / "attempts.py").read_text()
FORKS: Final = 48
"""How many processes it tries to start; its limit is half of that."""
LIMITS: Final = Limits(memory_bytes=1 << 30, cpu_seconds=20.0, wall_seconds=30.0, scratch_bytes=1 << 20)
MUST_WORK: Final = frozenset({"compute", "write to its scratch"})
MUST_BE_REFUSED: Final = frozenset(
    {
        "read the data of the kernel",
        "write outside of its scratch",
        "make a socket",
        "connect to the kernel",
        "start processes without end",
        "signal the kernel",
        "limit the kernel",
        "use io_uring",
        "find an inherited descriptor",
        "find a variable of the kernel",
        "be root",
    }
)
_NO_PROCESS: Final = 1 << 22
"""No process has that number. In a namespace of processes any number may be one of the job's own."""


@dataclass(slots=True)
class Bait:
    """What the self-test must not reach: a file, and a port."""

    path: Path
    port: socket.socket

    @classmethod
    def put_out(cls, above: Path, uid: int | None) -> "Bait":
        """Make them; the file is the job's own user's, so that only the lock keeps it. Raises OSError."""
        above.mkdir(mode=0o700)
        (above / "secret").write_bytes(b"secret")
        for path in (above, above / "secret"):
            if uid is not None:
                os.chown(path, uid, uid)
        return cls(above, socket.create_server(("127.0.0.1", 0)))

    def argument(self, level: SandboxLevel) -> str:
        """Return what the attempts have to know."""
        return json.dumps(
            {
                "outside": str(self.path),
                "port": self.port.getsockname()[1],
                "forks": FORKS,
                "host": os.getpid(),
                "signals": _NO_PROCESS - 1 if level is SandboxLevel.NAMESPACES else os.getpid(),
            }
        )

    def was_taken(self) -> bool:
        """Tell whether anything reached them."""
        self.port.setblocking(False)  # noqa: FBT003
        try:
            self.port.accept()[0].close()
        except BlockingIOError:
            return sorted(path.name for path in self.path.iterdir()) != ["secret"]
        return True

    def take_in(self) -> None:
        """Remove them."""
        self.port.close()
        remove(self.path)


def surprises(end: SandboxEnd) -> list[str]:
    """Return what is not as it has to be, for people; nothing: the lock holds."""
    if end.how is not EndKind.EXITED or end.code:
        return [f"the self-test ended by {end.how.value} {end.code}"]
    try:
        came = json.loads(end.stdout)
        wrong = [f"it could {name}" for name in sorted(MUST_BE_REFUSED) if came[name] != "refused"]
        return wrong + [f"it could not {name}" for name in sorted(MUST_WORK) if came[name] != "done"]
    except (ValueError, KeyError, TypeError):
        return ["the self-test said nothing that can be read"]
