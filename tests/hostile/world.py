"""What hostile programs must not reach: files and a process of their own user, and servers of every kind."""

import asyncio
import os
import socket
import stat
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.chassis.isolation import processes
from services.chassis.isolation.sandbox import ProcessSandbox
from services.chassis.sandbox.terms import SandboxLevel
from tests.fakes.isolation import isolated, launcher
from tests.hostile.corpus import Attack


@dataclass
class World:
    """A sandbox with one place, and what lies around it."""

    sandbox: ProcessSandbox
    uid: int
    """The user that jobs run as."""
    canary: Path
    servers: list[socket.socket]
    port: int
    udp: int
    abstract: str

    def code(self, attack: Attack, victim: int) -> str:
        """Return an attack on what is here."""
        code = attack.code
        for name, value in (
            ("canary", self.canary),
            ("victim", victim),
            ("port", self.port),
            ("udp", self.udp),
            ("abstract", self.abstract),
        ):
            code = code.replace("{" + name + "}", str(value))
        return code

    def owned(self) -> set[int]:
        """Return the processes of the user that are of no use to anybody else, and alive."""
        rows = processes.table()
        mine = {pid for pid, row in rows.items() if row.uid == self.uid and not row.zombie}
        if self.uid == os.getuid():
            mine &= processes.descendants(rows, os.getpid(), None)
        return mine

    def harm(self) -> list[str]:
        """Name what has changed outside, or was reached."""
        found = []
        mode = stat.S_IMODE(self.canary.stat().st_mode)
        names = sorted(path.name for path in self.canary.iterdir())
        secret = self.canary / "secret"
        if (mode, names) != (0o700, ["datagram", "secret", "stream"]):
            found.append(f"the canary directory is {mode:o} {names}")
        elif secret.read_text() != "TOP" or secret.stat().st_mtime == 1:
            found.append("the secret was written")
        elif secret.stat().st_uid != self.uid or stat.S_IMODE(secret.stat().st_mode) != 0o600:
            found.append("the secret has another owner or mode")
        for server in self.servers:
            try:
                if server.type == socket.SOCK_DGRAM:
                    found.append(f"a server heard {server.recv(99)!r}")
                else:
                    server.accept()[0].close()
                    found.append("a server was reached")
            except BlockingIOError:
                continue
        return found


@contextmanager
def victim(uid: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process of the jobs' user, outside."""
    user = {"user": uid, "group": uid, "extra_groups": []} if os.getuid() == 0 else {}
    process = subprocess.Popen(["/bin/sleep", "600"], env={"AIOS_SECRET": "s3cr3t"}, **user)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def hurt(process: "subprocess.Popen[bytes]") -> list[str]:
    """Name what was done to the victim."""
    if process.poll() is not None:
        return ["the victim is dead"]
    limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    cpu = next(line for line in limits if line.startswith("Max cpu time")).split()[3]
    changed = (cpu, os.getpriority(os.PRIO_PROCESS, process.pid) - os.getpriority(os.PRIO_PROCESS, 0), state)
    return (
        [] if changed[0] == "unlimited" and changed[1] <= 0 and state != "T" else [f"the victim is {changed}"]
    )


@asynccontextmanager
async def world(level: SandboxLevel, change: str = "") -> AsyncIterator[World]:
    """Put everything up around a sandbox with one place; `change` is made to its launcher."""
    with ExitStack() as stack:
        settings: dict[str, Any] = {"jobs": 1, "warm": 0, "first_uid": 100_000 + 4096 * (os.getpid() % 4096)}
        if change:
            changed = Path(stack.enter_context(TemporaryDirectory()))
            settings["launcher"] = await asyncio.to_thread(launcher, changed, change)
        async with isolated(level.value, **settings) as sandbox:
            assert sandbox.problem == ""
            await sandbox._places.free(await sandbox._places.take())
            users = sandbox._places._users
            uid = os.getuid() if users is None else users.first
            yield await asyncio.to_thread(_around, stack, sandbox, uid)


def _around(stack: ExitStack, sandbox: ProcessSandbox, uid: int) -> World:
    directory = Path(stack.enter_context(TemporaryDirectory()))
    directory.chmod(0o711)
    canary = directory / "canary"
    canary.mkdir(mode=0o700)
    (canary / "secret").write_text("TOP")
    (canary / "secret").chmod(0o600)
    abstract = f"aios-hostile-{uuid.uuid4().hex}"
    addresses: list[tuple[int, int, object]] = [
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        (socket.AF_UNIX, socket.SOCK_STREAM, str(canary / "stream")),
        (socket.AF_UNIX, socket.SOCK_DGRAM, str(canary / "datagram")),
        (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}"),
        (socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{abstract}-datagram"),
    ]
    servers = []
    for family, kind, address in addresses:
        server = stack.enter_context(socket.socket(family, kind))
        server.bind(address)  # type: ignore[arg-type]  # of its family
        if kind == socket.SOCK_STREAM:
            server.listen()
        server.setblocking(False)  # noqa: FBT003
        servers.append(server)
    if os.getuid() == 0:
        for path in (canary, *canary.iterdir()):
            os.chown(path, uid, uid)
    port, udp = servers[0].getsockname()[1], servers[1].getsockname()[1]
    return World(sandbox, uid, canary, servers, port, udp, abstract)
