"""`FakeKernel`: a kernel for the tests of agents, in this process, on a real socket."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, Literal, Self

import grpc.aio

from aios._retry import RetryPolicy
from aios.api.inference.v1 import inference_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.errors import AiosError, Unauthenticated
from aios.kernel import Kernel, connect
from aios.testing.access import FakeAccess
from aios.testing.caller import Caller
from aios.testing.contexts import FakeContexts
from aios.testing.gateway import FakeGateway
from aios.testing.inference import FakeInference, Reply
from aios.testing.memory import FakeMemory
from aios.testing.recorder import Call, Recorder
from aios.testing.records import FakeStorage
from aios.testing.scheduler import FakeScheduler
from aios.testing.server import Handlers
from aios.testing.tools import FakeTools
from aios.toolkit import Tool

_REASONS = {
    "stop": inference_pb2.FINISH_REASON_STOP,
    "length": inference_pb2.FINISH_REASON_LENGTH,
    "tool_calls": inference_pb2.FINISH_REASON_TOOL_CALLS,
}


class FakeKernel:
    """A kernel without processes, models or disk, for tests of agents.

    It listens on a loopback port and speaks the real protocol. Use it as an `async with` block; leaving the
    block fails the test when a queued reply or failure was never used.
    """

    def __init__(self, *, token_life: float = 600.0) -> None:
        self.endpoint = ""
        self._agents = FakeAccess(token_life)
        self._inference = FakeInference()
        self._tools = FakeTools()
        self._scheduler = FakeScheduler()
        self._gateway = FakeGateway()
        self._areas: dict[str, object] = {
            "AgentService": self._agents,
            "AccessService": self._agents,
            "GatewayService": self._gateway,
            "InferenceService": self._inference,
            "MemoryService": FakeMemory(),
            "StorageService": FakeStorage(),
            "ToolService": self._tools,
            "ContextService": FakeContexts(),
            "SchedulerService": self._scheduler,
        }
        self._recorder = Recorder()
        self.recorders = [self._recorder]
        self._server: grpc.aio.Server | None = None

    @property
    def admin_token(self) -> str:
        """The administrator's token."""
        return self._agents.admin_token

    @property
    def calls(self) -> Sequence[Call]:
        """Every call that reached the kernel, in order."""
        return self._recorder.calls

    def reply(
        self,
        text: str = "",
        *,
        tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = (),
        finish_reason: Literal["stop", "length", "tool_calls"] | None = None,
    ) -> None:
        """Queue the next answer of the model: a text, or tool calls as `(name, arguments)`."""
        self._inference.replies.append(Reply(text, tuple(tool_calls), _REASONS.get(finish_reason or "")))

    def add_tool(self, tool: Tool) -> None:
        """Let the kernel have a tool: a function decorated with `@aios.tool`."""
        self._tools.add(tool)

    def add_waiting_call(self, agent: str, call: str, *, wait: float = 1.0, summary: str = "") -> None:
        """Let the queue show a call that waits, with an explanation."""
        self._scheduler.add(f"agents/{agent}/calls/{call}", wait=wait, summary=summary)

    def add_past_call(
        self,
        agent: str,
        call: str,
        *,
        outcome: str = "completed",
        lane: str = "inference",
        prompt_tokens: int = 0,
        new_tokens: int = 0,
    ) -> None:
        """Let a call have ended, as the newest one."""
        past = scheduler_pb2.PastSyscall(
            name=f"agents/{agent}/calls/{call}",
            outcome=outcome,
            lane=lane,
            prompt_tokens=prompt_tokens,
            new_tokens=new_tokens,
        )
        self._scheduler.past.insert(0, past)

    def add_schedule_event(
        self, kind: str, agent: str, call: str, *, at: datetime, replica: str = "", outcome: str = ""
    ) -> None:
        """Tell who watches the queue of an event, such as `granted` or `yielded`."""
        self._scheduler.happen(kind, f"agents/{agent}/calls/{call}", at, replica=replica, outcome=outcome)

    def add_approval(self, agent: str, tool: str, arguments: str = "{}") -> str:
        """Let a call of a tool wait for a person, and return the approval's name."""
        return self._agents.ask(agent, tool, arguments)

    def fail_next(self, method: str, error: AiosError, *, after: int = 0) -> None:
        """Fail the next call of an RPC, such as `PutNote`; a streaming one after `after` responses."""
        self._recorder.fail_next(method, error, after=after)

    @contextmanager
    def intercept(self) -> Iterator[Recorder]:
        """Record the calls of a block apart: `with kernel.intercept() as calls:`.

        It has its own `fail_next`.
        """
        recorder = Recorder()
        self.recorders.append(recorder)
        try:
            yield recorder
        finally:
            self.recorders.remove(recorder)
        _complain(recorder.unused())

    def grant(self, owner: str, reader: str) -> None:
        """Let one agent read another's notes and files."""
        self._agents.granted.setdefault(reader, set()).add(owner)

    def expire_tokens(self) -> None:
        """Let every agent's token expire at once. Clients renew theirs with the agent's key."""
        self._agents.expire_tokens()

    @asynccontextmanager
    async def connect(
        self, token: str | None = None, *, retry: RetryPolicy | None = None
    ) -> AsyncIterator[Kernel]:
        """Connect as the administrator, or as whoever the token names."""
        quick = retry or RetryPolicy(window=5.0, first_delay=0.01, max_delay=0.05)
        async with connect(self.endpoint, token or self.admin_token, retry=quick) as kernel:
            yield kernel

    @asynccontextmanager
    async def agent(self, agent_id: str = "tester", **registration: Any) -> AsyncIterator[Kernel]:
        """Register an agent and connect as it."""
        async with self.connect() as admin:
            yield admin.as_agent(await admin.agents.register(agent_id, **registration))

    def caller(self, token: str) -> Caller:
        """Return who a token names. Raises Unauthenticated."""
        return self._agents.caller(token)

    def ended(self, method: str, token: str, reason: str) -> None:
        """Tell those who watch of a call that has ended; one of nobody known is shown to nobody."""
        try:
            agent = self.caller(token).agent
        except Unauthenticated:
            return
        self._gateway.ended(method, agent, reason)

    def area(self, service: str) -> object | None:
        """Return the object that answers a service, such as `MemoryService`, or None."""
        return self._areas.get(service)

    async def start(self, endpoint: str = "127.0.0.1:0") -> None:
        """Listen on a free loopback port, or on the one given; `endpoint` says which."""
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        server.add_generic_rpc_handlers((Handlers(self),))
        self.endpoint = f"127.0.0.1:{server.add_insecure_port(endpoint)}"
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Stop listening and break every connection."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def check(self) -> None:
        """Raise AssertionError when a queued reply or failure was never used."""
        left = [
            f"reply({reply.text!r}, tool_calls={reply.tool_calls!r})" for reply in self._inference.replies
        ]
        _complain(left + self._recorder.unused())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        await self.stop()
        if kind is None:
            self.check()


def _complain(left: Sequence[str]) -> None:
    if left:
        raise AssertionError("queued on the fake kernel and never used: " + "; ".join(left))
