"""Drives one generation: prepare, wait for a grant, generate, yield when asked, go on elsewhere, finish."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from enum import Enum
from math import inf

from gateway.inference.core import prefixes, prompt_plan, replay
from gateway.inference.core.culprits import Work
from gateway.inference.core.evidence import Source, cause
from gateway.inference.core.pacing import ReportPace
from gateway.inference.core.prompt_length import check_length
from gateway.inference.core.questions import Question
from gateway.inference.errors import BackendBroken, BackendError, UnmarkedEnd
from gateway.inference.model import (
    Answer,
    BackendRequest,
    CachedPrompt,
    Checkpoint,
    Constraint,
    FinishReason,
    Prompt,
    PromptIds,
    ReplicaInfo,
    ResumePoint,
    Stopped,
    StopReason,
    SuspendReason,
    Timings,
    Token,
    ToolChoice,
    Usage,
)
from gateway.inference.ports import Backend, CheckpointStore, Ticket
from gateway.inference.service import eligibility
from gateway.inference.service.answers import hold, message_of
from gateway.inference.service.asking import next_request
from gateway.inference.service.dependencies import Dependencies
from gateway.inference.service.failures import check_failures, odd_answer, refusals
from gateway.inference.service.generation import Generation
from gateway.inference.service.replicas import LiveReplica
from gateway.inference.service.saving import Saving
from gateway.inference.service.trials import Run
from services.chassis.chat import ToolCall, ToolDefinition
from services.chassis.dispatch.scheduling import AgentFacts, Completion, DispatchGrant, Interrupt, Submission
from services.chassis.rpc.errors import Cancelled, KernelError


class _RunEnd(Enum):
    """How a run on one replica ended."""

    FINISHED = "finished"
    PREEMPTED = "preempted"
    LOST = "lost"


class Runner:
    """The producer of one generation. `run` never raises a KernelError: it ends the generation with it."""

    def __init__(
        self,
        deps: Dependencies,
        generation: Generation,
        agent: AgentFacts,
        checkpoints: CheckpointStore,
        resume: ResumePoint | None,
    ) -> None:
        self._deps = deps
        self._gen = generation
        self._agent = agent
        self._saving = Saving(deps, generation, checkpoints)
        self._resume = resume
        self._constraint: Constraint | None = generation.spec.constraint
        self._question: Question | None = None
        """What the output is bound to; None: to nothing, and no tool is shown."""
        self._max_tokens = self._backend_prompt_tokens = self._unmarked_at = 0
        self._preemptible = False
        self._ticket: Ticket | None = None
        self._stop_reason = StopReason.END
        self._stop_string = ""
        """As the backend tells it, when it cut the string off itself."""
        self._tool_calls: tuple[ToolCall, ...] = ()
        self._cached_tokens: int | None = None
        self._cached_unreported: int | None = None
        self._wait = self._run = 0.0
        self._first_token: float | None = None
        self._preemptions = self._recoveries = 0
        self._replica = self._failure = ""
        self._source: Source = (generation.key.tenant, agent.program or generation.key.agent)
        self._work = Work.of(generation.key.tenant, self._source, generation.spec)
        self._unreported = 0
        config = deps.config
        self._reports = ReportPace(config.progress_tokens, config.progress_seconds, config.quantum_seconds)

    async def run(self) -> None:
        """Produce the generation to its end."""
        completion = Completion.FAILED
        try:
            await self._produce()
            completion = Completion.COMPLETED
        except KernelError as error:
            self._gen.fail(error)
            completion = Completion.CANCELLED if isinstance(error, Cancelled) else Completion.FAILED
        except asyncio.CancelledError:
            self._gen.fail(Cancelled("the call was cancelled"))
            completion = Completion.CANCELLED
            raise
        finally:
            if self._ticket is not None:
                self._ticket.ended(completion, len(self._gen.transcript), self._cached_unreported)
            self._settle(completion)

    async def _produce(self) -> None:
        await self._prepare()
        if self._complete():
            self._gen.admit(0.0)
        else:
            self._ticket = self._deps.dispatcher.submit(self._submission())
            await self._run_to_end(self._ticket)
        self._gen.finish(await self._compose())

    async def _prepare(self) -> None:
        """Check the request against the model, render it and take up what was produced before."""
        spec, gen = self._gen.spec, self._gen
        tools = prompt_plan.shown_tools(spec)
        if tools or spec.constraint is not None:
            self._question = Question.of(spec, tools)
            self._constraint = await self._deps.judge.find(self._question)
        checkpoint = await self._saving.load() if self._resume is not None else None
        # What an empty name stands for may have changed since: an answer is of one model.
        model = checkpoint.model if checkpoint is not None else spec.model
        wait = self._agent.hints.max_wait
        replica = await self._deps.pool.ready(model, inf if wait is None else wait)
        gen.model = replica.info.model
        check_length(spec, replica.info)
        if checkpoint is not None and checkpoint.prompt.text:
            gen.prompt, gen.prompt_ids, gen.kv = checkpoint.prompt, checkpoint.prompt_ids, checkpoint.kv
        else:
            gen.prompt = await self._render(replica, tools)
        if prompt_plan.native(gen.prompt):
            self._constraint = None  # the backend sees to it that a tool is called
        prompt_plan.check_constraint(self._constraint, replica.info)
        prompt_plan.check_penalties(spec.sampling, replica.info)
        info = replica.info
        if spec.fit_max_tokens:
            info = self._deps.pool.narrowest(info, gen.prompt.token_count)
        default = self._deps.config.default_max_tokens
        gen.prompt, self._max_tokens = prompt_plan.fitted(gen.prompt, spec, default, info)
        self._preemptible = prompt_plan.preemptible(gen.prompt, self._constraint, replica.info)
        if not spec.sampling.greedy:
            gen.seed = spec.sampling.seed if spec.sampling.seed is not None else int(gen.digest[:8], 16)
        if not gen.prompt_ids and replica.info.capabilities.token_prompts:
            gen.prompt_ids = gen.prompt.ids
        self._restore(checkpoint, self._resume, replica.info)

    async def _render(self, replica: LiveReplica, tools: Sequence[ToolDefinition]) -> Prompt:
        pool, gen, form = self._deps.pool, self._gen, prompt_plan.form_beside_tools(self._gen.spec)
        owner = (gen.key.tenant, gen.key.agent)
        async with self._deps.tokenizing.turn(owner, self._agent, gen.spec.size, gen.deadline):
            if gen.spec.messages:
                return await pool.render(replica, gen.spec.messages, tools, form, work=self._work)
            return await pool.measure(replica, gen.spec.prompt, work=self._work)

    def _restore(self, checkpoint: Checkpoint | None, resume: ResumePoint | None, info: ReplicaInfo) -> None:
        """Take up the longer of the checkpoint and what the caller has received.

        What the caller received was never retracted, so the two agree as far as both go. Ids without their
        text are of no use: then it starts over, and the caller skips what it has. So it does with ids of
        special tokens among them: a model may write such, but from a caller they would be a role's markers.
        """
        gen = self._gen
        if checkpoint is None and resume is None:
            return
        self._recoveries = 1
        received = len(resume.token_ids) if resume is not None else 0
        special = resume is not None and not info.special_ids.isdisjoint(resume.token_ids)
        if checkpoint is not None and len(checkpoint.pieces) >= received:
            gen.transcript.extend(checkpoint.token_ids, checkpoint.pieces, checkpoint.places)
        elif resume is not None and resume.text and received and not special:
            # Which part of the text each id stands for is not told, and need not be: nothing is delivered of
            # it again.
            gen.transcript.extend(resume.token_ids, [resume.text, *([""] * (received - 1))])
        gen.restored = len(gen.transcript)
        self._saving.restored(gen.restored)

    def _submission(self) -> Submission:
        gen = self._gen
        return Submission(
            key=gen.key,
            model=gen.model,
            prompt_tokens=gen.prompt.token_count,
            max_new_tokens=self._max_tokens,
            tokens_done=len(gen.transcript),
            agent=self._agent,
            arrived_at=gen.arrived_at,
            deadline=gen.deadline,
            preemptible=self._preemptible,
            step=gen.spec.step,
            gang=gen.spec.gang if self._resume is None else None,  # what is resumed has started already
            prefixes=prefixes.of(gen.key.tenant, gen.spec, gen.prompt),
        )

    async def _run_to_end(self, ticket: Ticket) -> None:
        """Run on what is granted until the generation is complete."""
        failures, waiting_since, admitted = 0, self._gen.arrived_at, False
        label = self._agent.hints.scheduling_class.value
        while True:
            grant = await eligibility.granted(self._deps.pool, self._gen, ticket)
            started = self._deps.clock.monotonic()
            wait = started - waiting_since
            self._wait += wait
            self._deps.metrics.waited(label, "dispatched", wait)
            if admitted:
                self._gen.resume(wait)
            else:
                self._gen.admit(wait)
                admitted = True
            before, text = len(self._gen.transcript), len(self._gen.transcript.text)
            end = await self._run_on(grant, ticket)
            if end is not _RunEnd.LOST and len(self._gen.transcript) > before:
                self._deps.pool.succeeded(grant.replica, self._source)
            waiting_since = self._deps.clock.monotonic()
            self._run += waiting_since - started
            if end is _RunEnd.FINISHED or self._complete():  # then only its end was lost
                return
            if end is _RunEnd.LOST:
                # Progress is text: thoughts and parts of tool calls come anew with each run.
                failures = 1 if len(self._gen.transcript.text) > text else failures + 1
                await self._lost(ticket, failures)
            else:
                failures = 0
                await self._preempted(ticket)

    def _complete(self) -> bool:
        """Whether the transcript alone shows that the answer has ended."""
        if self._gen.transcript.stopped:
            self._stop_reason = StopReason.STOP
        elif len(self._gen.transcript) >= self._max_tokens:
            self._stop_reason = StopReason.LENGTH
        else:
            return False
        return True

    async def _preempted(self, ticket: Ticket) -> None:
        self._preemptions += 1
        self._gen.suspend(SuspendReason.PREEMPTED)
        self._deps.metrics.suspended(SuspendReason.PREEMPTED.value)
        self._give_back(ticket, self._gen.kv.replica if self._gen.kv is not None else "")
        if self._constraint is None:
            self._saving.save()

    async def _lost(self, ticket: Ticket, failures: int) -> None:
        check_failures(failures, self._deps.config.max_failures, self._failure, self._recoveries)
        self._recoveries += 1
        self._gen.suspend(SuspendReason.BACKEND_LOST)
        self._deps.metrics.suspended(SuspendReason.BACKEND_LOST.value)
        self._give_back(ticket, lost=True)
        await asyncio.sleep(self._deps.config.failure_pause * 2 ** (failures - 1))
        await self._check_killed()  # some servers take a moment to die

    async def _check_killed(self) -> None:
        """Find out whether the replica has died at work. Raises RequestPoisoned when this request did it."""
        await self._deps.pool.trials.look(self._replica)
        self._deps.pool.trials.check(self._work)

    async def _run_on(self, grant: DispatchGrant, ticket: Ticket) -> _RunEnd:
        """Generate on one replica until the end, a preemption or a failure."""
        backend = self._deps.pool.backend(grant.replica)
        info = await eligibility.identified(self._deps.pool, self._gen, grant.replica)
        if backend is None or info is None:
            return _RunEnd.LOST
        if (problem := eligibility.obstacle(self._gen, info, self._max_tokens)) is not None:
            return self._elsewhere(problem)
        self._replica = grant.replica
        now = self._deps.clock.monotonic()
        self._reports.begin(grant.quantum_tokens, now)
        self._saving.begin(now)
        request = next_request(
            self._gen,
            backend.name,
            info,
            constraint=self._constraint,
            max_tokens=self._max_tokens,
            limit=grant.max_new_tokens,
        )
        consume = asyncio.create_task(self._work_on(backend, info.instance, request, ticket))
        watch = asyncio.create_task(ticket.interrupted())
        replaced = asyncio.create_task(self._deps.pool.replaced(grant.replica, info))
        try:
            with refusals():
                await asyncio.wait({consume, watch, replaced}, return_when=asyncio.FIRST_COMPLETED)
                if consume.done():
                    consume.result()
                    return self._ended(request)
                if replaced.done():
                    return self._elsewhere(f"the backend of model {self._gen.model} serves another one")
                if watch.result() is Interrupt.REVOKE:
                    raise Cancelled("the call was cancelled by the kernel")
                return await self._stop(backend, request, consume)
        except BackendError as error:
            return await self._failed(grant.replica, error)
        finally:
            for task in (consume, watch, replaced):
                task.cancel()
            await asyncio.wait({consume, watch, replaced})

    async def _failed(self, replica: str, error: BackendError) -> _RunEnd:
        """Tell the pool. Raises BackendFailed for an odd answer of a replica that tells well of itself.

        A refused key or a model that is gone shows there too.
        """
        pool, at = self._deps.pool, len(self._gen.transcript)
        if isinstance(error, UnmarkedEnd) and at:
            # Some servers never mark the end. An answer is whole when it ends there once more.
            if at == self._unmarked_at:
                self._stop_reason = StopReason.END
                return _RunEnd.FINISHED
            self._unmarked_at = at
        pool.failed(replica, error, self._source)
        self._failure = cause(error)
        await self._check_killed()
        if isinstance(error, BackendBroken) and await pool.identify(replica) is not None:
            raise odd_answer(error) from error
        return _RunEnd.LOST

    def _elsewhere(self, problem: str) -> _RunEnd:
        eligibility.move_on(self._deps.pool, self._gen, self._max_tokens, problem)
        return _RunEnd.LOST

    def _ended(self, request: BackendRequest) -> _RunEnd:
        """Say how a stream ended that nobody stopped: with the answer, or with the room kept for it."""
        if self._stop_reason is StopReason.SUSPENDED:
            self._failure = "the backend stopped a run that nobody here stopped"
            return _RunEnd.LOST
        unfinished = self._stop_reason is StopReason.LENGTH and len(self._gen.transcript) < self._max_tokens
        if unfinished and request.partial:
            self._gen.kv = None
            return _RunEnd.PREEMPTED
        return _RunEnd.FINISHED

    async def _stop(self, backend: Backend, request: BackendRequest, consume: asyncio.Task[None]) -> _RunEnd:
        """Take the run off its replica at a token boundary, keeping its state where the backend can."""
        info = self._deps.pool.info(backend.name)
        self._gen.kv = None  # of an earlier stop: it lacks what this run has brought
        if info is None or not info.capabilities.kv_snapshot:
            return _RunEnd.PREEMPTED
        try:
            async with asyncio.timeout(self._deps.config.suspend_timeout):
                kept = await backend.suspend(request.run_id)
                # The kept state holds every token up to the boundary. Going on from it with fewer of them
                # would repeat some, so the stream is read to its end first.
                await asyncio.shield(consume)
        except TimeoutError:
            return _RunEnd.PREEMPTED
        if self._stop_reason is not StopReason.SUSPENDED:  # it ended by itself before the stop arrived
            return _RunEnd.FINISHED
        self._gen.kv = kept
        return _RunEnd.PREEMPTED

    async def _work_on(
        self, backend: Backend, instance: str, request: BackendRequest, ticket: Ticket
    ) -> None:
        async with self._deps.pool.trials.at_work(backend.name, instance, self._work) as run:
            await self._consume(backend, request, ticket, run)

    async def _consume(self, backend: Backend, request: BackendRequest, ticket: Ticket, run: Run) -> None:
        """Move what the backend generates into the transcript. The hot path."""
        gen = self._gen
        # Text that the request does not go on from comes again, and has been delivered already.
        known = gen.transcript.text.removeprefix(request.emitted_text)
        began = len(gen.transcript)
        stream = backend.stream(request)
        async with aclosing(replay.skip_known_prefix(known, stream) if known else stream) as items:
            async for item in items:
                if type(item) is Token:
                    if item.text and len(gen.transcript) >= self._max_tokens:
                        self._stop_reason = StopReason.LENGTH  # the backend gives more than was asked for
                        return
                    gen.append(item.id, item.text, item.alternatives, item.chosen)
                    self._unreported += 1
                    if self._first_token is None:
                        self._note_first_token()
                    if gen.transcript.stopped:  # before a checkpoint, which would not tell that it has ended
                        self._stop_reason = StopReason.STOP
                        return
                    self._keep_up(ticket, run, began)
                elif isinstance(item, PromptIds):
                    gen.prompt_ids = item.ids
                elif isinstance(item, CachedPrompt):
                    self._note_cached(item.tokens)
                elif isinstance(item, Stopped):
                    self._note_stop(request, item)

    def _note_stop(self, request: BackendRequest, item: Stopped) -> None:
        self._stop_reason = item.reason
        self._stop_string = item.stop_string if item.stop_string in self._gen.spec.stop else ""
        self._tool_calls = item.tool_calls
        if not request.emitted_text:
            self._backend_prompt_tokens = item.prompt_tokens

    def _note_cached(self, tokens: int) -> None:
        """Keep for the caller what the first run found, and for the scheduler what each run does."""
        self._cached_unreported = tokens
        if self._cached_tokens is None:
            self._cached_tokens = tokens

    def _note_first_token(self) -> None:
        self._first_token = self._deps.clock.monotonic() - self._gen.arrived_at
        self._deps.metrics.first_token(self._agent.hints.scheduling_class.value, self._first_token)

    def _keep_up(self, ticket: Ticket, run: Run, began: int) -> None:
        """Tell the scheduler, and save, where that is due by now."""
        tokens, now = len(self._gen.transcript), self._deps.clock.monotonic()
        if tokens - began == self._deps.config.progress_tokens:
            run.proven()
        if self._reports.due(tokens - began, self._unreported, now):
            self._tell(ticket)
        if self._constraint is None:
            self._saving.keep_up(tokens, now)

    def _give_back(self, ticket: Ticket, kv_replica: str = "", *, lost: bool = False) -> None:
        if self._cached_unreported is not None:  # which only a report can tell
            self._tell(ticket)
        self._unreported = 0
        ticket.yielded(len(self._gen.transcript), replica_lost=lost, kv_replica=kv_replica)

    def _tell(self, ticket: Ticket) -> None:
        ticket.progress(self._unreported, self._cached_unreported)
        self._unreported, self._cached_unreported = 0, None

    async def _compose(self) -> Answer:
        """Make the answer of a complete generation. Raises ConstraintUnmet."""
        gen = self._gen
        gen.transcript.release_all()
        text = gen.transcript.text
        complete = self._stop_reason is not StopReason.LENGTH
        accepts_call = None
        if complete and self._question is not None:
            forced = prompt_plan.native(gen.prompt) and gen.spec.tool_choice is ToolChoice.REQUIRED
            bound, calls = self._constraint is not None, self._tool_calls if forced else ()
            accepts_call = await hold(self._deps.judge, self._question, text if bound else None, calls)
        message = message_of(
            gen.spec, gen.prompt, text, self._tool_calls, complete=complete, accepts_call=accepts_call
        )
        reason = FinishReason.STOP if complete else FinishReason.LENGTH
        return Answer(
            reason=FinishReason.TOOL_CALLS if message.tool_calls else reason,
            message=message,
            usage=self._usage(),
            timings=Timings(
                wait=self._wait,
                run=self._run,
                time_to_first_token=self._first_token or 0.0,
                preemption_count=self._preemptions,
                recovery_count=self._recoveries,
                seed=gen.seed,
                replica=self._replica,
            ),
            model=gen.model,
            stop_string=gen.transcript.stop_string or self._stop_string,
        )

    def _usage(self) -> Usage:
        prompt = self._gen.prompt
        told = self._backend_prompt_tokens if prompt.estimated else 0
        return Usage(told or prompt.token_count, len(self._gen.transcript), self._cached_tokens or 0)

    def _settle(self, completion: Completion) -> None:
        gen = self._gen
        label = self._agent.hints.scheduling_class.value
        seconds = self._deps.clock.monotonic() - gen.arrived_at
        self._deps.metrics.finished(label, completion.value, seconds, len(gen.transcript))
        if completion is Completion.COMPLETED:
            self._deps.pool.trials.finished(self._work)
            self._saving.forget(gen.kv)
