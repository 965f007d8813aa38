"""Forwards every call that the gateway does not answer itself, as bytes, to the manager that owns it.

Status, details and trailers come back as they are; deadline and cancel go through. A new syscall needs no
change here: the method's own `syscall` option says how it is admitted.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final

import grpc

from gateway.data_gate import BRISK_SECONDS
from gateway.metrics import GateMetrics
from gateway.places import Place, UnreadAnswers
from gateway.routing import manager_of
from services.chassis.auth.agents import Standing
from services.chassis.auth.identity import Caller, Kind, current_caller
from services.chassis.gate import Agent, FairGate, Gate, GateConfig, Visitor
from services.chassis.pace import RefusalPace
from services.chassis.rpc import watch_turns
from services.chassis.rpc.beginnings import whole
from services.chassis.rpc.client import Metadata
from services.chassis.rpc.exchange import TokenExchange
from services.chassis.rpc.live_streams import READER_SECONDS
from services.chassis.rpc.methods import Audience, Lane, Method
from services.chassis.rpc.status import our_code, peer_error, status_of
from services.chassis.rpc.steps import mapping
from services.chassis.rpc.steps.deadline import budget
from services.chassis.rpc.steps.headers import address
from services.chassis.shares import Openings
from services.chassis.streams import next_of

Context = grpc.aio.ServicerContext[bytes, bytes]
Pairs = tuple[tuple[str, str | bytes], ...]

URGENT: Final = frozenset(
    {
        "/aios.api.agent.v1.AgentService/KillAgent",
        "/aios.api.agent.v1.AgentService/SuspendAgent",
        "/aios.api.scheduler.v1.SchedulerService/CancelSyscall",
        "/aios.api.access.v1.AccessService/RevokeToken",
        "/aios.api.access.v1.AccessService/RevokeGrant",
        "/aios.api.access.v1.AccessService/RemoveMember",
    }
)
"""Paths of the methods by which an administrator stops an agent: they wait for no other sort of call."""

_LETTING_IN: Final = GateConfig(running=64, running_per_tenant=48, running_per_tree=8, running_per_agent=8)
"""Watches that one manager is asked to let in at once: a burst would stand there before all other calls."""

_TRANSPORT = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


class Forwarder(grpc.GenericRpcHandler):
    """Answers every forwarded method with one handler that copies messages."""

    def __init__(
        self,
        channels: Mapping[str, grpc.aio.Channel],
        methods: Mapping[str, Method],
        gates: Mapping[Lane, Gate],
        metrics: GateMetrics,
        standing: Callable[[Caller], Standing] = lambda caller: Standing(caller.agent),
        *,
        exchange: TokenExchange,
        reader_seconds: float = READER_SECONDS,
        openings: Openings | None = None,
        pace: RefusalPace | None = None,
    ) -> None:
        self._pace = pace or RefusalPace(0)
        self._channels = channels
        self._methods = methods
        self._gates = gates
        self._metrics = metrics
        self._exchange = exchange
        self._standing = standing
        self._letting_in = {manager: FairGate(_LETTING_IN) for manager in channels}
        """Watches that a manager is asked to let in; a place is held until it has."""
        self.unread = UnreadAnswers(reader_seconds, openings)
        """Sweep it twice a second."""
        self._handlers: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call, or None when the method is not forwarded."""
        path = handler_call_details.method
        handler = self._handlers.get(path)
        if handler is not None:
            return handler
        method, manager = self._methods.get(path), manager_of(path)
        if method is None or manager is None or method.audience is Audience.KERNEL or method.client_streaming:
            return None
        handler = grpc.unary_stream_rpc_method_handler(self._behaviour(method, manager))
        self._handlers[path] = handler
        return handler

    def _behaviour(self, method: Method, manager: str) -> Any:
        gate = self._gates.get(method.lane)
        open_call: Any = self._channels[manager].unary_stream(method.path)

        async def forward(request: bytes, context: Context) -> AsyncGenerator[bytes, None]:
            visitor = self._visitor(current_caller(), context, method)
            # What this process may interrupt begins whole; the care costs two tasks, so others go without.
            careful = method.followed or budget(context, method)[1]
            place: Place | None = None
            refusal: grpc.aio.AioRpcError | None = None
            if gate is not None and not method.endless:  # a watch would hold its place all its life
                owner = self.unread.check(visitor)
                admission = gate.admit(visitor)
                with self._metrics.waiting(method.lane, visitor.deadline):
                    await admission.__aenter__()
                place = Place(admission, owner)
            letting_in = AsyncExitStack()
            try:
                if method.endless:
                    await letting_in.enter_async_context(self._letting_in[manager].admit(visitor))
                metadata = await self._exchange.metadata(current_caller(), manager)
                copy = Copying(method, careful=careful, let_in=letting_in.aclose)
                async with aclosing(copy.messages(open_call, request, metadata, context)) as messages:
                    async for message in messages:
                        if place is not None and not method.server_streaming:
                            self.unread.offer(place)
                        yield message
                refusal = copy.refusal
            finally:
                await letting_in.aclose()
                if place is not None:
                    await self.unread.end(place)
            if refusal is not None:  # told without a place: it may have to wait
                await self._tell(refusal, visitor, context, len(request), watch=method.endless)

        return forward

    async def _tell(
        self, refusal: grpc.aio.AioRpcError, visitor: Visitor, context: Context, size: int, *, watch: bool
    ) -> None:
        """End the call as the manager ended it."""
        watch_turns.refused()
        party = visitor.tree if visitor.tree[1] else visitor.agent
        await self._pace.refused(party, our_code(refusal.code()), size, watch=watch)
        await mapping.end(
            context, refusal.code(), refusal.details() or "", _plain(refusal.trailing_metadata())
        )

    def _visitor(self, caller: Caller, context: Context, method: Method) -> Visitor:
        if caller.kind is Kind.ANONYMOUS:
            return Visitor(agent=_address(context), kind=caller.kind, deadline=caller.deadline)
        standing = self._standing(caller)
        # The decision about the call knows the newest agent, the directory hears of it a moment later.
        root = standing.root if caller.tree in {"", caller.agent} else caller.tree
        return Visitor(
            agent=(caller.tenant, caller.agent),
            kind=caller.kind,
            weight=standing.weight,
            tree=(caller.tenant, root),
            tree_weight=standing.tree_weight,
            tenant_weight=standing.tenant_weight,
            brisk=not method.followed and method.default_deadline <= BRISK_SECONDS,
            urgent=method.path in URGENT,
            deadline=caller.deadline,
        )


def _address(context: Context) -> Agent:
    """Return where a call without a credential comes from, its port left out."""
    return ("", address(context))


async def _nothing() -> None:
    """Do nothing."""


class Copying:
    """One call upstream and what comes back."""

    def __init__(
        self, method: Method, *, careful: bool, let_in: Callable[[], Awaitable[None]] = _nothing
    ) -> None:
        """`let_in` is awaited once the manager has begun to answer."""
        self._let_in = let_in
        self._single = not method.server_streaming
        self._careful = careful
        self.refusal: grpc.aio.AioRpcError | None = None
        """How the manager ended the call, where it did so with an error of its own."""

    async def messages(
        self, open_call: Any, request: bytes, own: Metadata, context: Context
    ) -> AsyncGenerator[bytes, None]:
        """Make the call, with the kernel's `own` metadata, and yield the messages that come back.

        Reads are retried by the channel itself. Raises what stands for a manager that did not answer.
        """
        upstream = open_call(request, timeout=_time_left(), metadata=_metadata(own, context))
        try:
            head = await upstream.initial_metadata()
            await self._let_in()
            if head:
                watch_turns.let_in()
                sending = context.send_initial_metadata(_plain(head))
                await (whole(sending) if self._careful else sending)
            while (message := await next_of(upstream)) is not grpc.aio.EOF:
                yield message
                if self._single:
                    break
            context.set_trailing_metadata(_plain(await upstream.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            if _unanswered(error):
                raise peer_error(error) from error
            self.refusal = error.with_traceback(None)  # its frames know this object: a ring
        finally:
            upstream.cancel()


def _unanswered(error: grpc.aio.AioRpcError) -> bool:
    """Whether the manager did not answer itself: away, shedding a burst, or too slow.

    A status of its own always carries details.
    """
    return error.code() in _TRANSPORT and status_of(error) is None


def _time_left() -> float:
    """Return the time until the caller's deadline, or the method's own where that is sooner."""
    return max(0.001, current_caller().deadline - time.monotonic())


def _metadata(own: Metadata, context: Context) -> Pairs:
    """Hand on the caller's own metadata, without what belongs to the transport or is set by the kernel."""
    names = {name for name, _ in own}
    theirs = tuple(
        (key, value)
        for key, value in context.invocation_metadata() or ()
        if key not in names and key != "user-agent" and not key.startswith(("grpc-", ":"))
    )
    return (*own, *theirs)


def _plain(metadata: Any) -> Pairs:
    """Copy metadata into plain pairs: the library takes its own type for an error in `abort`."""
    return tuple((key, value) for key, value in metadata or ())
