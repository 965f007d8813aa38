"""A context manager in this process, on any store, and a stub of it over a real socket."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aios.api.context.v1 import context_pb2, context_pb2_grpc
from services.chassis.auth.authz_client import Authorizer
from services.chassis.chat import ChatMessage
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.clock import Clock
from services.context.adapters.access_client import CallersAccess
from services.context.adapters.gateway_client import NoPeers
from services.context.adapters.tokenizer_client import NoTokenizer
from services.context.config import ContextConfig
from services.context.main import PeerClients, build
from services.context.model import Note
from services.context.ports import Memory, Store, Summarizer, TokenCounter
from services.context.service.facade import ContextService
from services.context.servicer import ContextServicer
from tests.fakes.access import AllowOwner
from tests.fakes.clock import FakeClock
from tests.fakes.meters import RecordingMeter
from tests.fakes.rpc import serving
from tests.fakes.stores.context import InMemoryStore


class Refused(KernelError):
    """A failure of inference or memory whose reason the test chooses."""

    code = Code.UNAVAILABLE

    def __init__(self, reason: str) -> None:
        super().__init__("refused by the test")
        self.reason = reason


class Writer:
    """A Summarizer that answers with numbered words, or fails with a reason."""

    def __init__(self, words: int = 3, failure: str = "") -> None:
        self.words = words
        self.failure = failure
        self.requests: list[Sequence[ChatMessage]] = []
        self.limits: list[tuple[int, float]] = []

    async def write(
        self, _model: str, chats: Sequence[ChatMessage], *, most_tokens: int, seconds: float
    ) -> str:
        """Answer."""
        if self.failure:
            raise Refused(self.failure)
        self.requests.append(chats)
        self.limits.append((most_tokens, seconds))
        return " ".join(f"summary{len(self.requests)}" for _ in range(self.words))

    @property
    def asked(self) -> list[str]:
        """What was to be summarised, request by request."""
        return [chats[-1].content for chats in self.requests]


class Notebook:
    """A Memory of some notes, best first, or one that fails with a reason."""

    def __init__(self, notes: int | Sequence[str] = 3, failure: str = "") -> None:
        texts = [f"note number {number}" for number in range(notes)] if isinstance(notes, int) else notes
        self.notes = [
            Note(f"agents/planner/notes/n{number}", text, 1 / (number + 1))
            for number, text in enumerate(texts)
        ]
        self.failure = failure
        self.queries: list[tuple[str, str]] = []

    async def search(self, agent: str, query: str, limit: int) -> list[Note]:
        """Answer with the notes, whatever is asked."""
        if self.failure:
            raise Refused(self.failure)
        self.queries.append((agent, query))
        return self.notes[:limit]


def context_service(
    *,
    config: ContextConfig | None = None,
    store: Store | None = None,
    clock: Clock | None = None,
    meter: RecordingMeter | None = None,
    authorizer: Authorizer | None = None,
    counter: TokenCounter | None = None,
    summarizer: Summarizer | None = None,
    memory: Memory | None = None,
) -> ContextService:
    """Wire a context manager; what is not given is a fake."""
    clock = clock or FakeClock()
    return build(
        config or ContextConfig(),
        store=store or InMemoryStore(clock),
        clock=clock,
        meter=meter or RecordingMeter(),
        access=CallersAccess(authorizer or AllowOwner()),
        peers=PeerClients(
            counter=counter or NoTokenizer(), summarizer=summarizer or NoPeers(), memory=memory or NoPeers()
        ),
    )


@asynccontextmanager
async def context_stub(
    service: ContextService | None = None, *, authorizer: Authorizer | None = None
) -> AsyncIterator["context_pb2_grpc.ContextServiceAsyncStub"]:
    """Serve a context manager on a free port and yield a stub of it."""
    authorizer = authorizer or AllowOwner()
    servicer = ContextServicer(service or context_service(authorizer=authorizer))
    add = context_pb2_grpc.add_ContextServiceServicer_to_server
    async with serving((add, servicer, context_pb2.DESCRIPTOR), authorizer=authorizer) as channel:
        stub: context_pb2_grpc.ContextServiceAsyncStub = context_pb2_grpc.ContextServiceStub(channel)
        yield stub
