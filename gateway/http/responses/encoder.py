"""What the door's stream sends of a response: the composer's events, and the end once it is settled."""

from dataclasses import dataclass

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.responses.answer import Json
from gateway.http.responses.stream import Composer
from services.chassis.rpc.errors import KernelError

Told = pb.StreamGenerateResponse | Json
"""An event of the generation, or last the response as it ended."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """The door's StreamEncoder for responses."""

    composer: Composer

    def start(self, first: Told | None) -> bytes:
        """Begin."""
        return self.composer.created() + (self.event(first) if first is not None else b"")

    def event(self, event: Told) -> bytes:
        """Tell an event, or the end."""
        if isinstance(event, pb.StreamGenerateResponse):
            return self.composer.feed(event.event)
        return self.composer.end(event)

    def alive(self) -> bytes:
        """Give a sign of life. Some clients count events only, so a comment would not do."""
        return self.composer.alive()

    def failed(self, error: KernelError) -> bytes:
        """Tell that it failed."""
        return self.composer.failed(error)
