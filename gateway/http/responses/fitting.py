"""Makes a request fit its model's window where its client leaves that to the server."""

import hashlib
from typing import Final

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.responses.model import Keeper
from gateway.http.responses.ports import Windows
from services.chassis.rpc import chat_wire

TOO_LONG: Final = frozenset({"PROMPT_TOO_LONG", "NEVER_FITS"})


async def fit(windows: Windows, keeper: Keeper, request: pb.GenerateRequest) -> None:
    """Drop the oldest messages of a request until it fits. Raises what Windows.fit raises.

    It is another request from then on, and so has another id: one that is the same each time.
    """
    window = await windows.fit(
        keeper,
        chat_wire.messages(request.messages),
        chat_wire.tools(request.tools),
        model=request.model,
    )
    del request.messages[:]
    request.messages.extend(map(chat_wire.message_proto, window.messages))
    if request.request_id:
        request.request_id = "w-" + hashlib.sha256(request.request_id.encode()).hexdigest()[:40]
