"""A generation through gateways that die, on backends that break off, preempted again and again."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gateway.inference.errors import BackendUnavailable
from gateway.inference.model import (
    Answer,
    BackendRequest,
    Delta,
    GenerationSpec,
    KvState,
    Prompt,
    ReplicaInfo,
    ResumePoint,
    StreamItem,
    Token,
)
from gateway.inference.ports import Backend
from services.chassis.auth.identity import Caller
from services.chassis.chat import ChatMessage, ToolDefinition
from services.chassis.dispatch.scheduling import Interrupt
from tests.fakes.backend import FakeCheckpoints
from tests.fakes.inference import Desk, Follower, inference


class FaultKind(Enum):
    """What happens to a generation."""

    PREEMPT = "preempt"  # goes on where it was, from the state that was kept
    FORGET = "forget"  # the same, but the kept state is gone
    MOVE = "move"  # preempted, goes on elsewhere
    LOSE = "lose"  # its backend breaks off, it goes on elsewhere
    GATEWAY = "gateway"  # its gateway dies; the caller sends the call again with what it has
    CONTEXT = "context"  # the keeper of checkpoints goes away, or comes back


@dataclass(frozen=True, slots=True)
class Fault:
    """Happens `after` tokens, counted from the fault before."""

    after: int
    kind: FaultKind


class Trial:
    """One generation with its faults."""

    def __init__(
        self, spec: GenerationSpec, name: str, faults: Sequence[Fault], backends: Sequence[Backend]
    ) -> None:
        self.ids: list[int] = []
        self.text = ""
        self.faults = list(faults)
        self.happened: list[FaultKind] = []
        self.jobs: list[BackendRequest] = []
        """Every stretch it ran, in order."""
        self._spec = spec
        self._name = name
        self._backends = [_Breaking(each, self) for each in backends]
        self._checkpoints = FakeCheckpoints()
        self._desk: Desk | None = None
        self._killed = asyncio.Event()
        self._tokens = 0

    async def run(self) -> Answer:
        """Follow it to its end, through as many gateways as it takes."""
        resume: ResumePoint | None = None
        while True:
            self._killed.clear()
            replica = self._backends[0].name
            async with inference(*self._backends, replica=replica, checkpoints=self._checkpoints) as desk:
                self._desk = desk
                follower = Follower(desk, self._spec, self._name, Caller("planner", "acme"), resume)
                killed = asyncio.create_task(self._killed.wait())
                await asyncio.wait({follower.task, killed}, return_when=asyncio.FIRST_COMPLETED)
                killed.cancel()
                dead = self._killed.is_set() and not follower.task.done()
                if dead:
                    await follower.leave()
            self._collect(follower)
            if not dead:
                await follower.task
                answer = follower.events[-1].body
                assert isinstance(answer, Answer)
                return answer
            resume = ResumePoint(len(self.ids), tuple(self.ids), self.text)

    def token(self, backend: str) -> None:
        """Count a token; what is due happens. Raises BackendUnavailable."""
        self._tokens += 1
        if not self.faults or self._tokens < self.faults[0].after:
            return
        self._tokens = 0
        kind = self.faults.pop(0).kind
        self.happened.append(kind)
        self._happen(kind, backend)

    def _happen(self, kind: FaultKind, backend: str) -> None:
        if self._desk is None:
            raise AssertionError("no gateway runs")
        ticket = self._desk.ticket
        elsewhere = next((each.name for each in self._backends if each.name != backend), backend)
        if kind is FaultKind.GATEWAY:
            self._killed.set()
        elif kind is FaultKind.CONTEXT:
            self._checkpoints.down = not self._checkpoints.down
        elif kind is FaultKind.LOSE:
            ticket.replica = elsewhere
            raise BackendUnavailable("it broke off")
        else:
            for each in self._backends:
                each.forgetful = kind is FaultKind.FORGET
            ticket.replica = elsewhere if kind is FaultKind.MOVE else backend
            ticket.interrupt(Interrupt.PREEMPT)

    def _collect(self, follower: Follower) -> None:
        for event in follower.events:
            if isinstance(event.body, Delta):
                self.ids.extend(event.body.token_ids)
                self.text += event.body.text
                assert event.sequence == len(self.ids)


class _Breaking:
    """A backend under which a trial's faults happen."""

    def __init__(self, inner: Backend, trial: Trial) -> None:
        self.forgetful = False
        self._inner = inner
        self._trial = trial

    @property
    def name(self) -> str:
        return self._inner.name

    async def info(self) -> ReplicaInfo:
        return await self._inner.info()

    async def healthy(self) -> bool:
        return await self._inner.healthy()

    async def queue_size(self) -> int | None:
        return await self._inner.queue_size()

    async def render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition] = ()) -> Prompt:
        return await self._inner.render(messages, tools)

    async def measure(self, text: str, *, content: bool = False) -> Prompt:
        return await self._inner.measure(text, content=content)

    async def stream(self, job: BackendRequest) -> AsyncGenerator[StreamItem, None]:
        self._trial.jobs.append(job)
        items: Any = self._inner.stream(job)
        async with aclosing(items) as stream:
            async for item in stream:
                yield item
                if isinstance(item, Token):
                    self._trial.token(self.name)

    async def suspend(self, run_id: str) -> KvState | None:
        kept = await self._inner.suspend(run_id)
        if kept is not None and self.forgetful:
            await self._inner.forget(kept)
        return kept

    async def forget(self, kv: KvState) -> None:
        await self._inner.forget(kv)

    async def close(self) -> None:
        await self._inner.close()
