"""Runs the agents of the demo and gathers what their answers are held against."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import aios
from aios import errors
from aios.agent import AgentResult, Step, ToolRun
from aios.kernel import Kernel
from aios.types.agents import Hints
from launcher.demo.checks import Evidence, fault
from launcher.demo.tasks import OFFERED, Cast, Task
from services.tgi_local.demo_model.asked import SYSTEM

TASK_SECONDS: Final = 60.0
"""The longest that one task may take."""
REFUSED: Final = "error: permission denied"
"""What a model reads of a call that the kernel refused for lack of a right."""
MOST_STEPS: Final = 6
MOST_TOKENS: Final = 160
"""Of one answer: the longest right ones name six files."""


class Worker(aios.Agent):
    """An agent of the demo: the small model with the kernel's tools."""

    system: ClassVar[str] = SYSTEM
    tools: ClassVar[Sequence[str]] = OFFERED
    max_steps: ClassVar[int] = MOST_STEPS
    max_tokens: ClassVar[int] = MOST_TOKENS
    hints: ClassVar[Hints | None] = Hints(max_wait=TASK_SECONDS)


@dataclass(slots=True)
class Done:
    """One finished task."""

    task: Task
    answer: str
    fault: str
    """What is wrong; empty: the answer is right."""
    turnaround: float
    """From the question to the last word of the answer. Unit: seconds."""

    @property
    def right(self) -> bool:
        """Whether all of it is right."""
        return not self.fault


@dataclass(slots=True)
class Act:
    """What is known about one agent while it works."""

    cast: Cast
    agent: str = ""
    """Its id; empty: its name."""
    state: str = "starts"
    done: list[Done] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Wait of each call of the model. Unit: seconds."""
    tokens: int = 0
    preemptions: int = 0
    recoveries: int = 0
    """Calls of the model that went on after a failure."""
    tool_calls: int = 0
    refusals: int = 0
    """Tool calls that the kernel refused for lack of a right."""

    @property
    def name(self) -> str:
        """The id that the kernel knows it by."""
        return self.agent or self.cast.name

    def count(self, step: Step) -> None:
        """Add one turn of the agent."""
        self.waits.append(step.answer.timings.wait)
        self.tokens += step.answer.usage.completion_tokens
        self.preemptions += step.answer.timings.preemption_count
        self.recoveries += step.answer.timings.recovery_count
        self.tool_calls += len(step.runs)
        self.refusals += refused(step.runs)


Changed = Callable[[Act, str], None]
"""Hears of every step of an agent."""
Solve = Callable[[Kernel, str, Callable[[Step], None]], Awaitable[AgentResult]]
"""Works on one task and tells every turn. Raises an AiosError."""


async def solve(kernel: Kernel, prompt: str, on_step: Callable[[Step], None]) -> AgentResult:
    """Work on a task as agents of the kernel do."""
    return await Worker(kernel, on_step=on_step).run(prompt, timeout=TASK_SECONDS)


@dataclass(frozen=True, slots=True)
class Way:
    """How agents work, and how strictly they are judged."""

    how: Solve = solve
    own_model: bool = True
    """Whether the demo's own model answers."""


async def perform(admin: Kernel, acts: Sequence[Act], changed: Changed, way: Way) -> float:
    """Let all agents work at once; returns the seconds it took.

    Raises an AiosError when they cannot begin.
    """
    kernels = await asyncio.gather(*(enter(admin, act) for act in acts))
    began = time.monotonic()
    await asyncio.gather(
        *(_play(kernel, act, changed, way) for kernel, act in zip(kernels, acts, strict=True))
    )
    return time.monotonic() - began


async def enter(admin: Kernel, act: Act) -> Kernel:
    """Register the agent and lay out what it finds when it starts."""
    kernel = admin.as_agent(await admin.agents.register(act.name, kind=act.cast.role))
    for path, text in act.cast.files.items():
        await kernel.files.write(path, text)
    for key, value in act.cast.notes.items():
        await kernel.memory.put(key, value)
    return kernel


async def _play(kernel: Kernel, act: Act, changed: Changed, way: Way) -> None:
    act.state = "works"
    for task in act.cast.tasks:
        await _work(kernel, act, task, changed, way)
    act.state = "done"


async def _work(kernel: Kernel, act: Act, task: Task, changed: Changed, way: Way) -> None:
    runs: list[ToolRun] = []

    def on_step(step: Step) -> None:
        act.count(step)
        runs.extend(step.runs)
        for run in step.runs:
            changed(act, f"{run.name}({run.arguments_json}) -> {run.result}")

    changed(act, task.prompt)
    began = time.monotonic()
    try:
        async with asyncio.timeout(TASK_SECONDS):
            result = await way.how(kernel, task.prompt, on_step)
        answer, ended = result.text, str(result.finish_reason)
    except errors.AiosError as error:
        answer, ended = "", f"failed: {error}"
    except TimeoutError:
        answer, ended = "", f"no answer within {TASK_SECONDS:.0f} s"
    turnaround = time.monotonic() - began
    seen = await _evidence(kernel, task, answer, ended, runs)
    wrong = fault(task, seen, own_model=way.own_model)
    act.done.append(Done(task, answer, wrong, turnaround))
    changed(act, f"WRONG ({wrong}): {answer}" if wrong else f"right: {answer}")


async def _evidence(kernel: Kernel, task: Task, answer: str, ended: str, runs: Sequence[ToolRun]) -> Evidence:
    """Gather what came of a task, also what it left behind in the kernel."""
    file, writes = await _file(kernel, task.file[0]) if task.file is not None else (None, 0)
    searches = [run.result for run in runs if run.name == "search_files"]
    return Evidence(
        answer=answer,
        ended=ended,
        refusals=refused(runs),
        told=[path for result in searches for path in result.split()],
        note=await _note(kernel, task.note[0]) if task.note is not None else None,
        file=file,
        writes=writes,
    )


def refused(runs: Sequence[ToolRun]) -> int:
    """Count the calls that the kernel refused for lack of a right."""
    return sum(run.result == REFUSED for run in runs)


async def _note(kernel: Kernel, key: str) -> str | None:
    try:
        return (await kernel.memory.get(key)).content
    except errors.NotFound:
        return None


async def _file(kernel: Kernel, path: str) -> tuple[str | None, int]:
    """Return a file's content and how often it was written."""
    try:
        return await kernel.files.read_text(path), (await kernel.files.stat(path)).version
    except errors.NotFound:
        return None, 0
