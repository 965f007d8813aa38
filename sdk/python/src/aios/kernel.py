"""`aios.connect`: a connection to the kernel, acting as one caller."""

import os
import time
from collections.abc import Generator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self

from aios import _settings
from aios._link import Link
from aios._retry import RetryPolicy
from aios._tokens import ISSUE_TIMEOUT, Chosen, FileToken, KeyedToken, NoToken, StaticToken, Tokens, issued_at
from aios._transport import Transport
from aios._wire import agents as agents_wire
from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
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
from aios.types.agents import AgentHandle, AgentInfo, Credential


class Kernel:
    """The kernel as one caller sees it.

    Get one from `connect`, and others from `as_agent`; they share a connection, which the one from `connect`
    closes.
    """

    def __init__(self, transport: Transport, *, owner: bool = False) -> None:
        self._transport = transport
        self._owner = owner
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

    async def close(self) -> None:
        """Close the connection, for everybody who acts over it. Closing twice changes nothing.

        On what `as_agent` and `as_person` return it does nothing: they are guests of the connection.
        """
        if self._owner:
            await self._transport.link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    def __repr__(self) -> str:
        link = self._transport.link
        state = ", closed" if link.closed else ""
        return f"<aios.Kernel at {link.target.url} as {self._transport.tokens.who}{state}>"

    def as_agent(self, credential: AgentHandle | Credential | str) -> "Kernel":
        """Return the kernel as that agent sees it, over the same connection.

        A handle or credential with an agent_key is renewed by itself before and after it expires, and so is
        the handle of an agent that existed, by this connection's own credential; a bare token lives as long
        as it lives. Raises CredentialExpired for an expired credential without a key.
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

    def as_person(self, person_key: str) -> "Kernel":
        """Return the kernel as the person with that key sees it, over the same connection."""
        return Kernel(self._transport.with_tokens(_person(self._transport, person_key)))

    def _tokens(self, credential: AgentHandle | Credential | str) -> Tokens:
        if isinstance(credential, str):
            return StaticToken(credential)
        held = credential.credential if isinstance(credential, AgentHandle) else credential
        who = credential.name if isinstance(credential, AgentHandle) else "the agent of its key"
        if held.agent_key:
            return _agent(self._transport, held, who)
        if isinstance(credential, AgentHandle) and credential.existed:
            return KeyedToken(held, partial(self._hand_over, credential.agent), who=who)
        if held.expire_time <= datetime.now(UTC):
            raise CredentialExpired("the credential has expired and holds no agent_key to renew it with")
        return StaticToken(held.token, who)

    async def _hand_over(self, agent: AgentInfo, _agent_key: str) -> Credential:
        # An agent that has ended is not registered anew by this: its id is never given again.
        request = agent_pb2.RegisterAgentRequest(
            agent_id=agent.id, parent=agent.parent, tenant=agent.tenant, exist_ok=True
        )
        response = await self._transport.call_once(
            request, agent_pb2.RegisterAgentResponse, timeout=ISSUE_TIMEOUT
        )
        return agents_wire.handle(response).credential


def connect(
    endpoint: str | None = None,
    token: str | None = None,
    *,
    agent_key: str | None = None,
    person_key: str | None = None,
    retry: RetryPolicy | None = None,
) -> Kernel:
    """Connect to the kernel: `async with aios.connect() as kernel:`.

    In a notebook `kernel = aios.connect()`, or `kernel = await aios.connect()`, and `await kernel.close()` at
    the end. `endpoint` defaults to AIOS_ENDPOINT, else to the local kernel at 127.0.0.1:7070; `https://` in
    front turns TLS on. `token` defaults to AIOS_TOKEN, else to the administrator's token that a local kernel
    leaves in its data directory (AIOS_DATA_DIR or ~/.aios). With `agent_key` (or AIOS_AGENT_KEY) the caller
    is that agent and tokens are fetched as needed; with `person_key` (or AIOS_PERSON_KEY, or a file that
    AIOS_PERSON_KEY_FILE names) it is that person.

    Nothing is opened or sent before the first call. That raises KernelUnreachable within 3 s when nobody has
    answered at the address so far, and Unauthenticated when there is no credential to be found.
    """
    policy = retry or RetryPolicy()
    link = Link(_settings.target(endpoint), connect_window=min(policy.window, policy.connect_window))
    transport = Transport(link, NoToken(), policy)
    return Kernel(transport.with_tokens(_caller(transport, token, agent_key, person_key)), owner=True)


def _caller(transport: Transport, token: str | None, agent_key: str | None, person_key: str | None) -> Tokens:
    if person_key:
        return _person(transport, person_key)
    if agent_key:
        return _agent(transport, unissued(agent_key))
    if token:
        return StaticToken(token)
    return Chosen(lambda: _of_environment(transport))


def _of_environment(transport: Transport) -> Tokens:
    """Return the caller that the environment names: a person, an agent, a token, else the administrator."""
    try:
        person_key = _settings.person_key()
    except OSError as error:
        raise Unauthenticated(f"no key: cannot read AIOS_PERSON_KEY_FILE ({error.strerror})") from error
    if person_key:
        return _person(transport, person_key)
    if os.environ.get("AIOS_AGENT_KEY"):
        return _agent(transport, unissued(os.environ["AIOS_AGENT_KEY"]))
    known = os.environ.get("AIOS_TOKEN")
    return (
        StaticToken(known, "whoever AIOS_TOKEN names") if known else FileToken(_settings.admin_token_file())
    )


def _person(transport: Transport, person_key: str) -> Tokens:
    async def issue(key: str) -> Credential:
        request = access_pb2.IssueTokenRequest(person_key=access_pb2.PersonKeyCredential(key=key))
        return await _issued(transport, request, key)

    return KeyedToken(unissued(person_key), issue, who="the person of its key")


def _agent(transport: Transport, credential: Credential, who: str = "the agent of its key") -> Tokens:
    async def issue(key: str) -> Credential:
        request = access_pb2.IssueTokenRequest(agent_key=access_pb2.AgentKeyCredential(key=key))
        return await _issued(transport, request, key)

    return KeyedToken(credential, issue, who=who)


async def _issued(transport: Transport, request: access_pb2.IssueTokenRequest, key: str) -> Credential:
    # A single attempt: the call that needs the token repeats it within its own deadline.
    public = transport.with_tokens(NoToken())
    response = await public.call_once(request, access_pb2.IssueTokenResponse, timeout=ISSUE_TIMEOUT)
    return agents_wire.issued(response, key)


def unissued(agent_key: str) -> Credential:
    """Return a credential that has only a key: the first call fetches the token."""
    return Credential(token="", expire_time=datetime.fromtimestamp(0, UTC), agent_key=agent_key)
