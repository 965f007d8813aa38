"""What the host orders a launcher to do, and the options of bubblewrap. Pure but for a look at links."""

import os
from dataclasses import dataclass, field

HOME = "/job"
"""The job's scratch, as it sees it in its namespaces."""
NOBODY = "65534"
PATH = "/usr/local/bin:/usr/bin:/bin"
NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/ca-certificates")
SYSTEM = ("/lib", "/lib32", "/lib64", "/bin", "/sbin")
TMP_BYTES = "1048576"
_READABLE = ("/usr", *SYSTEM, "/etc/ld.so.cache", "/dev/urandom", "/dev/random")


@dataclass
class Plan:
    """One job. Units: bytes and seconds."""

    level: str
    host: int
    """The process that orders."""
    argv: list[str]
    scratch: str
    memory: int
    cpu: int
    file_bytes: int
    processes: int
    """Of the user, all its other ones included."""
    files: int = 64
    """Open at a time, in each process."""
    environment: dict[str, str] = field(default_factory=dict)
    uid: int | None = None
    """User and group to become; None: it stays who it is."""
    fork: bool = False
    network: bool = False
    reads: list[str] = field(default_factory=list)
    """What it may read beside the system's programs: paths that are the same inside and outside."""
    mounts: dict[str, str] = field(default_factory=dict)
    """More of that, path inside to path outside; they differ only where there are namespaces."""
    bwrap: str = ""


def read_paths(plan: Plan) -> list[str]:
    """Return what a job without namespaces may read."""
    return [one for one in (*_READABLE, *plan.reads, *plan.mounts.values()) if os.path.exists(one)]  # noqa: PTH110


def options_of_namespaces(plan: Plan, *, tells: int, orders: int, filtered: int) -> list[str]:
    """Return the options of bubblewrap; the numbers are descriptors."""
    return [
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *(() if plan.network else ("--unshare-net",)),
        *("--disable-userns", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *(piece for name, value in plan.environment.items() for piece in ("--setenv", name, value)),
        *_file_view(plan),
        *("--bind", plan.scratch, HOME, "--size", TMP_BYTES, "--perms", "1777", "--tmpfs", "/tmp"),  # noqa: S108 - its own
        *(piece for inside, outside in plan.mounts.items() for piece in ("--ro-bind", outside, inside)),
        *("--chdir", HOME, "--remount-ro", "/", "--seccomp", str(filtered)),
        *("--info-fd", str(tells), "--block-fd", str(orders)),
    ]


def _file_view(plan: Plan) -> list[str]:
    """Mount the system's programs and what was granted; nothing of /etc but where there is a network."""
    view = ["--ro-bind", "/usr", "/usr"]
    for path in SYSTEM:
        if os.path.islink(path):  # noqa: PTH114 - as few imports as can be
            view += ["--symlink", os.readlink(path), path]  # noqa: PTH115
        elif os.path.isdir(path):  # noqa: PTH112
            view += ["--ro-bind", path, path]
    view += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev"]
    # it reads the same, but mapped the other one is shared memory that nobody counts
    view += ["--dev-bind", "/dev/full", "/dev/zero", "--remount-ro", "/dev"]
    for path in (*plan.reads, *(NETWORK_FILES if plan.network else ())):
        view += ["--ro-bind-try", path, path]
    return view
