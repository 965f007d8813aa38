"""The default ports, and who holds one that is taken."""

import socket
from pathlib import Path
from typing import Final

DEFAULT_PORTS: Final = {
    "gateway": 7070,
    "scheduler": 7071,
    "context": 7072,
    "memory": 7073,
    "storage": 7074,
    "tool": 7075,
    "access": 7076,
}
"""gRPC port of each service. Its HTTP port is 100 higher (the gateway's is 7080), health 200 higher."""

PORTS_BESIDE: Final = {"sandbox": 7077}
"""gRPC port of each process that a kernel may have and need not. It has no key and is believed nothing."""

DOOR_ABOVE: Final = 20
"""The gateway's HTTP door listens this far above its gRPC port: 7090."""

_GATEWAY_HTTP: Final = 7080
_LISTEN: Final = "0A"


class PortTaken(Exception):
    """A port the process needs cannot be bound.

    The message names the port and, where visible, its holder; where nobody holds it, the address is to blame.
    """

    def __init__(self, port: int, purpose: str, host: str = "127.0.0.1") -> None:
        self.port = port
        if problem := _unusable(host):
            super().__init__(f"port {port} ({purpose}) cannot be bound: the host {host!r} {problem}")
        else:
            super().__init__(f"port {port} ({purpose}) is in use{_holder(port)}")


def grpc_port(service: str) -> int:
    """Return the default gRPC port of a service; 0 for one that is not known."""
    return DEFAULT_PORTS.get(service) or PORTS_BESIDE.get(service, 0)


def http_port(service: str, port: int) -> int:
    """Return the default HTTP port of a service that listens on `port`; 0 stays 0."""
    if service == "gateway" and port == DEFAULT_PORTS["gateway"]:
        return _GATEWAY_HTTP
    return port + 100 if port else 0


def health_port(port: int) -> int:
    """Return the default gRPC health port of a service that listens on `port`; 0 stays 0."""
    return port + 200 if port else 0


def _unusable(host: str) -> str:
    """Return why no port can be bound at a host: it is no address of this machine; else an empty text."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except socket.gaierror:
        return "has no address"
    except OSError as error:
        return f"is no address of this machine ({error.strerror})"
    return ""


def _holder(port: int) -> str:
    """Describe the process that listens on a port; empty when that cannot be seen."""
    inodes = _listening_inodes(port)
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        if _holds(process, wanted):
            command = _read(process / "cmdline").replace("\0", " ").strip()
            return f" by process {process.name}: {command[:200]}"
    return " by a process of another user"


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in _read(Path("/proc/net") / table).splitlines()[1:]:
            columns = line.split()
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        links = list((process / "fd").iterdir())
    except OSError:  # gone meanwhile, or not ours to look into
        return False
    return any(_target(link) in sockets for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # a busy process closes files while it is looked at: that one tells nothing of the others
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
