"""Makes a request fit its model's window where its client leaves that to the server."""

import hashlib
from dataclasses import dataclass
from typing import Final

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.kernel import Kernel
from gateway.http.responses.model import Keeper
from gateway.http.responses.ports import Windows
from services.chassis.rpc import chat_wire

TOO_LONG: Final = frozenset({"PROMPT_TOO_LONG", "NEVER_FITS"})
"""What a request is refused with that may be made to fit."""
_SECONDS: Final = 10.0
_ALL: Final = pb.ListModelsRequest(page_size=1000)


@dataclass(frozen=True, slots=True)
class Fitter:
    """Drops the oldest messages of a request until it fits."""

    kernel: Kernel
    windows: Windows

    async def fit(self, keeper: Keeper, request: pb.GenerateRequest) -> None:
        """Change a request so that it fits. Raises what Windows.fit and ListModels raise.

        It is another request from then on, and so has another id: one that is the same each time.
        """
        window = await self.windows.fit(
            keeper,
            chat_wire.messages(request.messages),
            chat_wire.tools(request.tools),
            model=request.model,
            budget=await self._budget(keeper, request.model),
        )
        del request.messages[:]
        request.messages.extend(map(chat_wire.message_proto, window.messages))
        if request.request_id:
            request.request_id = "w-" + hashlib.sha256(request.request_id.encode()).hexdigest()[:40]

    async def _budget(self, keeper: Keeper, model: str) -> int:
        """Return the model's window; 0, which leaves it to the context manager, when none serves it now."""
        told = await self.kernel.inference.ListModels(_ALL, metadata=keeper.metadata, timeout=_SECONDS)
        sizes = (
            each.max_total_tokens
            for each in told.models
            if each.name == model or (not model and each.is_default)
        )
        return next(sizes, 0)
