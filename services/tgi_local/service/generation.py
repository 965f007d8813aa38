"""One generation from its place in the queue to its last token."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from services.tgi_local.core.engine import Engine, EngineError, EngineRequest, EngineRun, EngineToken
from services.tgi_local.core.parameters import GenerateRequest
from services.tgi_local.core.snapshots import Miss
from services.tgi_local.core.text import TextAssembler
from services.tgi_local.errors import GenerationFailed, IncompleteGeneration, NotRunning
from services.tgi_local.ports import Clock, Compiler, Metrics
from services.tgi_local.service.waiting import Place, SlotQueue
from services.tgi_local.store.snapshot_files import SnapshotFiles


class FinishReason(Enum):
    """Why a generation ended, in TGI's words."""

    LENGTH = "length"
    EOS = "eos_token"
    STOP = "stop_sequence"


@dataclass(frozen=True, slots=True)
class TopToken:
    """An alternative to the chosen token."""

    id: int
    text: str
    logprob: float
    special: bool


@dataclass(frozen=True, slots=True)
class Token:
    """One token as the caller sees it. `index` counts from 1; `text` holds whole characters only."""

    index: int
    id: int
    text: str
    logprob: float | None
    special: bool
    top: tuple[TopToken, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a generation."""

    reason: FinishReason
    generated_tokens: int
    generated_text: str
    input_length: int
    seed: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """Tokens that came together; the last step has `finish` or is `suspended`."""

    tokens: tuple[Token, ...] = ()
    finish: Finish | None = None
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Suspension:
    """Everything needed to continue later."""

    kv_handle: str | None
    bytes: int
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedRequest:
    """A request whose prompt is tokenised and fits."""

    request: GenerateRequest
    prompt_ids: tuple[int, ...]
    max_new_tokens: int
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """What every generation works with."""

    engine: Engine
    queue: SlotQueue
    files: SnapshotFiles
    metrics: Metrics
    compiler: Compiler
    clock: Clock


class Generation:
    """Runs once: iterate `steps()` to the end, or close it to cancel."""

    def __init__(self, prepared: PreparedRequest, deps: Dependencies) -> None:
        self.prepared = prepared
        self.queue_seconds = 0.0
        self.inference_seconds = 0.0
        self.ids: list[int] = []
        self._deps = deps
        self._vocabulary = deps.engine.vocabulary
        self._text = self._assembler()
        self._place: Place | None = None
        self._run: EngineRun | None = None
        self._suspending: asyncio.Future[Suspension] | None = None
        self._held: tuple[EngineToken, ...] = ()

    @property
    def constrained(self) -> bool:
        """Whether a grammar binds the output."""
        return self.prepared.request.constraint is not None

    @property
    def cached_tokens(self) -> int | None:
        """Tokens of the prompt that its slot held already; None until the engine tells."""
        return None if self._run is None else self._run.cached

    @property
    def suspended(self) -> bool:
        """Whether it was stopped to be continued later."""
        return self._suspending is not None and self._suspending.done()

    async def suspend(self) -> Suspension:
        """Stop at a token boundary and save the KV state. Raises NotRunning when it ends first."""
        if self._suspending is None:
            self._suspending = asyncio.get_running_loop().create_future()
            if self._place is not None and not self._place.done():
                self._place.set_result(None)
            if self._run is not None:
                self._run.stop()
        return await asyncio.shield(self._suspending)

    async def steps(self) -> AsyncGenerator[Step, None]:
        """Give out the tokens. Raises GenerationFailed, IncompleteGeneration and InvalidRequest."""
        last: Step | None = None
        try:
            async with contextlib.aclosing(self._steps()) as steps:
                async for step in steps:
                    if step.finish is not None and self._unproven(step.finish):
                        last = step  # kept back until the slot is free and the output is judged
                    else:
                        yield step
            if last is not None:
                await self._check_beginning()
                yield last
        except EngineError as error:
            raise GenerationFailed(str(error)) from error
        finally:
            if self._suspending is not None and not self._suspending.done():
                self._suspending.set_exception(NotRunning(self._request_id))

    async def _steps(self) -> AsyncGenerator[Step, None]:
        slot = await self._take_slot()
        if slot is None:
            self._settle(None, 0)
            yield Step(suspended=True)
            return
        started = self._deps.clock()
        try:
            async with contextlib.aclosing(self._tokens(slot)) as steps:
                async for step in steps:
                    yield step
                    if step.finish is not None:
                        return
            if self._suspending is None:
                raise IncompleteGeneration
            await _finishing(self._save(slot))
        finally:
            self.inference_seconds = self._deps.clock() - started
            self._deps.queue.give_back(slot, (*self.prepared.prompt_ids, *self.ids))
        yield Step(suspended=True)

    def _unproven(self, finish: Finish) -> bool:
        """Whether output under a constraint was cut short, so that only its beginning can be judged."""
        return self.constrained and finish.reason is not FinishReason.EOS

    async def _check_beginning(self) -> None:
        """Raise InvalidRequest when the engine has let go of the constraint on the way."""
        constraint = self.prepared.request.constraint
        special, pieces = self._vocabulary.special, self._vocabulary.pieces
        if constraint is not None:
            output = b"".join(pieces[token] for token in self.ids if token not in special)
            await self._deps.compiler.check_beginning(constraint, output)

    async def _take_slot(self) -> int | None:
        """Wait for a slot and load the snapshot into it. None: suspended while waiting."""
        entered = self._deps.clock()
        self._place = self._deps.queue.enter(self.prepared.prompt_ids)
        try:
            grant = await self._place
        except asyncio.CancelledError:
            self._deps.queue.leave(self._place)
            raise
        self.queue_seconds = self._deps.clock() - entered
        if grant is None:
            return None
        try:
            shared = await self._restore(grant.slot, grant.shared)
        except BaseException:
            self._deps.queue.give_back(grant.slot, ())
            raise
        self._deps.metrics.prefix_reused(shared)
        return grant.slot

    async def _restore(self, slot: int, shared: int) -> int:
        """Load the named snapshot unless the slot holds as much already. Returns the tokens now held."""
        extension = self.prepared.request.extension
        if extension is None or not extension.kv_handle:
            return shared
        found = await self._deps.files.find(extension.kv_handle)
        if isinstance(found, Miss):
            self._deps.metrics.kv_restore(found.value)
            return shared
        usable = min(found.tokens, len(self.prepared.prompt_ids))
        if shared >= usable:
            self._deps.metrics.kv_restore("warm")
            return shared
        try:
            await self._deps.engine.restore(slot, self._deps.files.file_name(found.handle))
        except EngineError:
            self._deps.metrics.kv_restore("failed")
            return 0
        self._deps.metrics.kv_restore("restored")
        return usable

    async def _tokens(self, slot: int) -> AsyncGenerator[Step, None]:
        run = self._deps.engine.generate(self._job(slot))
        self._run = run
        if self._suspending is not None:
            run.stop()
        try:
            async for batch in run:
                step = self._step(batch)
                if step.tokens:
                    yield step
                if step.finish is not None:
                    return
        finally:
            await run.aclose()
        if run.ended is not None and self._held:
            yield self._finished([self._token(token) for token in self._held], FinishReason.EOS)

    def _job(self, slot: int) -> EngineRequest:
        request = self.prepared.request
        return EngineRequest(
            prompt=self.prepared.prompt_ids,
            slot=slot,
            max_tokens=self.prepared.max_new_tokens,
            sampling=request.sampling,
            seed=self.prepared.seed,
            constraint=request.constraint,
            top_n=request.top_n_tokens,
            reuse=self._may_reuse(request),
        )

    def _may_reuse(self, request: GenerateRequest) -> bool:
        """Whether the text is the same if the slot's cache is used, or need not be the same."""
        repeatable = request.sampling.seed is not None and not request.sampling.greedy
        return self._deps.engine.exact or not repeatable or request.extension is not None

    def _step(self, batch: Sequence[EngineToken]) -> Step:
        """Turn a batch into events. A last token that may be the end waits for what the engine says next."""
        pending = (*self._held, *batch)
        self._held = ()
        out: list[Token] = []
        for engine_token in pending:
            undecided = engine_token is pending[-1] and self._vocabulary.may_end(engine_token.id)
            if undecided and len(self.ids) + 1 < self.prepared.max_new_tokens:
                self._held = (engine_token,)
                break
            out.append(self._token(engine_token))
            if len(self.ids) == self.prepared.max_new_tokens:
                return self._finished(out, FinishReason.LENGTH)
            if self._text.stopped:
                return self._finished(out, FinishReason.STOP)
        return Step(tuple(out))

    def _token(self, token: EngineToken) -> Token:
        self.ids.append(token.id)
        special = token.id in self._vocabulary.special
        piece = self._vocabulary.pieces[token.id]
        text = piece.decode(errors="ignore") if special else self._text.add(piece)
        top = tuple(
            TopToken(
                other.id,
                self._vocabulary.pieces[other.id].decode(errors="ignore"),
                other.logprob,
                other.id in self._vocabulary.special,
            )
            for other in token.top[: self.prepared.request.top_n_tokens]
        )
        return Token(len(self.ids), token.id, text, token.logprob, special, top)

    def _finished(self, tokens: Sequence[Token], reason: FinishReason) -> Step:
        request, text = self.prepared.request, self._text.text
        if (
            reason is FinishReason.EOS
            and request.constraint is not None
            and not request.constraint.accepts(text)
        ):
            raise GenerationFailed("the output does not satisfy the grammar")
        if request.return_full_text:
            text = (request.inputs or self._vocabulary.text(self.prepared.prompt_ids)) + text
        seed = None if request.sampling.greedy else self.prepared.seed
        finish = Finish(reason, len(self.ids), text, len(self.prepared.prompt_ids), seed)
        return Step(tuple(tokens), finish)

    def _assembler(self) -> TextAssembler:
        """Start the text; earlier output at the end of the prompt ids is taken in first."""
        text = TextAssembler(self.prepared.request.stop)
        extension = self.prepared.request.extension
        if extension is not None and extension.produced:
            earlier = self.prepared.prompt_ids[-extension.produced :]
            special = self._vocabulary.special
            text.prime([self._vocabulary.pieces[i] for i in earlier if i not in special])
        return text

    async def _save(self, slot: int) -> None:
        """Save the slot's KV state; without room for it the suspension has no handle."""
        files = self._deps.files
        handle = files.new_handle()
        try:
            tokens = await self._deps.engine.save(slot, files.file_name(handle))
            snapshot = await files.keep(handle, tokens)
        except EngineError:
            await files.discard(handle)
            snapshot = None
        self._deps.metrics.snapshots_changed(files.count, files.total_bytes)
        self._settle(handle if snapshot else None, snapshot.size if snapshot else 0)

    def _settle(self, handle: str | None, size: int) -> None:
        self._deps.metrics.suspended(saved=handle is not None)
        if self._suspending is not None and not self._suspending.done():
            ids = tuple(self.ids)
            self._suspending.set_result(
                Suspension(handle, size, self.prepared.prompt_ids, ids, self._text.text)
            )

    @property
    def _request_id(self) -> str:
        extension = self.prepared.request.extension
        return extension.request_id if extension is not None else ""


async def _finishing(work: Coroutine[Any, Any, None]) -> None:
    """Let the work finish even if the caller is cancelled: a slot in the middle of a save must not be reused.

    The work is bounded by the engine's own time limit.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
