"""How a streaming handler's messages leave: each only while the stream may deliver."""

from typing import Any, Protocol

import grpc

from services.chassis.rpc.beginnings import whole
from services.chassis.rpc.live_streams import LiveStream

Context = grpc.aio.ServicerContext[Any, Any]


class Delivery(Protocol):
    """The call whose messages leave."""

    stream: LiveStream | None

    @property
    def interruptible(self) -> bool:
        """Whether this process may end the call before its handler has."""

    async def expose(self, answer: Any) -> None:
        """Mark the caller before it gets a message that nobody vouches for."""


async def pump(answer: Any, context: Context, call: Delivery, *, raw: bool = False) -> None:
    """Send what a streaming handler yields, as long as the stream may deliver.

    The generator is closed here, at once, so that its `finally` runs when the caller leaves.
    """
    try:
        begun = not call.interruptible
        async for message in answer:
            if not raw:
                await call.expose(message)
            if call.stream is not None:
                if not begun:
                    await _begin(context)
                await _send(message, context, call.stream)
            else:
                sending = context.write(message)
                await (sending if begun else whole(sending))
            begun = True
    finally:
        if hasattr(answer, "aclose"):
            await answer.aclose()


async def _begin(context: Context) -> None:
    """Send the initial metadata by themselves: who takes not even a first message can be told the end."""
    try:
        await whole(context.send_initial_metadata(()))
    except grpc.aio.UsageError:
        return  # they have been sent: a watch was let in, a manager's own were passed on


async def _send(message: Any, context: Context, stream: LiveStream) -> None:
    await stream.may_deliver()
    # From the check to the transport nothing else runs: what is delivered was permitted then.
    stream.sending = True
    await context.write(message)
    stream.sending = False
    stream.sent += 1
