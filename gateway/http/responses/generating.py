"""Has the kernel generate what a request asks for."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.kernel import Kernel
from gateway.http.responses.answer import Composed, Json, composed, logprob
from gateway.http.responses.fitting import TOO_LONG
from gateway.http.responses.request import Prepared
from services.chassis.rpc.errors import Internal, KernelError

Metadata = Sequence[tuple[str, str]]


@dataclass(slots=True)
class Generating:
    """The kernel's generation for one request, with the metadata of its calls."""

    kernel: Kernel
    prepared: Prepared
    metadata: Metadata
    fit: Callable[[pb.GenerateRequest], Awaitable[None]] | None = None
    """Makes a request fit that is too long. None: it is refused."""
    _fitted: bool = False

    async def events(self, seconds: float) -> AsyncGenerator[pb.GenerationEvent, None]:
        """Stream it. Raises what StreamGenerate ends with, in the client's words."""
        while True:
            told = False
            request = pb.StreamGenerateRequest(generation=self.prepared.generation)
            call = self.kernel.inference.StreamGenerate(request, metadata=self.metadata, timeout=seconds)
            try:
                async for message in call:
                    told = True
                    yield message.event
            except KernelError as error:
                if told or not await self._once_more(error):
                    raise self.prepared.words.reword(error) from None
            else:
                return

    async def whole(self, seconds: float, digits: str) -> Composed:
        """Wait for it. Raises what Generate ends with, in the client's words."""
        if self.prepared.generation.logprobs:  # told in deltas only
            return await self._gathered(seconds, digits)
        while True:
            call = self.kernel.inference.Generate(
                self.prepared.generation, metadata=self.metadata, timeout=seconds
            )
            try:
                answer = await call
            except KernelError as error:
                if not await self._once_more(error):
                    raise self.prepared.words.reword(error) from None
            else:
                return self._composed(answer.finished, digits)

    async def _gathered(self, seconds: float, digits: str) -> Composed:
        places: list[Json] = []
        async with aclosing(self.events(seconds)) as events:
            async for event in events:
                told = (logprob(each) for each in event.delta.top_alternatives)
                places += [place for place in told if place is not None]
                if event.HasField("finished"):
                    return self._composed(event.finished, digits, places)
        raise Internal("a generation ended without an answer")

    def _composed(self, finished: pb.Finished, digits: str, places: Sequence[Json] = ()) -> Composed:
        return composed(
            finished,
            finished.message.content,
            digits=digits,
            offered=self.prepared.offered,
            logprobs=places,
        )

    async def _once_more(self, error: KernelError) -> bool:
        """Whether the request is tried again: without its service tier, which is a wish, or made to fit."""
        if error.reason in TOO_LONG and self.fit is not None and not self._fitted:
            self._fitted = True
            await self.fit(self.prepared.generation)
            return True
        if not self.prepared.tier.give_up(self.prepared.generation, error):
            return False
        self.prepared.echo["service_tier"] = self.prepared.tier.applied
        return True
