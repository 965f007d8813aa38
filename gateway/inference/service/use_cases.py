"""Use cases of inference: start or join a generation, follow it, cancel it, count, embed, list."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from gateway.errors import BackendFailed, GenerationNotFound, ModelNotFound
from gateway.inference.core import embedding
from gateway.inference.core.conversation import in_order
from gateway.inference.core.culprits import Work
from gateway.inference.core.kept import MIB, KeepLimits, KeptGenerations
from gateway.inference.core.loads import Loads
from gateway.inference.core.prompt_length import check_texts, kept_texts
from gateway.inference.core.prompt_plan import check_request
from gateway.inference.core.questions import Question
from gateway.inference.model import Answer, CountSpec, Event, GenerationSpec, ReplicaInfo, ResumePoint
from gateway.inference.ports import CheckpointStore, ConstraintJudge, Dispatcher, InferenceMetrics
from gateway.inference.service.dependencies import Dependencies, RunnerConfig
from gateway.inference.service.generation import Generation
from gateway.inference.service.replicas import ReplicaPool
from gateway.inference.service.runner import Runner
from gateway.inference.service.tokenizing import TokenizingConfig, TokenizingGate
from services.chassis.aside import aside
from services.chassis.auth.identity import Caller, caller_or_none
from services.chassis.dispatch.errors import QueueFull, TooManyCalls
from services.chassis.dispatch.scheduling import AgentFacts, CallKey
from services.chassis.gate import FairGate, GateConfig, Visitor
from services.chassis.joinable import JoinableRun, RunRegistry
from services.chassis.quotas import Cap, Level, Owner
from services.chassis.rpc.errors import (
    AgentInactive,
    Cancelled,
    DeadlineExceeded,
    IdempotencyMismatch,
    Internal,
    InvalidRequest,
    KernelError,
)
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger
from services.chassis.shares import Shares, too_many

_log = logger(__name__)

EMBEDDING = GateConfig(
    running=2,
    running_per_tenant=2,
    running_per_tree=1,
    running_per_agent=1,
    waiting=512,
    waiting_per_tenant=256,
    waiting_per_tree=64,
    waiting_per_agent=32,
)
"""Texts are embedded in threads of this process, by turns."""
CLOSE_SECONDS = 5.0
"""How long a gateway that shuts down waits for what it stopped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InferenceConfig:
    """Limits of the inference service."""

    calls: Cap = Cap.of(256)
    """Generations that may wait or run at once."""
    bytes_per_program: int = 64 * MIB
    """Memory of the requests of an agent and its descendants that may wait or run at once."""
    bytes_per_tenant: int = 256 * MIB
    """Memory of the requests of a tenant that may wait or run at once."""
    bytes_under_way: int = 512 * MIB
    """Memory of all requests that may wait or run at once."""
    keep: KeepLimits = field(default_factory=KeepLimits)
    """How much of what has ended can be asked for again, and for how long."""
    runner: RunnerConfig = field(default_factory=RunnerConfig)
    tokenizing: TokenizingConfig = field(default_factory=TokenizingConfig)


class AgentDirectory(Protocol):
    """What the kernel knows about agents."""

    async def facts(self, caller: Caller) -> AgentFacts:
        """Return the scheduling facts of the calling agent."""
        ...


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model with the replicas that serve it right now."""

    info: ReplicaInfo
    replica_count: int
    is_default: bool


class InferenceUseCases:
    """Owns the generations of this gateway."""

    def __init__(
        self,
        *,
        pool: ReplicaPool,
        dispatcher: Dispatcher,
        judge: ConstraintJudge,
        checkpoints: Callable[[Caller], CheckpointStore],
        agents: AgentDirectory,
        metrics: InferenceMetrics,
        clock: Clock,
        config: InferenceConfig,
    ) -> None:
        self._pool = pool
        self._checkpoints = checkpoints
        self._agents = agents
        self._clock = clock
        self._config = config
        self._runs: RunRegistry[GenerationRun] = RunRegistry()
        self._loads = Loads(config.calls)
        self._embedding = FairGate(EMBEDDING)
        self._tokenizing = TokenizingGate(config.tokenizing)
        self.kept = KeptGenerations(config.keep)
        """Generations that have ended and can be asked for again."""
        self._background: set[asyncio.Task[None]] = set()
        self._deps = Dependencies(
            pool=pool,
            dispatcher=dispatcher,
            judge=judge,
            tokenizing=self._tokenizing,
            metrics=metrics,
            clock=clock,
            config=config.runner,
            spawn=self._spawn,
        )

    @property
    def under_way(self) -> Shares:
        """Generations that wait or run, by whom they are charged to."""
        return self._loads.calls

    @property
    def running(self) -> int:
        """Generations that wait or run."""
        return len(self._runs)

    async def generate(
        self, caller: Caller, spec: GenerationSpec, request_id: str, resume: ResumePoint | None
    ) -> tuple[str, Answer]:
        """Generate one answer; returns the generation's name with it."""
        while True:
            generation = await self._join(caller, spec, request_id, resume)
            with self._attached(generation, caller.deadline):
                try:
                    return generation.name, await generation.answer()
                except DeadlineExceeded:
                    if not self._anothers_deadline(caller):
                        raise

    async def stream(
        self, caller: Caller, spec: GenerationSpec, request_id: str, resume: ResumePoint | None
    ) -> AsyncGenerator[tuple[str, Event], None]:
        """Generate and follow the events, each with the generation's name."""
        after, told = resume.after_sequence if resume is not None else 0, False
        while True:
            generation = await self._join(caller, spec, request_id, resume)
            with self._attached(generation, caller.deadline):
                try:
                    async for event in generation.events(after):
                        told = True
                        yield generation.name, event
                except DeadlineExceeded:
                    if told or not self._anothers_deadline(caller):
                        raise
                else:
                    return

    def _anothers_deadline(self, caller: Caller) -> bool:
        """Whether a run that this caller joined ended by the deadline of who began it: then it starts anew.

        The scheduler is told the first caller's deadline, and a request is often sent again because of it.
        """
        return self._clock.monotonic() < caller.deadline

    async def watch(self, tenant: str, agent: str, call: str, after: int) -> AsyncGenerator[Event, None]:
        """Follow a generation of this gateway. Raises GenerationNotFound."""
        async for event in self._find(tenant, agent, call).events(after):
            yield event

    def cancel(self, tenant: str, agent: str, call: str) -> bool:
        """Cancel a generation; tells whether it was still going. Raises GenerationNotFound."""
        generation = self._find(tenant, agent, call)
        if generation.ended:
            return False
        self._stop(generation, Cancelled("the generation was cancelled"))
        return True

    def end_agent(self, tenant: str, agent: str) -> None:
        """End all generations of an agent that was killed: places, slots and backends are free at once."""
        for run in self._runs.of_agent(tenant, agent):
            run.stop(AgentInactive(f"agents/{agent} was killed"))

    async def count(self, caller: Caller, asked: CountSpec) -> tuple[int, list[int]]:
        """Count the tokens of a chat, or of each text alone.

        A chat that cannot fit its model is refused by its length, as a prompt is. Texts are counted one by
        one, so that others have their turns between them.
        """
        if not asked.messages and not asked.texts:
            raise InvalidRequest.field("messages", "messages or texts are required")
        facts = await self._agents.facts(caller)
        with self._charged(caller, facts, asked.size):
            if asked.tools:  # a server that counts a chat may compile the tools that it shows
                await self._deps.judge.find(Question.of(GenerationSpec(), asked.tools))
            live = await self._pool.ready(asked.model, 1.0)
            owner = (caller.tenant, caller.agent)
            work = Work.of(caller.tenant, (caller.tenant, facts.program or caller.agent), asked)
            if not asked.texts:
                messages = in_order(asked.messages)
                check_texts(kept_texts(messages), live.info)
                async with self._tokenizing.turn(owner, facts, asked.size, caller.deadline):
                    told = await self._pool.render(live, messages, asked.tools, work=work)
                    return told.token_count, []
            counts = []
            for text in asked.texts:
                async with self._tokenizing.turn(owner, facts, len(text), caller.deadline):
                    told = await self._pool.measure(live, text, work=work, content=True)
                    counts.append(told.token_count)
            return 0, counts

    @contextmanager
    def _charged(self, caller: Caller, agent: AgentFacts, size: int) -> Iterator[None]:
        """Count a request that is no generation among what its agents have under way."""
        key = CallKey(caller.tenant, caller.agent, f"count-{secrets.token_hex(16)}")
        self._check_room(key, agent.program, size)
        self._loads.add(key, agent.program, size)
        try:
            yield
        finally:
            self._loads.remove(key)

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[str, list[list[float]]]:
        """Embed texts with the built-in model. Raises ModelNotFound for any other name."""
        if model not in {"", embedding.MODEL}:
            raise ModelNotFound(
                f"no embedding model {model!r}; served: {embedding.MODEL}", metadata={"model": model}
            )
        async with self._embedding.admit(Visitor.of(caller_or_none())):
            return embedding.MODEL, await aside(lambda: embedding.embed(texts))

    def models(self) -> list[ModelSummary]:
        """Return the models that are served right now, in the order of their names."""
        found: dict[str, ModelSummary] = {}
        default = self._pool.default_model()
        for live in self._pool.live():
            before = found.get(live.info.model)
            if before is None:
                found[live.info.model] = ModelSummary(live.info, 1, live.info.model == default)
            else:
                slots = before.info.slots + live.info.slots
                info = replace(before.info, slots=slots)
                found[live.info.model] = replace(before, info=info, replica_count=before.replica_count + 1)
        return [found[name] for name in sorted(found)]

    def known_models(self) -> tuple[frozenset[str], str]:
        """Return the models that can be asked for, also while their replicas are away, and the default."""
        return self._pool.known_models(), self._pool.default_model()

    async def close(self) -> None:
        """End every generation: their callers are told to come back."""
        for run in self._runs.every():
            run.stop(BackendFailed("the gateway is shutting down; send the call again", retry_after=0.5))
        await self._runs.drained(timeout=CLOSE_SECONDS)
        if self._background:
            await asyncio.wait(self._background, timeout=CLOSE_SECONDS)

    def forget_old(self) -> None:
        """Drop ended generations that are too old."""
        self.kept.expire(self._clock.monotonic())

    async def _join(
        self, caller: Caller, spec: GenerationSpec, request_id: str, resume: ResumePoint | None
    ) -> Generation:
        """Return the generation of this request: a known one, or a new one that is on its way."""
        arrived_at = self._clock.monotonic()
        check_request(spec)
        spec = replace(spec, messages=in_order(spec.messages))
        key = CallKey(caller.tenant, caller.agent, request_id or secrets.token_hex(16))
        digest = digest_of(spec, key.call)
        registered = await self._facts(caller, key)
        facts = replace(registered, hints=registered.hints.overlaid(spec.hints, registered.caps))
        known = self._known(key)
        if known is not None and known.digest != digest:
            raise IdempotencyMismatch(
                "another request was sent under this request_id; use a new one",
                metadata={"request_id": key.call},
            )
        if known is not None and not known.failed:
            return known
        size = spec.size + (resume.size if resume is not None else 0)
        self._check_room(key, facts.program, size)
        generation = Generation(key=key, digest=digest, spec=spec, arrived_at=arrived_at, clock=self._clock)
        generation.deadline = caller.deadline
        runner = Runner(self._deps, generation, facts, self._checkpoints(caller), resume)
        self._loads.add(key, facts.program, size)
        self._start(generation, runner)
        return generation

    async def _facts(self, caller: Caller, key: CallKey) -> AgentFacts:
        """Return the caller's facts when no stopped run of this name has to leave the scheduler any more.

        The facts are asked for last: a call that starts after its agent was killed would not end.
        """
        while True:
            await self._runs.settled(key)
            facts = await self._agents.facts(caller)
            if not self._runs.unsettled(key):
                return facts

    def room(self, tenant: str, agent: str) -> tuple[int, int]:
        """Return how many generations an agent may have under way, and how many more it could begin now."""
        limit = self._config.calls.agent
        return limit, max(0, limit - self._runs.count(tenant, agent))

    def _check_room(self, key: CallKey, program: str, size: int) -> None:
        self._loads.calls.check(Owner(key.tenant, key.agent, program or key.agent))
        self._check_bytes(key.tenant, program, size)

    def _check_bytes(self, tenant: str, program: str, size: int) -> None:
        if self._loads.of_tenant(tenant) + size > self._config.bytes_per_tenant:
            raise too_many(
                Owner(tenant, "", ""), Level.TENANT, self._config.bytes_per_tenant, "bytes", retry_after=0.5
            )
        if self._loads.of(tenant, program) + size > self._config.bytes_per_program:
            raise TooManyCalls(
                f"the requests of agents/{program} and its descendants that are under way hold as much text "
                "as they may; wait for some",
                retry_after=0.5,
            )
        if self._loads.total + size > self._config.bytes_under_way:
            raise QueueFull("the gateway holds as much text as it may; come back later", retry_after=1.0)

    def _start(self, generation: Generation, runner: Runner) -> None:
        key = generation.key
        self.kept.drop(key)
        self._runs.begin(GenerationRun(generation, self._ended), runner.run(), f"generation {key.call}")

    def _ended(self, generation: Generation) -> None:
        """Keep what late readers need of a generation, and nothing else of it."""
        self._loads.remove(generation.key)
        generation.release()
        self.kept.add(generation)

    def _known(self, key: CallKey) -> Generation | None:
        run = self._runs.get(key)
        return self.kept.get(key) if run is None else run.generation

    @contextmanager
    def _attached(self, generation: Generation, deadline: float) -> Iterator[None]:
        """Keep a generation going for the length of the block; the last caller's going ends it."""
        generation.deadline = max(generation.deadline, deadline)
        run = self._runs.get(generation.key)
        if run is None or run.generation is not generation:  # it is kept for its log only
            yield
            return
        with run.attach():
            yield

    def _stop(self, generation: Generation, error: KernelError) -> None:
        run = self._runs.get(generation.key)
        if run is not None and run.generation is generation:
            run.stop(error)

    def _find(self, tenant: str, agent: str, call: str) -> Generation:
        generation = self._known(CallKey(tenant, agent, call))
        if generation is None:
            raise GenerationNotFound(f"no generation agents/{agent}/generations/{call} here")
        return generation

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background_ended)
        return task

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.error("background work of a generation failed", exc=failure)


class GenerationRun(JoinableRun[KernelError]):
    """The work on one generation. Its callers hear of a stop at once, before the work has settled."""

    def __init__(self, generation: Generation, ended: Callable[[Generation], None]) -> None:
        super().__init__(generation.key, when_left=Cancelled("its caller went away"))
        self.generation = generation
        self._tell_end = ended

    @property
    def joinable(self) -> bool:
        """Whether a request with its identity gets its answer; one that failed is made again."""
        return super().joinable and not self.generation.failed

    def stop(self, reason: KernelError) -> None:
        """End the generation with an error; one that has ended is left to give its things back."""
        if not self.generation.ended:
            self.generation.fail(reason)
            super().stop(reason)

    def on_end(self) -> None:
        """Fail a generation that broke, and hand over what is left of it."""
        if not self.generation.ended:
            self.generation.fail(Internal("the generation broke; send the call again under a new request_id"))
        self._tell_end(self.generation)


def digest_of(spec: GenerationSpec, call: str) -> str:
    """Return a digest of what a request asks for.

    Equal for equal requests in every gateway of this version.
    """
    return hashlib.sha256(f"2\n{call}\n".encode() + orjson.dumps(spec)).hexdigest()
