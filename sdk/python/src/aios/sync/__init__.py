"""The SDK for programs without an event loop: `with aios.connect_sync() as kernel:`.

Every class here is the twin of an asynchronous one: the same methods, arguments and errors. The calls run on
a private event loop in a thread of its own.
"""

from typing import Self

from aios._retry import RetryPolicy
from aios.kernel import Kernel, connect
from aios.sync.access import SyncAccess
from aios.sync.agents import SyncAgents
from aios.sync.branches import SyncBranches
from aios.sync.contexts import SyncContexts
from aios.sync.drafts import SyncDrafts
from aios.sync.files import SyncFiles
from aios.sync.llm import SyncLlm
from aios.sync.mcp import SyncMcp
from aios.sync.memory import SyncMemory
from aios.sync.objects import SyncProvider, SyncTextStream
from aios.sync.portal import Portal
from aios.sync.queue import SyncQueue
from aios.sync.quotas import SyncQuotas
from aios.sync.records import SyncRecords
from aios.sync.secrets import SyncSecrets
from aios.sync.tools import SyncTools
from aios.sync.web import SyncWeb
from aios.types.agents import AgentHandle, Credential

__all__ = ["SyncKernel", "SyncProvider", "SyncTextStream", "connect_sync"]


class SyncKernel:
    """The kernel as one caller sees it. Get one from `connect_sync`, and others from `as_agent`."""

    def __init__(self, inner: Kernel, portal: Portal, *, owner: bool = False) -> None:
        self._inner = inner
        self._portal = portal
        self._owner = owner
        self.agents = SyncAgents(inner.agents, portal)
        """Register agents and steer them."""
        self.llm = SyncLlm(inner.llm, portal)
        """Chat with a model."""
        self.memory = SyncMemory(inner.memory, portal)
        """Remember notes."""
        self.files = SyncFiles(inner.files, portal)
        """Read and write versioned files."""
        self.records = SyncRecords(inner.records, portal)
        """Keep small structured documents."""
        self.tools = SyncTools(inner.tools, portal)
        """Call tools and provide own ones."""
        self.contexts = SyncContexts(inner.contexts, portal)
        """Keep conversations fitted to the model's window."""
        self.branches = SyncBranches(inner.branches, portal)
        """Try several ways on from a conversation and keep the best."""
        self.queue = SyncQueue(inner.queue, portal)
        """See what runs and what waits, and why."""
        self.drafts = SyncDrafts(inner.drafts, portal)
        self.mcp = SyncMcp(inner.mcp, portal)
        """Connect MCP servers, whose tools agents call."""
        self.web = SyncWeb(inner.web, portal)
        self.secrets = SyncSecrets(inner.secrets, portal)
        self.quotas = SyncQuotas(inner.quotas, portal)
        """See what is used of every quota."""
        self.access = SyncAccess(inner.access, portal)
        """Give permissions, decide approvals, read the audit."""

    def ping(self, *, timeout: float | None = None) -> float:
        """Return how long the kernel took to answer, in seconds; see `Kernel.ping`."""
        return self._portal.run(self._inner.ping(timeout=timeout))

    def server_time(self, *, timeout: float | None = None) -> float:
        """Return the kernel's clock as seconds since 1970; see `Kernel.server_time`."""
        return self._portal.run(self._inner.server_time(timeout=timeout))

    def as_agent(self, credential: AgentHandle | Credential | str) -> "SyncKernel":
        """Return the kernel as that agent sees it, over the same connection; see `Kernel.as_agent`."""
        return SyncKernel(self._inner.as_agent(credential), self._portal)

    def as_person(self, person_key: str) -> "SyncKernel":
        """Return the kernel as the person with that key sees it; see `Kernel.as_person`."""
        return SyncKernel(self._inner.as_person(person_key), self._portal)

    def close(self) -> None:
        """Close the connection, for everybody who acts over it; see `Kernel.close`."""
        if self._owner and not self._portal.closed:
            self._portal.run(self._inner.close())
            self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._inner).replace("aios.Kernel", "aios.SyncKernel")


def behind(kernel: SyncKernel) -> tuple[Kernel, Portal]:
    """Return the asynchronous kernel behind a synchronous one, and the way to the event loop it lives on."""
    return kernel._inner, kernel._portal  # noqa: SLF001  # the same module


def connect_sync(
    endpoint: str | None = None,
    token: str | None = None,
    *,
    agent_key: str | None = None,
    person_key: str | None = None,
    retry: RetryPolicy | None = None,
) -> SyncKernel:
    """Connect to the kernel without an event loop: `with aios.connect_sync() as kernel:`.

    Also `kernel = aios.connect_sync()`, with `kernel.close()` at the end. Arguments as for `aios.connect`.
    """
    inner = connect(endpoint, token, agent_key=agent_key, person_key=person_key, retry=retry)
    return SyncKernel(inner, Portal(), owner=True)
