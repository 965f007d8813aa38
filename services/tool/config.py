"""Configuration of the tool manager, from `AIOS_TOOL_*`."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.chassis.quotas import Cap
from services.chassis.sandbox.terms import LEVELS
from services.tool.core.egress import OperatorRules

_MOST_ARGUMENTS = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolConfig:
    """Limits of one tool manager. Read once, at start."""

    quota_tools: Cap = Cap.of(200)
    """Registered tools, charged to who registered them."""

    quota_mcp_servers: Cap = Cap.of(16)
    """MCP servers, charged to who added them; their tools count among the registered ones."""

    quota_secrets: Cap = Cap.flat(1_000)
    """Secrets; they belong to the tenant."""

    quota_calls: Cap = Cap.of(1_000_000)
    """Calls in the ledger."""

    quota_call_bytes: Cap = Cap.of(1 << 30)
    """What the ledger's calls take, results above all. Unit: bytes."""

    quota_replies: Cap = Cap.of(1_000_000)
    """Answers remembered for repeated requests, each kept for a day; charged to who asked."""

    quota_running_calls: Cap = Cap.of(256)
    """Calls under way in one process."""

    quota_drafts: Cap = Cap.of(100)
    """Tools that agents make, as drafts."""

    quota_draft_bytes: Cap = Cap.of(16 * 1024 * 1024)
    """Drafts, their tests, and the versions of them that were shared. Unit: bytes."""

    quota_tool_versions: Cap = Cap.of(500)
    """Versions that were shared; those that were revoked count too."""

    quota_tool_changes: Cap = Cap.of(240)
    """Changes and tests of drafts within an hour, in one process."""

    quota_provider_streams: Cap = Cap.of(256)
    """Streams of providers open at one process."""

    secret_keys_file: Path | None = None
    """File of the keys that seal secrets, one ID=BASE64 of 32 bytes a line: the first seals, all open. Read
    again when it changes. Default: secret-keys in the data directory, made when the first secret is set, if
    the database lies there too; otherwise no secret can be kept."""

    egress_allow: tuple[str, ...] = ()
    """Origins that tools may reach at public addresses, such as https://* or https://*.example.com."""

    egress_internal: tuple[str, ...] = ()
    """Places inside that tools may reach, each ORIGIN NETWORK [TENANT]: http://wiki.lan:8080 10.1.0.0/16."""

    keep_calls: timedelta = timedelta(days=7)
    """Time the ledger keeps a call after its end; at least 24 hours. Unit: seconds."""

    keep_arguments: int = 4_096
    """What the ledger keeps of a call's arguments, for as long as the call; longer ones are cut and marked.
    0: nothing. At most 65536. Unit: bytes."""

    collect_every: timedelta = timedelta(minutes=10)
    """Time between two rounds that forget old calls. Unit: seconds."""

    check_leases_every: timedelta = timedelta(milliseconds=500)
    """Time between two looks at the leases of providers. Unit: seconds."""

    look_at_approvals_every: timedelta = timedelta(seconds=1)
    """Time between two looks at an approval that a call waits for. Unit: seconds."""

    sandbox_target: str = ""
    """Where the sandbox is reached that is a process of its own, such as sandbox:7077. Default: programs are
    isolated on this machine, by this process."""

    sandbox_key_file: Path | None = None
    """File with the credential for that sandbox, which knows its SHA-256."""

    sandbox: str = ""
    """What programs are kept in with on this machine: namespaces, landlock, single (Python only) or none,
    which runs nothing. Default: the first of them that works here."""

    sandbox_python: str = ""
    """Interpreter for tools that are Python. Default: this process's, or the system's."""

    sandbox_directory: str = ""
    """Where tools' scratches are made. Default: the system's place for temporary files."""

    sandbox_jobs: int = 16
    """Programs that run at once in the sandbox of this machine."""

    sandbox_warm: int = 2
    """Interpreters that wait for tools, 10 MiB each, once a first one was called."""

    sandbox_first_uid: int = 61_000
    """As root, programs run as this user and the ones after it, each as one of its own."""
    mcp_programs: str = ""
    """Directories whose programs MCP servers may be, and which those may read, beside /usr; absolute, with
    colons between. Only administrators add such servers, and the programs run in the sandbox. Keep nothing in
    them that no server may read. Default: none."""

    mcp_network: bool = False
    """Whether administrators may give such programs the network, past the guard of all other requests."""

    mcp_memory_bytes: int = 512 * 1024 * 1024
    """Memory of one such program with all it starts."""

    mcp_sessions: int = 64
    """Sessions with MCP servers that are open at once; a quarter of them for one tenant."""

    mcp_idle: timedelta = timedelta(minutes=30)
    """Time without a call after which a session is closed. Unit: seconds."""

    mcp_open_seconds: float = 30.0
    """Most time for a server to start and agree on a revision. Unit: seconds."""

    @property
    def egress(self) -> OperatorRules:
        """Where tools may send to."""
        return OperatorRules.read(self.egress_allow, self.egress_internal)

    def __post_init__(self) -> None:
        _ = self.egress  # which raises ValueError for what is no rule
        if self.sandbox not in LEVELS:
            raise ValueError(f"sandbox is one of {', '.join(sorted(filter(None, LEVELS)))}, or empty")
        if self.sandbox_jobs < 1 or self.sandbox_warm < 0 or self.sandbox_first_uid < 1:
            raise ValueError("the sandbox has at least 1 place and is never root")
        if not all(each.startswith("/") for each in self.mcp_programs.split(":") if each):
            raise ValueError("mcp_programs must be absolute directories, with colons between")
        if min(self.mcp_sessions, self.mcp_memory_bytes) < 1 or self.mcp_open_seconds <= 0:
            raise ValueError("mcp_sessions, mcp_memory_bytes and mcp_open_seconds must be more than 0")
        if not 0 <= self.keep_arguments <= _MOST_ARGUMENTS:
            raise ValueError(f"keep_arguments must be from 0 to {_MOST_ARGUMENTS} bytes")
        if self.keep_calls < timedelta(hours=24):
            raise ValueError("keep_calls must be at least 86400 seconds")
        if min(self.collect_every, self.check_leases_every, self.look_at_approvals_every) <= timedelta(0):
            raise ValueError("the times between two rounds must be more than 0 seconds")

    @property
    def mcp_directories(self) -> tuple[str, ...]:
        """The directories of programs, one by one."""
        return tuple(os.path.realpath(each) for each in self.mcp_programs.split(":") if each)
