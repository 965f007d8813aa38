"""Runs the agents of the demo and checks what they did."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import aios
from aios import errors
from aios.agent import Step
from aios.kernel import Kernel
from launcher.demo.tasks import TOOLS, Cast, Task

TASK_SECONDS = 60.0


class Worker(aios.Agent):
    """An agent of the demo: the small model with the kernel's tools."""

    system: ClassVar[str] = "You are a helpful agent."
    tools: ClassVar[Sequence[str]] = TOOLS
    max_steps: ClassVar[int] = 6
    max_tokens: ClassVar[int] = 120


@dataclass(slots=True)
class Done:
    """One finished task."""

    task: Task
    answer: str
    right: bool
    turnaround: float
    """From the question to the checked answer. Unit: seconds."""


@dataclass(slots=True)
class Act:
    """What is known about one agent while it works."""

    cast: Cast
    state: str = "starts"
    done: list[Done] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Wait of each call of the model. Unit: seconds."""
    tokens: int = 0
    preemptions: int = 0
    tool_calls: int = 0
    refusals: int = 0
    """Tool calls that the kernel refused for lack of a right."""


async def perform(admin: Kernel, acts: Sequence[Act], changed: Callable[[Act, str], None]) -> float:
    """Let all agents work at once; returns the seconds it took. `changed` hears of every step."""
    kernels = await asyncio.gather(*(_enter(admin, act) for act in acts))
    began = time.monotonic()
    await asyncio.gather(*(_play(kernel, act, changed) for kernel, act in zip(kernels, acts, strict=True)))
    return time.monotonic() - began


async def _enter(admin: Kernel, act: Act) -> Kernel:
    """Register the agent and lay out what it finds when it starts."""
    kernel = admin.as_agent(await admin.agents.register(act.cast.name, kind=act.cast.role))
    for path, text in act.cast.files.items():
        await kernel.files.write(path, text)
    for key, value in act.cast.notes.items():
        await kernel.memory.put(key, value)
    return kernel


async def _play(kernel: Kernel, act: Act, changed: Callable[[Act, str], None]) -> None:
    def on_step(step: Step) -> None:
        act.waits.append(step.answer.timings.wait)
        act.tokens += step.answer.usage.completion_tokens
        act.preemptions += step.answer.timings.preemption_count
        act.tool_calls += len(step.runs)
        act.refusals += sum(run.result == "error: permission denied" for run in step.runs)
        for run in step.runs:
            changed(act, f"{run.name}({run.arguments_json}) -> {run.result}")

    worker = Worker(kernel, on_step=on_step)
    for task in act.cast.tasks:
        act.state = "works"
        changed(act, task.prompt)
        began = time.monotonic()
        try:
            answer = (await worker.run(task.prompt, timeout=TASK_SECONDS)).text
        except errors.AiosError as error:
            answer = f"failed: {error}"
        right = await _is_right(kernel, task, answer)
        act.done.append(Done(task, answer, right, time.monotonic() - began))
        changed(act, f"{'right' if right else 'WRONG'}: {answer}")
    act.state = "done"
    changed(act, "done")


async def _is_right(kernel: Kernel, task: Task, answer: str) -> bool:
    """Hold an answer, and what it left behind in the kernel, against the truth."""
    if task.expected not in answer or (task.forbidden and task.forbidden in answer):
        return False
    try:
        if task.note is not None and (await kernel.memory.get(task.note[0])).content != task.note[1]:
            return False
        if task.file is not None:
            return await kernel.files.read_text(task.file[0]) == task.file[1]
    except errors.NotFound:
        return False
    return True
