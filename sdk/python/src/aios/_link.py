"""The connection behind a kernel object: a channel for each event loop that uses it, opened when used."""

import asyncio
import time
import warnings
from typing import Final
from weakref import WeakKeyDictionary

from aios import _channel
from aios._diagnosis import Trouble, diagnose
from aios._grpc import grpc
from aios._settings import Target
from aios.errors import ConnectionClosed, KernelUnreachable

CONNECT_WINDOW: Final = 2.0
"""How long the first contact may take. Unit: seconds."""

_SHORTEST_LOOK: Final = 0.001
_LONGEST_LOOK: Final = 0.05


class Link:
    """A way to one kernel, shared by everybody who acts over it. It holds nothing before it is used.

    The first contact fails within seconds, in words: an address that never answered is mostly a wrong one.
    Once the kernel has answered, an outage is waited for as the retry policy says.
    """

    def __init__(self, target: Target, *, connect_window: float = CONNECT_WINDOW) -> None:
        self.target = target
        self.closed = False
        self.reached = False
        self._window = connect_window
        self._channels: WeakKeyDictionary[asyncio.AbstractEventLoop, grpc.aio.Channel] = WeakKeyDictionary()

    async def channel(self, *, within: float = CONNECT_WINDOW) -> grpc.aio.Channel:
        """Return the running loop's channel. `within`: most seconds to wait for the first contact.

        Raises ConnectionClosed after `close`, KernelUnreachable when there is no first contact, and
        PreconditionFailed when a certificate file cannot be used.
        """
        if self.closed:
            raise ConnectionClosed(
                f"the connection to {self.target.address} is closed: call aios.connect() again"
            )
        loop = asyncio.get_running_loop()
        channel = self._channels.get(loop)
        if channel is None:
            channel = self._channels[loop] = _channel.acquire(self.target)
        if not self.reached:
            await self._reach(channel, min(within, self._window))
            self.reached = True
        return channel

    async def close(self) -> None:
        """End the connection. Calls under way fail, and so do later ones; closing twice changes nothing."""
        self.closed = True
        own = self._channels.pop(asyncio.get_running_loop(), None)
        self._let_go()
        if own is not None:
            del own
            await _channel.release(self.target)

    async def _reach(self, channel: grpc.aio.Channel, seconds: float) -> None:
        """Wait for the first contact, by looking: a wait for a change of state cannot be given up."""
        ends = time.monotonic() + seconds
        pause = _SHORTEST_LOOK
        trouble: Trouble | None = None
        while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE and trouble is None:
                trouble = await diagnose(self.target)
            if (trouble is not None and trouble.final) or time.monotonic() >= ends:
                raise _unreachable(trouble or await diagnose(self.target), self.target)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    def _let_go(self) -> None:
        """Forget the channels of other loops: a channel that nobody holds closes itself."""
        for loop in list(self._channels):
            _channel.drop(loop, self.target)
        self._channels.clear()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open" if self._channels else "not used yet"
        return f"<connection to {self.target.address}{' over TLS' if self.target.tls else ''}, {state}>"

    def __del__(self) -> None:
        if not self.closed and len(self._channels):
            message = f"unclosed {self!r}: use `async with aios.connect()`, or `await kernel.close()`"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)
            self._let_go()


def _unreachable(trouble: Trouble, target: Target) -> KernelUnreachable:
    return KernelUnreachable(
        trouble.what, hint=trouble.hint, metadata={"address": target.address, "cause": trouble.cause}
    )
