"""The use cases: admit, validate against the tokenizer, generate, tokenise, suspend."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from services.tgi_local.adapters.vocabulary import Vocabulary
from services.tgi_local.core.engine import Engine, EngineBusy, EngineError, PoisonedText, TemplateError
from services.tgi_local.core.parameters import GenerateRequest, RequestLimits
from services.tgi_local.core.parts import Part, breaker, marked, parts_of, told
from services.tgi_local.errors import (
    DuplicateRequest,
    GenerationFailed,
    InvalidRequest,
    NotRunning,
    NotSuspendable,
    Overloaded,
    Suspended,
    TemplateFailed,
)
from services.tgi_local.ports import Clock, Compiler, Metrics
from services.tgi_local.service.generation import (
    Dependencies,
    Finish,
    Generation,
    PreparedRequest,
    Step,
    Suspension,
    Token,
)
from services.tgi_local.service.waiting import SlotQueue
from services.tgi_local.store.snapshot_files import SnapshotFiles

SUSPEND_SECONDS = 60.0
"""Longest wait for a running generation to stop and be saved."""

SPLITS_AT_ONCE = 2
"""Texts that the engine renders or splits at once, on threads of its own beside the one that generates."""

PIECE_TOKENS = 1024
"""Tokens of a text that are worked on at a stretch before generations have their turn."""

COUNTED_BYTES = 64 * 1024
"""Bytes of a text that is split on request whether or not it would fit as a prompt."""

_CHECKED_TOKENS = 1024
"""TGI checks at most this much of `max_new_tokens` against the room left; longer runs end at the limit."""


@dataclass(frozen=True, slots=True)
class TextToken:
    """A token of a given text and the characters it covers."""

    id: int
    text: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A whole unary generation."""

    prepared: PreparedRequest
    tokens: tuple[Token, ...]
    finish: Finish
    queue_seconds: float
    inference_seconds: float

    @property
    def likelihood(self) -> float:
        """Sum of the log-probabilities, by which `best_of` chooses."""
        return sum(token.logprob or 0.0 for token in self.tokens)


class TgiService:
    """What the routes do, without HTTP."""

    def __init__(
        self,
        engine: Engine,
        files: SnapshotFiles,
        metrics: Metrics,
        compiler: Compiler,
        *,
        limits: RequestLimits,
        slots: int,
        max_concurrent: int,
        clock: Clock,
    ) -> None:
        queue = SlotQueue(slots, changed=metrics.queue_changed)
        self._deps = Dependencies(
            engine=engine, queue=queue, files=files, metrics=metrics, compiler=compiler, clock=clock
        )
        self._compiler = compiler
        self._engine = engine
        self._files = files
        self._metrics = metrics
        self._limits = limits
        self._max_concurrent = max_concurrent
        self._admitted = 0
        self._texts = 0
        self._splits = asyncio.Semaphore(SPLITS_AT_ONCE)
        self._broken = breaker(engine.vocabulary.markers)
        self._running: dict[str, Generation] = {}

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold one of the places for concurrent requests. Raises Overloaded."""
        if self._admitted >= self._max_concurrent:
            raise Overloaded
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def prepare(self, request: GenerateRequest) -> PreparedRequest:
        """Tokenise the prompt, check that prompt and answer fit and that the engine can keep the constraint.

        Raises InvalidRequest.
        """
        ids = await self._prompt_ids(request)
        if request.truncate is not None:
            ids = ids[-request.truncate :]
        max_new = self._room(request.max_new_tokens, len(ids))
        if request.constraint is not None:
            await self._compiler.check(request.constraint)
        self._metrics.accepted(len(ids), max_new)
        seed = secrets.randbits(31) if request.sampling.seed is None else request.sampling.seed
        return PreparedRequest(request=request, prompt_ids=ids, max_new_tokens=max_new, seed=seed)

    def begin(self, prepared: PreparedRequest) -> Generation:
        """Make a generation; nothing runs before `stream`."""
        return Generation(prepared, self._deps)

    async def stream(self, generation: Generation) -> AsyncGenerator[Step, None]:
        """Generate step by step. Closing the iterator cancels. Raises DuplicateRequest, GenerationFailed."""
        request_id = _request_id(generation.prepared)
        if request_id in self._running:
            raise DuplicateRequest(request_id)
        if request_id:
            self._running[request_id] = generation
        try:
            async with aclosing(generation.steps()) as steps:
                async for step in steps:
                    if step.finish is not None:
                        self._running.pop(request_id, None)
                    yield step
        finally:
            self._running.pop(request_id, None)

    async def generate(self, prepared: PreparedRequest) -> list[Result]:
        """Generate to the end; with `best_of` several times, the likeliest first. Raises Suspended too."""
        count = prepared.request.best_of
        if count == 1:
            return [await self._collect(prepared)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._collect(_reseeded(prepared, n))) for n in range(count)]
        return sorted((task.result() for task in tasks), key=lambda r: r.likelihood, reverse=True)

    async def suspend(self, request_id: str) -> Suspension:
        """Stop a running generation and save its state. Raises NotRunning, NotSuspendable."""
        generation = self._running.get(request_id)
        if generation is None:
            raise NotRunning(request_id)
        if generation.constrained or generation.prepared.request.best_of > 1:
            raise NotSuspendable
        try:
            async with asyncio.timeout(SUSPEND_SECONDS):
                return await generation.suspend()
        except TimeoutError as error:
            raise GenerationFailed("the generation did not stop in time") from error

    async def collect(self) -> None:
        """Delete snapshots that are too old."""
        await self._files.collect()
        self._metrics.snapshots_changed(self._files.count, self._files.total_bytes)

    async def drop_snapshot(self, handle: str) -> None:
        """Delete a snapshot; an unknown handle is fine."""
        await self._files.delete(handle)
        self._metrics.snapshots_changed(self._files.count, self._files.total_bytes)

    async def tokenize(
        self, text: str, *, add_special: bool = True, special: bool = True
    ) -> AsyncGenerator[Sequence[TextToken], None]:
        """Split a text into tokens with character offsets, told in pieces: others' steps come between them.

        `special`: whether special tokens written in it are meant; otherwise it is what somebody said.
        A text of up to COUNTED_BYTES is split even if it fits no prompt. Raises InvalidRequest, Overloaded,
        GenerationFailed.
        """
        if len(text) > COUNTED_BYTES or len(text.encode()) > COUNTED_BYTES:
            self._check_length(text)
        async with aclosing(self._told([Part(text, special=special)], add_special=add_special)) as pieces:
            async for piece in pieces:
                yield piece

    async def _told(
        self, parts: Sequence[Part], *, add_special: bool
    ) -> AsyncGenerator[Sequence[TextToken], None]:
        split = await self._split(parts, add_special=add_special)
        tokens = chain.from_iterable(
            with_offsets(part.text, ids, self._engine.vocabulary, part.start)
            for part, ids in zip(parts, split, strict=True)
        )
        while piece := tuple(islice(tokens, PIECE_TOKENS)):
            yield piece
            await asyncio.sleep(0)

    async def chat_tokenize(
        self, messages: Sequence[Mapping[str, Any]]
    ) -> tuple[AsyncGenerator[Sequence[TextToken], None], str]:
        """Render a chat and split it by parts, if it can fit.

        Raises TemplateFailed, InvalidRequest, Overloaded, GenerationFailed.

        What messages hold is text, whatever it looks like: special tokens come from the template alone.
        """
        async with self._splitting():
            chat = await asyncio.to_thread(self._marked, messages)
            with _failures():
                rendered = await self._engine.render(chat)
        text = told(rendered)
        self._check_length(text)
        return self._told(await asyncio.to_thread(parts_of, rendered), add_special=True), text

    def _marked(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [marked(message, self._broken) for message in messages]

    def _check_length(self, text: str) -> None:
        """Raise InvalidRequest for a prompt that cannot fit, whatever its tokens are."""
        longest, most = self._engine.vocabulary.longest, self._limits.max_input_tokens
        least = -(-len(text.encode()) // longest) if longest else 0
        if least > most:
            raise InvalidRequest(f"`inputs` must have less than {most} tokens. Given: at least {least}")

    async def _split(self, parts: Sequence[Part], *, add_special: bool) -> list[list[int]]:
        """Let the engine split texts. Raises Overloaded, InvalidRequest for poison, GenerationFailed."""
        async with self._splitting():
            with _failures():
                return await self._engine.tokenize(parts, add_special=add_special)

    @asynccontextmanager
    async def _splitting(self) -> AsyncIterator[None]:
        """Hold one of the few places for work on texts; first come, first served. Raises Overloaded.

        Each holds a thread of the engine's, and the generations need those too.
        """
        if self._texts >= self._max_concurrent:
            raise Overloaded
        self._texts += 1
        try:
            async with self._splits:
                yield
        finally:
            self._texts -= 1

    def prefill(self, prepared: PreparedRequest) -> list[TextToken]:
        """Return the prompt's tokens; the engine gives no log-probabilities for them."""
        pieces = self._engine.vocabulary.pieces
        return [TextToken(i, pieces[i].decode(errors="replace"), 0, 0) for i in prepared.prompt_ids]

    async def healthy(self) -> bool:
        """Whether the engine answers."""
        return await self._engine.healthy()

    async def _prompt_ids(self, request: GenerateRequest) -> tuple[int, ...]:
        extension = request.extension
        if extension is not None and extension.prompt_ids:
            if max(extension.prompt_ids) >= len(self._engine.vocabulary):
                raise InvalidRequest("`aios.prompt_ids` holds an id outside the vocabulary")
            return extension.prompt_ids
        if request.truncate is None:
            self._check_length(request.inputs)
        [ids] = await self._split([Part(request.inputs, special=True)], add_special=True)
        return tuple(ids)

    def _room(self, asked: int | None, given: int) -> int:
        """Return how many tokens may be generated. Raises InvalidRequest."""
        limit = self._limits.max_total_tokens
        left = max(0, limit - given)
        checked = min(left if asked is None else asked, _CHECKED_TOKENS)
        if given + checked > limit:
            raise InvalidRequest(
                f"`inputs` tokens + `max_new_tokens` must be <= {limit}. "
                f"Given: {given} `inputs` tokens and {checked} `max_new_tokens`"
            )
        if given > self._limits.max_input_tokens:
            most = self._limits.max_input_tokens
            raise InvalidRequest(f"`inputs` must have less than {most} tokens. Given: {given}")
        return left if asked is None else min(asked, left)

    async def _collect(self, prepared: PreparedRequest) -> Result:
        generation = self.begin(prepared)
        tokens: list[Token] = []
        finish: Finish | None = None
        async with aclosing(self.stream(generation)) as steps:
            async for step in steps:
                tokens.extend(step.tokens)
                finish = step.finish
        if finish is None:
            raise Suspended
        return Result(
            prepared=prepared,
            tokens=tuple(tokens),
            finish=finish,
            queue_seconds=generation.queue_seconds,
            inference_seconds=generation.inference_seconds,
        )


@contextmanager
def _failures() -> Iterator[None]:
    """Raise what the engine's failures with a text mean to its caller."""
    try:
        yield
    except TemplateError as error:
        raise TemplateFailed(str(error)) from error
    except EngineBusy as error:
        raise Overloaded from error
    except PoisonedText as error:
        raise InvalidRequest(f"the text is refused: {error}") from error
    except EngineError as error:
        raise GenerationFailed(str(error)) from error


def _request_id(prepared: PreparedRequest) -> str:
    extension = prepared.request.extension
    return extension.request_id if extension is not None else ""


def _reseeded(prepared: PreparedRequest, number: int) -> PreparedRequest:
    """Give one of several attempts its own seed; only the first keeps the request id."""
    request = prepared.request
    if number and request.extension is not None:
        request = replace(request, extension=replace(request.extension, request_id=""))
    return replace(prepared, request=request, seed=prepared.seed + number)


def with_offsets(
    text: str, ids: Iterable[int], vocabulary: Vocabulary, before: int = 0
) -> Iterator[TextToken]:
    """Map each token's bytes to the characters they touch; tokens without text of their own are empty.

    `before`: characters of a longer text that stand before this one.
    """
    data, at, begun = text.encode(), 0, 0  # `begun`: characters that begin before byte `at`
    for token in ids:
        piece = vocabulary.pieces[token]
        if not data.startswith(piece, at):
            piece = piece.removeprefix(b" ")  # SentencePiece puts a space before the first word
        if not piece or not data.startswith(piece, at):
            yield TextToken(token, "", before + begun, before + begun)
            continue
        first = begun if _begins(piece[0]) else begun - 1
        begun += sum(map(_begins, piece))
        at += len(piece)
        yield TextToken(token, text[first:begun], before + first, before + begun)


def _begins(byte: int) -> bool:
    """Whether a byte of UTF-8 begins a character."""
    return byte & 0xC0 != 0x80  # noqa: PLR2004 - continuation bytes
