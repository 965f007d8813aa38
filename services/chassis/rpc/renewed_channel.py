"""A channel whose connection can be opened anew while calls are under way on the old one."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Self

import grpc

_LONGEST_OLD_SECONDS: Final = 3600.0
"""How long calls may go on over a connection that was replaced; as long as servers let old ones live."""


class _Generation:
    """One connection and the calls on it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.running = 0
        self.replaced = False
        self.idle = asyncio.Event()
        self.idle.set()

    def took(self, call: Any) -> Any:
        """Count a call until it ends."""
        self.running += 1
        self.idle.clear()
        call.add_done_callback(self._ended)
        return call

    def _ended(self, _call: object) -> None:
        self.running -= 1
        if not self.running:
            self.idle.set()


class RenewedChannel(grpc.aio.Channel):
    """Calls go over the newest connection; an older one is closed when its last call has ended.

    Stubs made from it stay good. `renew` is called on the event loop.
    """

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._newest = _Generation(connect())
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    def renew(self) -> None:
        """Open another connection for the calls from now on."""
        if self._closed:
            return
        old, self._newest = self._newest, _Generation(self._connect())
        task = asyncio.get_running_loop().create_task(self._retire(old))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _retire(self, old: _Generation) -> None:
        try:
            async with asyncio.timeout(_LONGEST_OLD_SECONDS):
                await old.idle.wait()
        except TimeoutError:
            pass  # what still runs is cut, as servers do with connections of that age; callers open it again
        finally:
            await old.channel.close()

    async def close(self, grace: float | None = None) -> None:
        """Close every connection."""
        self._closed = True
        for task in (*self._closing,):
            task.cancel()
        if self._closing:
            await asyncio.wait(self._closing)
        await self._newest.channel.close(grace)

    async def __aenter__(self) -> Self:
        """Return it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close(None)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - the library's own signature
        """Return the state of the newest connection."""
        return self._newest.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the newest connection has another state."""
        await self._newest.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the newest connection is there."""
        await self._newest.channel.channel_ready()

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """Return a callable as grpc.aio.Channel does."""
        return _Calls(self, "unary_unary", arguments, options)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """Return a callable as grpc.aio.Channel does."""
        return _Calls(self, "unary_stream", arguments, options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """Return a callable as grpc.aio.Channel does."""
        return _Calls(self, "stream_unary", arguments, options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """Return a callable as grpc.aio.Channel does."""
        return _Calls(self, "stream_stream", arguments, options)

    @property
    def newest(self) -> _Generation:
        """The connection that calls go over now."""
        return self._newest


class _Calls:
    """What a stub holds for one method: finds the newest connection at each call."""

    def __init__(
        self, channel: RenewedChannel, arity: str, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        self._channel = channel
        self._arity = arity
        self._arguments = arguments
        self._options = options
        self._of: _Generation | None = None
        self._inner: Any = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Start a call."""
        newest = self._channel.newest
        if self._of is not newest:
            self._of = newest
            self._inner = getattr(newest.channel, self._arity)(*self._arguments, **self._options)
        return newest.took(self._inner(*arguments, **options))
