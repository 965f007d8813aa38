"""A streamed generation that survives broken connections."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Self

from aios._transport import Transport
from aios._wire import llm as wire
from aios.api.inference.v1 import inference_pb2 as pb
from aios.errors import InternalError
from aios.types.llm import Answer, Finished, StreamEvent

Responses = AsyncGenerator[pb.StreamGenerateResponse | pb.WatchGenerationResponse, None]


class Progress:
    """How far a stream has got: what a resumption must know."""

    def __init__(self, after_sequence: int = 0) -> None:
        self.sequence = after_sequence
        self.token_ids: list[int] = []
        self.texts: list[str] = []
        self.name = ""
        self.finished = False
        self._admitted = False
        self._ids_complete = after_sequence == 0

    def accept(self, event: pb.GenerationEvent) -> bool:
        """Note an event; False when the caller has seen it already, as it may happen after a resumption."""
        kind = event.WhichOneof("event")
        if kind == "admitted":
            first, self._admitted = not self._admitted, True
            return first
        if kind == "delta":
            return self._accept_delta(event)
        if kind == "finished":
            first, self.finished = not self.finished, True
            return first
        return True

    def _accept_delta(self, event: pb.GenerationEvent) -> bool:
        if event.sequence <= self.sequence:
            return False
        if event.sequence - event.delta.token_count > self.sequence:
            raise InternalError(f"tokens {self.sequence} to {event.sequence} of the stream are missing")
        if event.sequence - event.delta.token_count < self.sequence:
            raise InternalError(f"the stream repeats tokens before {self.sequence}")
        self._ids_complete = self._ids_complete and len(event.delta.token_ids) == event.delta.token_count
        self.sequence = event.sequence
        self.token_ids += event.delta.token_ids
        self.texts.append(event.delta.text)
        return True

    def resume_point(self) -> pb.ResumePoint:
        """Return where the caller stands; token ids and text only if all of them are known."""
        if not self._ids_complete:
            return pb.ResumePoint(after_sequence=self.sequence)
        return pb.ResumePoint(
            after_sequence=self.sequence,
            received_token_ids=self.token_ids,
            received_text="".join(self.texts),
        )


class TextStream:
    """The events of a generation, in order. Iterate over it, or call `answer()` at once for the end alone.

    Text is delivered once, also across preemptions and broken connections. Leave it early with `aclose()` or
    as an `async with` block: that cancels the generation.
    """

    def __init__(self, responses: Callable[[Progress], Responses], progress: Progress) -> None:
        self._progress = progress
        self._responses = responses(progress)
        self._answer: Answer | None = None

    @property
    def name(self) -> str:
        """Resource name of the generation; empty before the first event."""
        return self._progress.name

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        async for response in self._responses:
            if isinstance(response, pb.StreamGenerateResponse) and response.name:
                self._progress.name = response.name
            if not self._progress.accept(response.event):
                continue
            event = wire.event(response.event, self._progress.name)
            if isinstance(event, Finished):
                self._answer = event.answer
            return event
        if self._answer is None:
            raise InternalError("the stream ended without a finish")
        raise StopAsyncIteration

    async def texts(self) -> AsyncIterator[str]:
        """Yield only the pieces of text."""
        async for event in self:
            if event.text:
                yield event.text

    async def answer(self) -> Answer:
        """Read the stream to its end and return the whole answer."""
        async for _ in self:
            pass
        if self._answer is None:
            raise InternalError("the stream was closed before its end")
        return self._answer

    async def aclose(self) -> None:
        """Cancel the generation, unless it has ended."""
        await self._responses.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def generation(transport: Transport, request: pb.GenerateRequest, timeout: float | None) -> TextStream:
    """Return the stream of a new generation, resumed where the caller stands."""

    def responses(progress: Progress) -> Responses:
        first = pb.StreamGenerateRequest(generation=request)

        def resume() -> pb.StreamGenerateRequest | None:
            if progress.finished or not progress.sequence:
                return None if progress.finished else first
            again = pb.GenerateRequest()
            again.CopyFrom(request)
            again.resume.CopyFrom(progress.resume_point())
            return pb.StreamGenerateRequest(generation=again)

        return transport.stream(first, pb.StreamGenerateResponse, timeout=timeout, resume=resume)

    return TextStream(responses, Progress())


def watch(transport: Transport, name: str, after_sequence: int, timeout: float | None) -> TextStream:
    """Return the stream of a generation that runs already."""

    def responses(progress: Progress) -> Responses:
        progress.name = name

        def request() -> pb.WatchGenerationRequest:
            return pb.WatchGenerationRequest(name=name, after_sequence=progress.sequence)

        def resume() -> pb.WatchGenerationRequest | None:
            return None if progress.finished else request()

        return transport.stream(request(), pb.WatchGenerationResponse, timeout=timeout, resume=resume)

    return TextStream(responses, Progress(after_sequence))
