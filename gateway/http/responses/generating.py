"""Has the kernel generate what a request asks for, made to fit where the client leaves that to the server."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http import generating
from gateway.http.kernel import Kernel
from gateway.http.responses.answer import Composed, Json, composed, logprob
from gateway.http.responses.fitting import TOO_LONG
from gateway.http.responses.request import Prepared
from gateway.http.visit import Visit
from services.chassis.rpc.errors import Internal, KernelError


@dataclass(slots=True)
class Generating:
    """The kernel's generation for one request."""

    kernel: Kernel
    visit: Visit
    prepared: Prepared
    fit: Callable[[pb.GenerateRequest], Awaitable[None]] | None = None
    """Makes a request fit that is too long. None: it is refused."""

    async def events(self, seconds: float) -> AsyncGenerator[pb.StreamGenerateResponse, None]:
        """Stream it. Raises what StreamGenerate ends with, in the client's words."""
        asked = self.prepared
        while True:
            stream = generating.stream(
                self.kernel, self.visit, asked.generation, asked.tier, asked.words, seconds=seconds
            )
            told = False
            try:
                async with aclosing(stream):
                    async for message in stream:
                        if not told:
                            self._settle_tier()
                        told = True
                        yield message
            except KernelError as error:
                if told or not await self._fitted(error):
                    raise
            else:
                return

    async def whole(self, digits: str) -> tuple[Composed, dict[str, str]]:
        """Wait for it; return it with what the answer's headers tell.

        Raises what Generate ends with, in the client's words.
        """
        asked, visit = self.prepared, self.visit
        if asked.generation.logprobs:  # told in deltas only
            return await self._gathered(digits)
        while True:
            try:
                made = await generating.whole(self.kernel, visit, asked.generation, asked.tier, asked.words)
            except KernelError as error:
                if not await self._fitted(error):
                    raise
            else:
                self._settle_tier()
                return self._composed(made.finished, digits), generating.headers(made.finished, made.name)

    async def _gathered(self, digits: str) -> tuple[Composed, dict[str, str]]:
        places: list[Json] = []
        name = ""
        async with aclosing(self.events(self.visit.call_seconds)) as events:
            async for message in events:
                name = name or message.name
                told = (logprob(each) for each in message.event.delta.top_alternatives)
                places += [place for place in told if place is not None]
                if message.event.HasField("finished"):
                    end = message.event.finished
                    return self._composed(end, digits, places), generating.headers(end, name)
        raise Internal("a generation ended without an answer")

    def _composed(self, finished: pb.Finished, digits: str, places: "list[Json] | None" = None) -> Composed:
        return composed(
            finished,
            finished.message.content,
            digits=digits,
            offered=self.prepared.offered,
            logprobs=places or (),
        )

    def _settle_tier(self) -> None:
        """Tell the tier that is applied: one that the agent's caps do not allow is given up."""
        self.prepared.echo["service_tier"] = self.prepared.tier.applied

    async def _fitted(self, error: KernelError) -> bool:
        """Whether a request that was refused fits now."""
        if error.reason not in TOO_LONG or self.fit is None:
            return False
        fit, self.fit = self.fit, None
        await fit(self.prepared.generation)
        return True
