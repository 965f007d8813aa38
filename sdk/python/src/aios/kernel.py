"""`aios.connect`: a connection to the kernel, acting as one caller."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aios import _channel, _settings
from aios._retry import RetryPolicy
from aios._tokens import ISSUE_TIMEOUT, FileToken, KeyedToken, NoToken, StaticToken, Tokens, issued_at
from aios._transport import Transport
from aios._wire import agents as agents_wire
from aios.api.access.v1 import access_pb2
from aios.calls.access import Access
from aios.calls.agents import Agents
from aios.calls.branches import Branches
from aios.calls.contexts import Contexts
from aios.calls.drafts import Drafts
from aios.calls.files import Files
from aios.calls.llm import Llm
from aios.calls.mcp import Mcp
from aios.calls.memory import Memory
from aios.calls.queue import Queue
from aios.calls.quotas import Quotas
from aios.calls.records import Records
from aios.calls.secrets import Secrets
from aios.calls.tools import Tools
from aios.calls.web import Web
from aios.errors import CredentialExpired, Unauthenticated
from aios.types.agents import AgentHandle, Credential


class Kernel:
    """The kernel as one caller sees it.

    Get one from `connect`, and others from `as_agent`; they share a connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.agents = Agents(transport)
        """Register agents and steer them."""
        self.llm = Llm(transport)
        """Chat with a model."""
        self.memory = Memory(transport)
        """Remember notes."""
        self.files = Files(transport)
        """Read and write versioned files."""
        self.records = Records(transport)
        """Keep small structured documents."""
        self.tools = Tools(transport)
        """Call tools and provide own ones."""
        self.contexts = Contexts(transport)
        """Keep conversations fitted to the model's window."""
        self.branches = Branches(transport)
        """Try several ways on from a conversation and keep the best."""
        self.queue = Queue(transport)
        """See what runs and what waits, and why."""
        self.drafts = Drafts(transport)
        """Make tools, test them, share them."""
        self.mcp = Mcp(transport)
        """Connect MCP servers, whose tools agents call."""
        self.secrets = Secrets(transport)
        """Keep values that tools send and nobody reads."""
        self.web = Web(transport)
        """Make tools of HTTP APIs, and say where tools may send to."""
        self.quotas = Quotas(transport)
        """See what is used of every quota."""
        self.access = Access(transport)
        """Give permissions, decide approvals, read the audit."""

    def as_agent(self, credential: AgentHandle | Credential | str) -> "Kernel":
        """Return the kernel as that agent sees it, over the same connection.

        A handle or credential with an agent_key is renewed by itself before and after it expires; a bare
        token lives as long as it lives. Raises CredentialExpired for an expired credential without a key.
        """
        return Kernel(self._transport.with_tokens(self._tokens(credential)))

    async def ping(self, *, timeout: float | None = None) -> float:
        """Return how long the kernel took to answer a call that needs no credential. Unit: seconds.

        Raises Unavailable when it does not answer.
        """
        begun = time.monotonic()
        public = self._transport.with_tokens(NoToken())
        await public.call(access_pb2.GetJwksRequest(), access_pb2.GetJwksResponse, timeout=timeout)
        return time.monotonic() - begun

    async def server_time(self, *, timeout: float | None = None) -> float:
        """Return the kernel's clock as seconds since 1970, to the second, off a token issued for this.

        Raises Unauthenticated when the caller's own token is not accepted.
        """
        token = await self._transport.token()
        request = access_pb2.IssueTokenRequest(renew=access_pb2.RenewCredential(token=token))
        request.lifetime.seconds = 60
        response = await self._transport.call(request, access_pb2.IssueTokenResponse, timeout=timeout)
        return issued_at(response.token) or response.expire_time.ToDatetime(tzinfo=UTC).timestamp() - 60

    def _tokens(self, credential: AgentHandle | Credential | str) -> Tokens:
        if isinstance(credential, str):
            return StaticToken(credential)
        held = credential.credential if isinstance(credential, AgentHandle) else credential
        if held.agent_key:
            return KeyedToken(held, self._issue)
        if held.expire_time <= datetime.now(UTC):
            raise CredentialExpired("the credential has expired and holds no agent_key to renew it with")
        return StaticToken(held.token)

    def as_person(self, person_key: str) -> "Kernel":
        """Return the kernel as the person with that key sees it, over the same connection."""
        tokens = KeyedToken(unissued(person_key), self._issue_to_person)
        return Kernel(self._transport.with_tokens(tokens))

    async def _issue_to_person(self, person_key: str) -> Credential:
        transport = self._transport.with_tokens(NoToken())
        request = access_pb2.IssueTokenRequest(person_key=access_pb2.PersonKeyCredential(key=person_key))
        response = await transport.call_once(request, access_pb2.IssueTokenResponse, timeout=ISSUE_TIMEOUT)
        return agents_wire.issued(response, person_key)

    async def _issue(self, agent_key: str) -> Credential:
        # A single attempt: the call that needs the token repeats it within its own deadline.
        transport = self._transport.with_tokens(NoToken())
        request = access_pb2.IssueTokenRequest(agent_key=access_pb2.AgentKeyCredential(key=agent_key))
        response = await transport.call_once(request, access_pb2.IssueTokenResponse, timeout=ISSUE_TIMEOUT)
        return agents_wire.issued(response, agent_key)


@asynccontextmanager
async def connect(
    endpoint: str | None = None,
    token: str | None = None,
    *,
    agent_key: str | None = None,
    person_key: str | None = None,
    retry: RetryPolicy | None = None,
) -> AsyncIterator[Kernel]:
    """Connect to the kernel: `async with aios.connect() as kernel:`.

    `endpoint` defaults to AIOS_ENDPOINT, else to the local kernel at 127.0.0.1:7070; `https://` in front
    turns TLS on. `token` defaults to AIOS_TOKEN, else to the administrator's token that a local kernel leaves
    in its data directory (AIOS_DATA_DIR or ~/.aios). With `agent_key` (or AIOS_AGENT_KEY) the caller is that
    agent and tokens are fetched as needed; with `person_key` (or AIOS_PERSON_KEY, or a file that
    AIOS_PERSON_KEY_FILE names) it is that person. Nothing is sent before the first call. Raises
    Unauthenticated when that file cannot be read.
    """
    target = _settings.target(endpoint)
    channel = _channel.acquire(target)
    try:
        kernel = Kernel(Transport(channel, _default_tokens(token), retry or RetryPolicy()))
        said = token or agent_key or person_key
        person = person_key or ("" if said else await asyncio.to_thread(_known_person_key))
        key = agent_key or (None if said else os.environ.get("AIOS_AGENT_KEY"))
        if person:
            yield kernel.as_person(person)
        else:
            yield kernel.as_agent(unissued(key)) if key else kernel
    finally:
        await _channel.release(target)


def _known_person_key() -> str:
    try:
        return _settings.person_key()
    except OSError as error:
        raise Unauthenticated(f"no key: cannot read AIOS_PERSON_KEY_FILE ({error.strerror})") from error


def _default_tokens(token: str | None) -> Tokens:
    known = token or os.environ.get("AIOS_TOKEN")
    return StaticToken(known) if known else FileToken(_settings.admin_token_file())


def unissued(agent_key: str) -> Credential:
    """Return a credential that has only a key: the first call fetches the token."""
    return Credential(token="", expire_time=datetime.fromtimestamp(0, UTC), agent_key=agent_key)
