"""A backend and a scheduler in memory, for tests of the pool and of the life of a generation."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from gateway.inference.errors import BackendError
from gateway.inference.model import (
    Alternative,
    BackendRequest,
    CachedPrompt,
    Capabilities,
    Checkpoint,
    KvState,
    Prompt,
    ReplicaInfo,
    Stopped,
    StopReason,
    StreamItem,
    Token,
)
from services.chassis.chat import ChatMessage, ToolDefinition
from services.chassis.dispatch.scheduling import Completion, DispatchGrant, Interrupt, Submission
from services.chassis.rpc.errors import KernelError, ServiceUnavailable

PLAIN = ReplicaInfo(model="m", max_total_tokens=1000, slots=4, max_batch_total_tokens=4000)
WITH_KV = replace(PLAIN, capabilities=Capabilities(kv_snapshot=True, token_prompts=True))


class FakeBackend:
    """Gives out `pieces`, from where the emitted text of a job ends; tests steer it through its fields."""

    def __init__(
        self, name: str = "r0", *, pieces: Sequence[str] = ("a ", "b ", "c "), info: ReplicaInfo = PLAIN
    ) -> None:
        self.name = name
        self.pieces = list(pieces)
        self.details = info
        self.up = True
        self.cached: int | None = None
        """What each run tells of its cache; None: nothing."""
        self.waiting: int | None = None
        """What it tells of its queue."""
        self.broken: BackendError | None = None
        """Raised by every question."""
        self.faults: list[tuple[int, BackendError]] = []
        """Per run, in order: after how many tokens it fails, and how."""
        self.permits: asyncio.Semaphore | None = None
        """Tokens it may give out; None: all at once."""
        self.suspend_fault: BackendError | None = None
        self.forget_fault: BackendError | None = None
        self.jobs: list[BackendRequest] = []
        self.kept: set[str] = set()
        self.running = 0
        self.probes = 0
        self.closed = False
        self._suspending: dict[str, asyncio.Event] = {}

    async def info(self) -> ReplicaInfo:
        """Tell what it serves."""
        self._ask()
        return self.details

    async def healthy(self) -> bool:
        """Tell whether it takes calls."""
        self.probes += 1
        self._ask()
        return self.up

    async def queue_size(self) -> int | None:
        """Tell how many wait."""
        return self.waiting

    async def render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition] = ()) -> Prompt:  # noqa: ARG002 - the port's
        """Count words."""
        self._ask()
        text = "".join(f"{message.role.value}: {message.content}\n" for message in messages)
        return Prompt(text, len(text.split()))

    async def measure(self, text: str, *, content: bool = False) -> Prompt:  # noqa: ARG002 - the port's
        """Count words."""
        self._ask()
        return Prompt(text, len(text.split()))

    async def stream(self, job: BackendRequest) -> AsyncGenerator[StreamItem, None]:
        """Go on with the answer."""
        self.jobs.append(job)
        fault = self.faults.pop(0) if self.faults else None
        stopping = self._suspending[job.run_id] = asyncio.Event()
        at, given = self._position(job.emitted_text), 0
        self.running += 1
        try:
            if self.cached is not None:
                yield CachedPrompt(self.cached)
            while given < job.max_new_tokens and at < len(self.pieces):
                if fault is not None and given == fault[0]:
                    raise fault[1]
                if not await self._permitted(stopping):
                    yield Stopped(StopReason.SUSPENDED)
                    return
                told = job.logprobs or job.top_alternatives
                chosen = Alternative(at, self.pieces[at], -0.25) if told else None
                yield Token(at, self.pieces[at], likely(at, job.top_alternatives), chosen)
                at, given = at + 1, given + 1
            if fault is not None:
                raise fault[1]
            yield Stopped(StopReason.END if at == len(self.pieces) else StopReason.LENGTH, 3)
        finally:
            self.running -= 1
            self._suspending.pop(job.run_id, None)

    async def suspend(self, run_id: str) -> KvState | None:
        """Stop a run at the next token."""
        if self.suspend_fault is not None:
            raise self.suspend_fault
        stopping = self._suspending.get(run_id)
        if stopping is None:
            return None
        stopping.set()
        handle = f"kv{len(self.jobs)}"
        self.kept.add(handle)
        return KvState(handle, self.name)

    async def forget(self, kv: KvState) -> None:
        """Drop a kept state."""
        if self.forget_fault is not None:
            raise self.forget_fault
        self.kept.discard(kv.handle)

    async def close(self) -> None:
        """Note it."""
        self.closed = True

    def _ask(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _position(self, emitted: str) -> int:
        at = 0
        while emitted:
            if not emitted.startswith(self.pieces[at]):
                raise AssertionError(f"the job continues {emitted!r}, which is not the answer")
            emitted, at = emitted.removeprefix(self.pieces[at]), at + 1
        return at

    async def _permitted(self, stopping: asyncio.Event) -> bool:
        if stopping.is_set():
            return False
        if self.permits is None:
            return True
        waits = [asyncio.ensure_future(self.permits.acquire()), asyncio.ensure_future(stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return not stopping.is_set()
        finally:
            for wait in waits:
                wait.cancel()


def likely(number: int, count: int) -> tuple[Alternative, ...]:
    """Return the likeliest tokens at a place of every answer."""
    return tuple(Alternative(number + rank, f"w{number + rank} ", -0.5 - rank) for rank in range(count))


class FakeTicket:
    """A call in the hands of a FakeDispatcher."""

    def __init__(self, call: Submission, replica: str | None) -> None:
        self.call = call
        self.replica = replica
        """Granted at once whenever the call waits; None: a test grants."""
        self.tokens = 0
        self.cached: list[int] = []
        self.yields: list[tuple[int, bool, str]] = []
        self.ends: list[tuple[Completion, int]] = []
        self._wait_again()

    async def granted(self) -> DispatchGrant:
        """Wait for the next grant."""
        return await asyncio.shield(self._grant)

    async def interrupted(self) -> Interrupt:
        """Wait for an interrupt."""
        return await asyncio.shield(self._interrupt)

    def progress(self, tokens: int, cached_prompt_tokens: int | None = None) -> None:
        """Count."""
        self.tokens += tokens
        if cached_prompt_tokens is not None:
            self.cached.append(cached_prompt_tokens)

    def yielded(self, tokens_done: int, *, replica_lost: bool, kv_replica: str = "") -> None:
        """Wait again."""
        self.yields.append((tokens_done, replica_lost, kv_replica))
        self._wait_again()

    def ended(
        self, completion: Completion, tokens_done: int, cached_prompt_tokens: int | None = None
    ) -> None:
        """Note the end."""
        self.ends.append((completion, tokens_done))
        if cached_prompt_tokens is not None:
            self.cached.append(cached_prompt_tokens)

    def grant(self, replica: str, max_new_tokens: int = 0) -> None:
        """Grant a replica, for at most so many tokens unless 0."""
        self._grant.set_result(DispatchGrant(replica, 0, max_new_tokens))

    def refuse(self, error: KernelError) -> None:
        """End the wait with an error."""
        self._grant.set_exception(error)

    def interrupt(self, interrupt: Interrupt) -> None:
        """Ask for the call back. Once a grant."""
        if not self._interrupt.done():
            self._interrupt.set_result(interrupt)

    def _wait_again(self) -> None:
        loop = asyncio.get_running_loop()
        self._grant: asyncio.Future[DispatchGrant] = loop.create_future()
        self._interrupt: asyncio.Future[Interrupt] = loop.create_future()
        if self.replica is not None:
            self.grant(self.replica)


class FakeDispatcher:
    """Grants `replica` to everybody at once, or leaves it to the test when that is None."""

    def __init__(self, replica: str | None = "r0") -> None:
        self.replica = replica
        self.tickets: list[FakeTicket] = []
        self.announced: list[tuple[str, bool]] = []
        self.queues: list[int | None] = []

    def submit(self, call: Submission) -> FakeTicket:
        """Take a call."""
        ticket = FakeTicket(call, self.replica)
        self.tickets.append(ticket)
        return ticket

    def announce(
        self,
        replica: str,
        info: ReplicaInfo,  # noqa: ARG002 - the port's
        *,
        up: bool,
        queue_size: int | None = None,
    ) -> None:
        """Note what a replica can take."""
        self.announced.append((replica, up))
        self.queues.append(queue_size)


class FakeCheckpoints:
    """Keeps checkpoints by call; `down` makes every operation fail as the real one does."""

    def __init__(self) -> None:
        self.saved: dict[str, Checkpoint] = {}
        self.saves = 0
        self.down = False

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keep one."""
        self._reach()
        self.saves += 1
        self.saved[checkpoint.call] = checkpoint

    async def load(self, call: str) -> Checkpoint | None:
        """Read one."""
        return None if self.down else self.saved.get(call)

    async def delete(self, call: str) -> None:
        """Drop one."""
        self._reach()
        self.saved.pop(call, None)

    def _reach(self) -> None:
        if self.down:
            raise ServiceUnavailable("the context service is away")


class RecordingMetrics:
    """What inference recorded, as (name, arguments)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, tuple[Any, ...]]] = []

    def waited(self, *values: Any) -> None:
        """Record."""
        self.seen.append(("waited", values))

    def finished(self, *values: Any) -> None:
        """Record."""
        self.seen.append(("finished", values))

    def first_token(self, *values: Any) -> None:
        """Record."""
        self.seen.append(("first_token", values))

    def suspended(self, *values: Any) -> None:
        """Record."""
        self.seen.append(("suspended", values))

    def checkpointed(self, *values: Any) -> None:
        """Record."""
        self.seen.append(("checkpointed", values))

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of all records of a name."""
        return [values for each, values in self.seen if each == name]
