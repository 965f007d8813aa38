"""The use cases of inference on backends and grants in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from gateway.inference.adapters.judges import ProcessJudge
from gateway.inference.core.circuit import CircuitConfig
from gateway.inference.model import Delta, Event, GenerationSpec
from gateway.inference.ports import Backend
from gateway.inference.service.dependencies import RunnerConfig
from gateway.inference.service.generation import Generation
from gateway.inference.service.replicas import PoolConfig, ReplicaPool
from gateway.inference.service.use_cases import InferenceConfig, InferenceUseCases
from services.chassis.auth.identity import Caller
from services.chassis.chat import ChatMessage, Role
from services.chassis.dispatch.scheduling import AgentFacts, Hints
from services.chassis.runtime.clock import Clock, SystemClock
from tests.fakes.backend import FakeCheckpoints, FakeDispatcher, FakeTicket, RecordingMetrics
from tests.fakes.waiting import until

QUICK = RunnerConfig(
    checkpoint_tokens=4,
    checkpoint_pause=0.0,
    progress_tokens=2,
    progress_seconds=0.0,
    quantum_seconds=0.0,
    max_failures=3,
    failure_pause=0.001,
    suspend_timeout=0.05,
)
PROBES = PoolConfig(healthy_interval=60.0, first_retry=0.001, longest_retry=0.01)


class OneHint:
    """Knows every agent, with the default hints."""

    async def facts(self, caller: Caller) -> AgentFacts:
        """Return the facts."""
        return AgentFacts(Hints(), program=caller.tree or caller.agent)


@dataclass
class Desk:
    """What a test works with."""

    use_cases: InferenceUseCases
    pool: ReplicaPool
    dispatcher: FakeDispatcher
    checkpoints: FakeCheckpoints
    metrics: RecordingMetrics

    @property
    def ticket(self) -> FakeTicket:
        """The newest call in the scheduler's hands."""
        return self.dispatcher.tickets[-1]

    @property
    def generations(self) -> list[Generation]:
        """Every generation that the gateway knows, under way or ended."""
        return [*(run.generation for run in self.use_cases._runs.every()), *self.use_cases.kept]

    async def submitted(self, count: int = 1) -> FakeTicket:
        """Wait until so many calls were submitted; returns the newest."""
        await until(lambda: len(self.dispatcher.tickets) >= count)
        return self.ticket

    def start(self, request_id: str = "g1", agent: str = "planner", **spec: Any) -> "Follower":
        """Send a streaming call."""
        return Follower(self, ask(**spec), request_id, Caller(agent, "acme"))


class Follower:
    """A caller that follows its stream in the background."""

    def __init__(
        self, desk: Desk, spec: GenerationSpec, request_id: str, caller: Caller, resume: Any = None
    ) -> None:
        self.events: list[Event] = []
        self._stream = desk.use_cases.stream(caller, spec, request_id, resume)
        self.task = asyncio.create_task(self._follow())

    @property
    def text(self) -> str:
        """What it was given so far."""
        return "".join(event.body.text for event in self.events if isinstance(event.body, Delta))

    @property
    def kinds(self) -> list[str]:
        """Kinds of the events so far."""
        return [type(event.body).__name__ for event in self.events]

    async def leave(self) -> None:
        """Go away, as a client whose connection breaks."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _follow(self) -> None:
        try:
            async for _, event in self._stream:
                self.events.append(event)
        finally:
            await self._stream.aclose()


def ask(**fields: Any) -> GenerationSpec:
    """Build what to generate: one user message unless told otherwise."""
    defaults: dict[str, Any] = {"messages": (ChatMessage(Role.USER, "hello"),), "max_tokens": 20}
    return GenerationSpec(**(defaults | fields))


@asynccontextmanager
async def inference(
    *backends: Backend,
    replica: str | None = "r0",
    config: RunnerConfig = QUICK,
    clock: Clock | None = None,
    circuit: CircuitConfig | None = None,
    checkpoints: FakeCheckpoints | None = None,
    **limits: Any,
) -> AsyncIterator[Desk]:
    """Run the use cases; `replica` is granted to every call at once, None leaves that to the test."""
    clock, checkpoints = clock or SystemClock(), checkpoints or FakeCheckpoints()
    dispatcher, metrics = FakeDispatcher(replica), RecordingMetrics()
    pool = ReplicaPool(
        backends,
        lambda name, info, up, queue: dispatcher.announce(name, info, up=up, queue_size=queue),
        replace(PROBES, circuit=circuit or PROBES.circuit),
        clock,
    )
    judge = ProcessJudge()
    use_cases = InferenceUseCases(
        pool=pool,
        dispatcher=dispatcher,
        judge=judge,
        checkpoints=lambda _caller: checkpoints,
        agents=OneHint(),
        metrics=metrics,
        clock=clock,
        config=InferenceConfig(runner=config, **limits),
    )
    watches = [asyncio.create_task(pool.watch(name)) for name in pool.names]
    try:
        await until(lambda: len(pool.live()) == len(backends))
        yield Desk(use_cases, pool, dispatcher, checkpoints, metrics)
    finally:
        await use_cases.close()
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        await judge.close()
