"""Calls of this process's own methods without a connection, through the pipeline that every call passes.

A door that speaks another protocol than gRPC stands in the same process. It uses the generated stubs on a
`LocalChannel`, so its calls are authenticated, authorised, admitted, counted and ended like all others.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Sequence
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from services.chassis.rpc.errors import DeadlineExceeded, Internal, KernelError, UnknownMethod
from services.chassis.rpc.status import failure_of

PEER: Final = "aios-peer"
"""Metadata of a local call: where the door's own caller comes from, such as `ipv4:10.0.0.7:4321`."""

Metadata = Sequence[tuple[str, str | bytes]]
R = TypeVar("R")

_LONGEST_END: Final = 5.0
"""How long the reader waits for a call that it left. Unit: seconds."""


class Pipes(Protocol):
    """Where the wrapped handler of a method comes from; the chassis' Pipeline is one."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Return the handler of a call."""
        ...


class LocalChannel:
    """What generated stubs take for a channel. Calls raise KernelError where a connection raises AioRpcError.

    Metadata is trusted: what a door passes on of its callers it has chosen itself.
    """

    def __init__(self, pipeline: Pipes) -> None:
        self._pipeline = pipeline

    def unary_unary(self, path: str, *_: Any, response_deserializer: Any = None, **__: Any) -> Any:
        """Return what makes a call that answers once."""

        def call(request: Message, *, timeout: float | None = None, metadata: Metadata = (), **_: Any) -> Any:
            return _Answer(self._messages(path, request, timeout, metadata, response_deserializer), path)

        return call

    def unary_stream(self, path: str, *_: Any, response_deserializer: Any = None, **__: Any) -> Any:
        """Return what makes a call that answers with a stream."""

        def call(request: Message, *, timeout: float | None = None, metadata: Metadata = (), **_: Any) -> Any:
            return _Stream(self._messages(path, request, timeout, metadata, response_deserializer))

        return call

    def stream_unary(self, path: str, *_: Any, **__: Any) -> Any:
        """Refuse: doors send no streams."""
        return _no_streams_in(path)

    def stream_stream(self, path: str, *_: Any, **__: Any) -> Any:
        """Refuse: doors send no streams."""
        return _no_streams_in(path)

    async def _messages(
        self, path: str, request: Message, timeout: float | None, metadata: Metadata, read: Callable[..., Any]
    ) -> AsyncGenerator[Any, None]:
        """Run the call in a task of its own and yield what it sends, one message at a time.

        The task writes the next message only once the last one was taken, so a slow reader slows it down.
        """
        context = LocalContext(timeout, metadata, request.SerializeToString())
        handler = self._pipeline.service(_Details(path, metadata))
        running = asyncio.create_task(_run(handler, context), name=path)
        try:
            async for message in context.sent(running):
                yield read(message) if isinstance(message, bytes) else message
            await running
            if context.failed:
                raise context.failure()
        finally:
            await _end(running)


class LocalContext:
    """The context that handlers see: what gRPC's own has, as far as the kernel uses it."""

    trusted: Final = True
    """The metadata comes from this process."""

    def __init__(self, timeout: float | None, metadata: Metadata, request: bytes = b"") -> None:
        self._request = request
        self._ends = None if timeout is None else asyncio.get_running_loop().time() + timeout
        self._peer = "local"
        self._metadata: list[tuple[str, str | bytes]] = []
        for key, value in metadata:
            if key == PEER:
                self._peer = str(value)
            else:
                self._metadata.append((key, value))
        self._slot: list[Any] = []
        """The message that the reader has not taken yet; at most one."""
        self._filled: asyncio.Future[None] | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._trailing: Metadata = ()

    def invocation_metadata(self) -> Metadata:
        """Return the metadata of the call."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline, or None without one."""
        return None if self._ends is None else max(0.0, self._ends - asyncio.get_running_loop().time())

    def peer(self) -> str:
        """Return where the call comes from."""
        return self._peer

    def code(self) -> grpc.StatusCode | None:
        """Return the status the call ended with, or None."""
        return self._code

    def details(self) -> str:
        """Return the text of that status."""
        return self._details

    def trailing_metadata(self) -> Metadata:
        """Return what comes with the status."""
        return self._trailing

    async def read(self) -> bytes:
        """Return the request."""
        return self._request

    async def send_initial_metadata(self, _metadata: Metadata) -> None:
        """Ignore what only a connection carries."""

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Keep what comes with the status."""
        self._trailing = metadata

    async def write(self, message: Any) -> None:
        """Hand a message to the reader, once it has taken the one before."""
        while self._slot:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied
        self._slot.append(message)
        _wake(self._filled)

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing: Metadata = ()) -> NoReturn:
        """End the call with a status."""
        if self._code is not None:
            raise grpc.aio.AbortError("the call has ended already")
        self._code, self._details, self._trailing = code, details, trailing
        raise grpc.aio.AbortError(details)

    @property
    def failed(self) -> bool:
        """Whether the call ended with an error."""
        return self._code not in {None, grpc.StatusCode.OK}

    def failure(self) -> KernelError:
        """Return the error that the call was aborted with."""
        return failure_of(self._code or grpc.StatusCode.UNKNOWN, self._trailing)

    async def sent(self, running: "asyncio.Task[Any]") -> AsyncIterator[Any]:
        """Yield what is written until the call has ended and nothing is left."""
        running.add_done_callback(lambda _: _wake(self._filled))
        while True:
            while self._slot:
                message = self._slot.pop()
                _wake(self._emptied)
                yield message
            if running.done():
                return
            self._filled = asyncio.get_running_loop().create_future()
            await self._filled


class _Details(grpc.HandlerCallDetails):
    def __init__(self, method: str, metadata: Metadata) -> None:
        self.method = method
        self.invocation_metadata = tuple(metadata)


class _Answer(Generic[R]):
    """An awaitable call that answers once."""

    def __init__(self, messages: AsyncGenerator[R, None], path: str) -> None:
        self._messages = messages
        self._path = path

    def __await__(self) -> Generator[Any, None, R]:
        return self._whole().__await__()

    async def _whole(self) -> R:
        try:
            async for message in self._messages:
                return message
        finally:
            await self._messages.aclose()
        raise Internal(f"{self._path} ended without an answer")


class _Stream(Generic[R]):
    """A call that answers with a stream. `cancel` ends it; so does leaving the iteration and `aclose`."""

    def __init__(self, messages: AsyncGenerator[R, None]) -> None:
        self._messages = messages

    def __aiter__(self) -> AsyncIterator[R]:
        return self._messages

    async def aclose(self) -> None:
        """End the call if it still runs, and wait for its end."""
        await self._messages.aclose()


def _no_streams_in(path: str) -> Any:
    def call(*_: Any, **__: Any) -> NoReturn:
        raise UnknownMethod(f"{path} cannot be called from within the process")

    return call


async def _run(handler: Any, context: LocalContext) -> None:
    """Run a handler, which reads its one request from the context.

    A connection would end it at its caller's deadline; here that is done by hand.
    """
    try:
        async with asyncio.timeout(context.time_remaining()):
            if handler.stream_unary is not None:
                answer = await handler.stream_unary(None, context)
                if not context.failed:
                    await context.write(answer)
            else:
                await handler.stream_stream(None, context)
    except TimeoutError:
        raise DeadlineExceeded("the call took longer than it may") from None


async def _end(running: "asyncio.Task[Any]") -> None:
    """Cancel the call unless it has ended, and wait for that. Its failure has been told, or nobody waits."""
    running.cancel()
    await asyncio.wait({running}, timeout=_LONGEST_END)
    if running.done() and not running.cancelled():
        running.exception()


def _wake(waiting: "asyncio.Future[None] | None") -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
