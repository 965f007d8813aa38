"""The steps that every call passes, wrapped around each handler when its method is first called.

Order: metrics, errors, deadline, authentication, arrival of the request, size, parsing, authorisation,
validation, handler.

It takes the place of the server where handlers are registered, instead of being a gRPC interceptor: that
saves the library's own machinery in every call (about 30 us), and nothing can be raised outside the wrapped
handler, where it would reach the caller as UNKNOWN with its text.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NoReturn, Self

import grpc
from google.protobuf.message import DecodeError

from services.chassis.auth.authz_client import Authorizer
from services.chassis.auth.identity import Caller, Kind, Principal, set_caller
from services.chassis.auth.tokens import Authenticator
from services.chassis.bodies import Root, own_root
from services.chassis.entrance import Entrance
from services.chassis.pace import RefusalPace
from services.chassis.quotas import Cap, Owner
from services.chassis.rpc.arrivals import Arrivals
from services.chassis.rpc.beginnings import whole
from services.chassis.rpc.errors import DeadlineExceeded, Draining, KernelError, UnknownMethod
from services.chassis.rpc.known_trees import Trees
from services.chassis.rpc.live_streams import READER_SECONDS, WATCHES, LiveStream, LiveStreams
from services.chassis.rpc.methods import Lane, Method
from services.chassis.rpc.observer import Asked, CallObserver, end_of, seen
from services.chassis.rpc.pumping import pump
from services.chassis.rpc.steps import authorize, deadline, headers, mapping, peers, validation
from services.chassis.rpc.steps.exposure import Exposure
from services.chassis.rpc.steps.headers import address
from services.chassis.rpc.steps.observe import MethodMetrics
from services.chassis.rpc.watch_turns import Turn, WatchTurns, let_in
from services.chassis.runtime.clock import Clock, SystemClock
from services.chassis.runtime.metrics import OTHER, RpcMetrics
from services.chassis.runtime.tracing import Span, Tracer
from services.chassis.shares import Openings

Context = grpc.aio.ServicerContext[Any, Any]
LET_IN: Final = (("aios-open", "1"),)
"""Initial metadata of an endless stream: it was let in, and may stay silent from now on."""

Handler = Any  # grpc.RpcMethodHandler, whose stubs know only synchronous handlers


class Pipeline(grpc.GenericRpcHandler):
    """Runs the steps of every call. One per server, registered after all handlers that need no steps."""

    def __init__(
        self,
        known: Mapping[str, Method],
        *,
        authenticator: Authenticator,
        authorizer: Authorizer,
        metrics: RpcMetrics,
        trust_ids: bool = True,
        tracer: Tracer | None = None,
        watches: Cap = WATCHES,
        reader_seconds: float = READER_SECONDS,
        openings: Openings | None = None,
        peers: frozenset[str] | None = None,
        arrivals: Arrivals | None = None,
        pace: RefusalPace | None = None,
        root: Root = own_root,
        entrance: Entrance | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        self.observer = observer
        """Sees every call of a caller who is known; None: nobody ever looks."""
        self.arrivals = arrivals or Arrivals()
        self.entrance = entrance or Entrance()
        """Where calls begin their way through the steps."""
        self.watch_turns = None if trust_ids else WatchTurns()
        """Where watches of agents wait to be let in; None behind the gateway, which lets them in."""
        self.pace = pace
        """How fast refusals are answered; None: as they come."""
        self.trees = Trees(root)
        self.peers = peers
        """Names that the certificate at the other end must have one of; None: any, or none."""
        self.tracer = tracer
        self._known = known
        self.authenticator = authenticator
        self.authorizer = authorizer
        self.trust_ids = trust_ids
        self.endless = deadline.EndlessCalls()
        clock: Clock = getattr(authenticator, "clock", None) or SystemClock()
        self.streams = LiveStreams(
            authorizer,
            clock,
            watches=watches,
            reader_seconds=reader_seconds,
            openings=openings,
            ended=lambda reason: metrics.withdrawn.labels(reason).inc(),
        )
        self._series = {path: MethodMetrics(metrics, method.label) for path, method in known.items()}
        self._other = MethodMetrics(metrics, OTHER)
        self._unknown: Handler = grpc.stream_stream_rpc_method_handler(self._refuse_unknown)
        self._inner: list[grpc.GenericRpcHandler] = []
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Take handlers to wrap; add_XServicer_to_server calls this as it would call a server."""
        self._inner += handlers

    def add_registered_method_handlers(self, _service: str, _handlers: Mapping[str, Handler]) -> None:
        """Ignore the second form in which generated code registers the same handlers."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        """Return the handler of a call, wrapped; one that refuses when there is no such method."""
        path = handler_call_details.method
        method = self._known.get(path)
        if method is None:
            return self._unknown
        for candidate in self._inner:
            inner = candidate.service(handler_call_details)
            if inner is not None:
                break
        else:
            return self._unknown
        found = self._wrapped.get(path)
        if found is None or found[0] is not inner:
            found = self._wrapped[path] = (inner, _Wrapper(self, method, self._series[path]).wrap(inner))
        return found[1]

    async def _refuse_unknown(self, _requests: Any, context: Context) -> None:
        self._other.begin()
        self._other.end("UNIMPLEMENTED", 0.0)
        try:
            await mapping.abort(context, UnknownMethod("no such method"))
        except grpc.aio.AbortError as told:
            _told(told)


class _Wrapper:
    """Wraps the handler of one method."""

    def __init__(self, pipeline: Pipeline, method: Method, series: MethodMetrics) -> None:
        self._pipeline = pipeline
        self._method = method
        self._series = series
        self._exposure = Exposure(method)

    def wrap(self, inner: Handler) -> Handler:
        """Return a handler that runs all steps.

        Each is one that reads a stream, which looks the same to a client that sends one request: the library
        would read that before anybody is asked who sends it.
        """
        serializer = inner.response_serializer
        if inner.request_streaming:
            deserializer = self._deserialize if inner.request_deserializer is not None else None
            if inner.response_streaming:
                return grpc.stream_stream_rpc_method_handler(
                    self._streams(inner.stream_stream), deserializer, serializer
                )
            return grpc.stream_unary_rpc_method_handler(
                self._stream_in(inner.stream_unary), deserializer, serializer
            )
        raw = inner.request_deserializer is None
        if inner.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._stream_out(inner.unary_stream, raw=raw), None, serializer
            )
        return grpc.stream_unary_rpc_method_handler(self._unary(inner.unary_unary, raw=raw), None, serializer)

    def _unary(self, inner: Callable[..., Any], *, raw: bool) -> Callable[..., Any]:
        async def behaviour(_requests: Any, context: Context) -> Any:
            async with _Call(self._pipeline, self._method, self._series, context, self._exposure) as call:
                answer = await inner(await call.admit(raw=raw), context)
                if call.stream is not None:
                    await call.stream.may_deliver()
                if not raw:
                    await call.expose(answer)
                return answer

        return behaviour

    def _stream_out(self, inner: Callable[..., Any], *, raw: bool) -> Callable[..., Any]:
        async def behaviour(_requests: Any, context: Context) -> None:
            async with _Call(self._pipeline, self._method, self._series, context, self._exposure) as call:
                request = await call.admit(raw=raw)
                if self._method.endless and not raw:  # a forwarding handler passes on what the manager says
                    await whole(context.send_initial_metadata(LET_IN))
                    let_in()
                await pump(inner(request, context), context, call, raw=raw)

        return behaviour

    def _stream_in(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def behaviour(requests: Any, context: Context) -> Any:
            async with _Call(self._pipeline, self._method, self._series, context, self._exposure) as call:
                await call.admit_stream()
                answer = await inner(requests, context)
                await call.expose(answer)
                return answer

        return behaviour

    def _streams(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        async def behaviour(requests: Any, context: Context) -> None:
            async with _Call(self._pipeline, self._method, self._series, context, self._exposure) as call:
                await call.admit_stream()
                if self._method.endless:
                    await whole(context.send_initial_metadata(LET_IN))
                    let_in()
                await pump(inner(requests, context), context, call)

        return behaviour

    def _deserialize(self, data: bytes) -> Any:
        """Parse one message of a request stream; what it raises comes out where the handler reads."""
        request = validation.parse(self._method, data)
        validation.validate(self._method, request)
        return request


class _Call:
    """One running call: entered when it arrives, left when it ends, however it ends."""

    __slots__ = (
        "_caller",
        "_context",
        "_exposure",
        "_held",
        "_method",
        "_named",
        "_pipeline",
        "_principal",
        "_series",
        "_size",
        "_span",
        "_started",
        "_timer",
        "_turn",
        "deadline",
        "stream",
    )

    def __init__(
        self,
        pipeline: Pipeline,
        method: Method,
        series: MethodMetrics,
        context: Context,
        exposure: Exposure,
    ) -> None:
        self._exposure = exposure
        self._caller: Caller | None = None
        self._held: tuple[Owner | None, int] = (None, 0)
        self._principal: Principal | None = None
        self._size = 0
        self._named = ""
        self._pipeline = pipeline
        self._method = method
        self._series = series
        self._context = context
        self._started = time.perf_counter()
        self._timer: asyncio.Timeout | None = None
        self._turn: Turn | None = None
        """A watch's turn to be let in."""
        self._span: Span | None = None
        self.stream: LiveStream | None = None
        """None for a call that answers once and soon."""

    async def __aenter__(self) -> Self:
        self._series.begin()
        seconds, enforced = deadline.budget(self._context, self._method)
        self.deadline = time.monotonic() + seconds
        method = self._method
        if enforced or method.followed:
            self._timer = asyncio.timeout(seconds if enforced or method.endless else None)
            await self._timer.__aenter__()
        if self._timer is not None and method.followed:
            self.stream = LiveStream(
                self._timer,
                endless=method.endless,
                holds_place=method.lane is Lane.DATA and not method.endless,
                once=not method.server_streaming,
            )
            self._pipeline.streams.open(self.stream)
            if method.endless:
                self._pipeline.endless.add(self._timer)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        code = "CANCELLED"
        try:
            code = await self._settle(kind, error, trace)
        except grpc.aio.AbortError as told:
            code = _code(self._context)
            return _told(told)
        else:
            return isinstance(error, grpc.aio.AbortError) and _told(error)
        finally:
            if self.stream is not None:
                self._pipeline.streams.told(self.stream)
            if self._turn is not None:
                self._turn.free()
            if self._held[0] is not None:
                self._pipeline.arrivals.release(self._held[0], self._held[1])
            if self._span is not None:
                self._span.end(code)
            self._observe(code)
            self._series.end(code, time.perf_counter() - self._started)

    @property
    def interruptible(self) -> bool:
        """Whether this process may end the call before its handler has; gRPC's own cancel needs no answer."""
        return self._timer is not None

    async def admit(self, *, raw: bool) -> Any:
        """Run the steps before a handler with one request; `raw` hands the bytes on unparsed."""
        head, principal = await self._identify()
        method = self._method
        data = await self._read(principal)
        self._size = len(data)
        if method.endless and self._pipeline.watch_turns is not None:
            service, tree = method.label.partition("/")[0], self._of(principal)[0]
            self._turn = await self._pipeline.watch_turns.take(service, principal, tree)
        request = await validation.admit(method, data)
        self._named = method.resource_of(request)
        await self._authorize(head, principal, self._named)
        if raw:
            return data
        validation.validate(method, request)
        return request

    async def _read(self, principal: Principal) -> bytes:
        """Return the request, now that it is known who sends it. Raises TooManyCalls, DeadlineExceeded."""
        if getattr(self._context, "trusted", False):  # from this process, where it has been counted
            data: bytes = await self._context.read()
            return data
        arrivals, who = self._pipeline.arrivals, principal.agent
        if principal.kind is Kind.ANONYMOUS:
            who = address(self._context)
        data = await arrivals.read(self._context, self._method, principal.tenant, who)
        if not self._pipeline.trust_ids:
            self._held = arrivals.hold(principal.tenant, who, len(data)), len(data)
        return data

    async def admit_stream(self) -> None:
        """Run the steps before a handler that reads a stream; each message is checked when it is read."""
        head, principal = await self._identify()
        await self._authorize(head, principal, "")

    async def expose(self, answer: Any) -> None:
        """Mark the caller before it gets an answer that nobody vouches for. Raises AccessUnavailable."""
        if self._caller is not None and not self._exposure.none:
            await self._exposure.before(self._pipeline.authorizer, self._caller, answer)

    async def _exposed(self, error: Exception) -> Exception:
        """Mark the caller before it is told an error that nobody vouches for; return what it is told."""
        if self._caller is None or not isinstance(error, KernelError) or not error.untrusted:
            return error
        try:
            await self._exposure.before_error(self._pipeline.authorizer, self._caller)
        except KernelError as failure:
            return failure
        return error

    async def _authorize(self, head: headers.Headers, principal: Principal, name: str) -> None:
        permit = await authorize.authorize(self._pipeline.authorizer, self._method, principal, name)
        if self.stream is not None:
            self._pipeline.streams.admitted(self.stream, permit.question, permit.permission)
        if permit.permission.tree:
            self._pipeline.trees.learn(principal.tenant, principal.agent, permit.permission.tree)
        self._caller = authorize.caller(head, principal, permit, self.deadline)
        set_caller(self._caller)
        if self.stream is not None:
            self._observe("")

    def _observe(self, code: str) -> None:
        """Show the call to who looks; without a code it begins. Costs two comparisons while nobody does."""
        if (observer := self._pipeline.observer) is not None and observer.watched:
            age = time.perf_counter() - self._started
            what = Asked(self._method.label, self._named, self._size)
            if self._principal is not None:
                observer.saw(seen(self._principal, self._caller, what, age, end_of(code, self._context)))

    async def _identify(self) -> tuple[headers.Headers, Principal]:
        if self._method.endless and self._pipeline.endless.draining:
            raise Draining("the process is shutting down", retry_after=0.1)
        trusted = self._pipeline.trust_ids or getattr(self._context, "trusted", False)
        head = headers.read(self._context, trust_ids=trusted)
        if self._pipeline.tracer is not None:
            self._begin_span(self._pipeline.tracer, head)
        known = self._pipeline.peers
        peer = peers.check(self._context, known) if known is not None else None
        principal = await authorize.authenticate(self._pipeline.authenticator, self._method, head.token)
        self._principal = principal
        await self._enter(principal)
        if peer is not None:
            peers.check_service(principal, peer)
        if self.stream is not None:
            self._pipeline.streams.identified(self.stream, principal)
        return head, principal

    async def _enter(self, principal: Principal) -> None:
        """Wait for a turn, unless the call has had one at a door, or a process of the kernel makes it."""
        if principal.kind is not Kind.SERVICE and not getattr(self._context, "trusted", False):
            await self._pipeline.entrance.enter(principal.tenant, *self._of(principal))

    def _of(self, principal: Principal) -> tuple[str, str]:
        """Return the tree and the agent of whoever calls; of a stranger both are the address."""
        if principal.kind is Kind.ANONYMOUS:
            where = address(self._context)
            return where, where
        return self._pipeline.trees.of(principal.tenant, principal.agent), principal.agent

    def _begin_span(self, tracer: Tracer, head: headers.Headers) -> None:
        self._span = tracer.begin(self._method.label, trace_id=head.trace_id, parent=head.parent_span)
        head.trace_id, head.span_id = self._span.trace_id, self._span.span_id

    async def _settle(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> str:
        """Return the code of a call that ends by itself; abort it when it failed."""
        if self.stream is not None:
            self._pipeline.streams.close(self.stream)
        if self._timer is not None:
            self._pipeline.endless.discard(self._timer)
            try:
                await self._timer.__aexit__(kind, error, trace)
            except TimeoutError:
                await mapping.abort(self._context, self._expired())
        if error is None or isinstance(error, grpc.aio.AbortError):
            return _code(self._context)
        if isinstance(error, asyncio.CancelledError):
            remaining = self._context.time_remaining()
            return "DEADLINE_EXCEEDED" if remaining is not None and remaining <= 0 else "CANCELLED"
        if isinstance(error, DecodeError):
            await self._refuse(mapping.malformed(self._method.label))
        if isinstance(error, Exception):
            error = await self._exposed(error)
            await self._refuse(mapping.typed(error, self._method.label))
        return "UNKNOWN"

    async def _refuse(self, error: KernelError) -> NoReturn:
        """End the call with an error; one of many refusals of the same tree, or address, waits its turn."""
        if self._turn is not None:
            self._turn.keep()
        if self._pipeline.pace is not None:
            await self._pipeline.pace.refused(
                self._party(), error.code, self._size, watch=self._method.endless
            )
        await mapping.abort(self._context, error)

    def _party(self) -> tuple[str, str]:
        """Return who is refused: a tree of agents, an administrator, or an address without a credential."""
        who = self._principal
        if who is None or who.kind is Kind.ANONYMOUS:
            return ("", str(self._context.peer()).rpartition(":")[0])
        if who.kind is not Kind.AGENT:
            return (who.tenant, who.agent)
        tree = self._caller.tree if self._caller is not None else ""
        return (who.tenant, tree or self._pipeline.trees.of(who.tenant, who.agent))

    def _expired(self) -> KernelError:
        if self.stream is not None and self.stream.error is not None:
            return self.stream.error
        if self._method.endless and self._pipeline.endless.draining:
            return Draining("the process is shutting down; watch again", retry_after=0.1)
        return DeadlineExceeded(
            f"{self._method.label} took longer than it may", metadata={"method": self._method.label}
        )


def _told(error: grpc.aio.AbortError) -> bool:
    """Raise no further what ended a call that its caller has been told of; the library notes it by itself.

    It keeps the error with the call. With its frames, which know the call, that is a ring: each refusal left
    some hundred objects that only a full collection found, at whatever moment that came.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return True


def _code(context: Context) -> str:
    code = context.code()
    if not code:
        return "OK"
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next(status.name for status in grpc.StatusCode if status.value[0] == code)
