"""`aios.Agent`: a model, tools and a task, run in a loop."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from aios import errors
from aios.kernel import Kernel
from aios.syscalls import RunnableTool, ToolSource, resolve, run_as_text
from aios.types.agents import Hints
from aios.types.llm import Answer, Message, ToolCall, ToolSpec, Usage


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One tool call of an agent and what came out."""

    name: str
    """The tool."""

    arguments_json: str
    """The arguments as the model wrote them."""

    result: str
    """What the model was told; `error: ...` when it failed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One turn of the loop: an answer of the model and the tools it called."""

    number: int
    """Which one, from 0."""

    answer: Answer
    """What the model said."""

    runs: tuple[ToolRun, ...] = ()
    """The tools it called, in its order."""


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How a run ended."""

    text: str
    """The model's last answer."""

    finish_reason: Literal["done", "max_steps", "length"]
    """`done`: the model had nothing more to call; else what cut the run short."""

    steps: tuple[Step, ...] = ()
    """Every turn, in order."""

    usage: Usage = field(default_factory=Usage)
    """Tokens of all turns together."""

    messages: tuple[Message, ...] = ()
    """The whole conversation."""

    @property
    def tool_runs(self) -> tuple[ToolRun, ...]:
        """All tool calls of the run, in order."""
        return tuple(run for step in self.steps for run in step.runs)

    def __str__(self) -> str:
        return self.text


class _Conversation(Protocol):
    async def add(self, messages: Sequence[Message]) -> None: ...

    async def window(self, tools: Sequence[ToolSpec]) -> Sequence[Message]: ...


class Agent:
    """An agent: subclass it, say what it is and which tools it has, and `run` it on a task.

        class Researcher(aios.Agent):
            system = "You are a careful researcher."
            tools = ["search_files", "read_file", "remember", my_tool]

        result = await Researcher(kernel).run("What do my files say about tea?")

    A tool is a function decorated with `@aios.tool`, which runs here, or the name of one that runs as a
    kernel syscall: `remember`, `recall`, `write_file`, `read_file`, `calculator`, `clock`, `convert_units`,
    `search_files`, or any registered tool.
    """

    system: ClassVar[str] = ""
    """What the model is told about itself."""

    tools: ClassVar[Sequence[RunnableTool | ToolSource | str]] = ()
    """What it may call; `aios.AllTools()` stands for all of the kernel's."""

    model: ClassVar[str] = ""
    """Name of the model; empty: the kernel's default."""

    max_steps: ClassVar[int] = 10
    """Most answers of the model in one run."""

    max_tokens: ClassVar[int] = 0
    """Largest single answer in tokens; 0: the kernel's default."""

    temperature: ClassVar[float] = 0.0
    """Randomness; 0: greedy."""

    hints: ClassVar[Hints | None] = None
    """How its calls are scheduled; None: as the agent was registered."""

    def __init__(self, kernel: Kernel, *, on_step: Callable[[Step], None] | None = None) -> None:
        self.kernel = kernel
        self._on_step = on_step

    async def run(self, task: str, *, context: str = "", timeout: float | None = None) -> AgentResult:
        """Work on a task until the model has nothing more to call, and return what came of it.

        All tool calls of one answer run at once. With `context` the conversation lives in that context of
        the kernel, is continued there, and is fitted to the model's window; otherwise it ends with the run.
        `timeout` bounds each call of the model. Raises an `AiosError` when the model cannot be asked; a
        tool that fails is reported to the model.
        """
        tools = await resolve(self.kernel, self.tools, task)
        talk = await self._conversation(context)
        said = [Message("user", task)]
        await talk.add(said)
        steps: list[Step] = []
        while len(steps) < self.max_steps:
            specs = [tool.spec for tool in tools.values()]  # a source may have added some in the last step
            answer = await self._ask(await talk.window(specs), specs, len(steps), timeout)
            results = await self._call(answer.tool_calls, tools)
            await talk.add([answer.message, *results])
            said += [answer.message, *results]
            steps.append(Step(len(steps), answer, _runs(answer.tool_calls, results)))
            if self._on_step is not None:
                self._on_step(steps[-1])
            if not answer.tool_calls:
                return _result(steps, said, "length" if answer.finish_reason == "length" else "done")
        return _result(steps, said, "max_steps")

    async def _ask(
        self, messages: Sequence[Message], specs: Sequence[ToolSpec], step: int, timeout: float | None
    ) -> Answer:
        return await self.kernel.llm.chat(
            messages,
            tools=specs,
            model=self.model,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            hints=self.hints,
            step=step,
            timeout=timeout,
        )

    async def _call(self, calls: Sequence[ToolCall], tools: dict[str, RunnableTool]) -> list[Message]:
        texts = await asyncio.gather(*(_run(call, tools) for call in calls))
        return [
            Message("tool", text, tool_call_id=call.id, name=call.name)
            for call, text in zip(calls, texts, strict=True)
        ]

    async def _conversation(self, context: str) -> _Conversation:
        system = [Message("system", self.system)] if self.system else []
        if not context:
            return _Local(system)
        # An earlier run may have begun it, with its own system message.
        with suppress(errors.AlreadyExists):
            await self.kernel.contexts.create(context, system, model=self.model)
        return _Kept(self.kernel, context)


class _Local:
    """A conversation that lives in this process and is sent whole."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages

    async def add(self, messages: Sequence[Message]) -> None:
        self._messages += messages

    async def window(self, tools: Sequence[ToolSpec]) -> Sequence[Message]:
        del tools
        return self._messages


class _Kept:
    """A conversation that the kernel keeps and fits to the model's window."""

    def __init__(self, kernel: Kernel, context: str) -> None:
        self._contexts = kernel.contexts
        self._context = context

    async def add(self, messages: Sequence[Message]) -> None:
        await self._contexts.append(self._context, messages)

    async def window(self, tools: Sequence[ToolSpec]) -> Sequence[Message]:
        return (await self._contexts.window(self._context, tools=tools)).chat


async def _run(call: ToolCall, tools: dict[str, RunnableTool]) -> str:
    if call.name not in tools:
        return f"error: unknown tool {call.name}"
    try:
        arguments: dict[str, Any] = call.arguments
    except ValueError as error:
        return f"error: the arguments are no JSON object ({error})"
    return await run_as_text(tools[call.name], arguments)


def _runs(calls: Sequence[ToolCall], results: Sequence[Message]) -> tuple[ToolRun, ...]:
    return tuple(
        ToolRun(call.name, call.arguments_json or json.dumps({}), result.content)
        for call, result in zip(calls, results, strict=True)
    )


def _result(
    steps: Sequence[Step], messages: Sequence[Message], reason: Literal["done", "max_steps", "length"]
) -> AgentResult:
    usage = sum((step.answer.usage for step in steps), Usage())
    return AgentResult(steps[-1].answer.text, reason, tuple(steps), usage, tuple(messages))
