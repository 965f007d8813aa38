"""The loop of a run: ask the model, run what it calls, until it has nothing more to call."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aios import errors
from aios.agent.calling import Called, ToolCalls
from aios.agent.conversation import Conversation, open_conversation, with_system
from aios.agent.events import (
    HandedOff,
    Retried,
    RunEnded,
    RunEvent,
    RunText,
    StepEnded,
    ToolEnded,
    ToolStarted,
    UsageUpdated,
)
from aios.agent.limits import Meter
from aios.agent.output import UNREADABLE, Form, Way, holds_unread_call
from aios.agent.results import AgentResult, FinishReason, Step, ToolRun
from aios.agent.team import Handoff, tools_of
from aios.syscalls import RunnableTool
from aios.types.llm import Answer, Finished, Message, ToolCall, Usage
from aios.types.runs import RunContext

if TYPE_CHECKING:
    from aios.agent.agent import Agent

Events = AsyncGenerator[RunEvent, None]

_NO_CAPABILITY: Final = "CAPABILITY_MISSING"
_LATE: Final = "error: the conversation was handed over already"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What one run is to do."""

    task: str
    """What to work on."""

    deps: Any = None
    """Given to its tools."""

    history: Sequence[Message] = ()
    """What was said before."""

    context: str = ""
    """The context of the kernel that keeps the conversation; empty: none."""

    timeout: float | None = None
    """Bounds each call of the model. Unit: seconds."""

    streaming: bool = False
    """Whether the model's text is told piece by piece."""


@dataclass
class _State:
    """How far a run is."""

    agent: "Agent[Any, Any]"
    tools: dict[str, RunnableTool]
    talk: Conversation
    said: list[Message]
    steps: list[Step] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    retries: int = 0
    ending: bool = False
    """Whether only the output is wanted any more: it is forced, and no tool may be called."""


class Run:
    """One run of an agent. `events` is it; what it came to is in the last event."""

    def __init__(self, agent: "Agent[Any, Any]", form: Form, order: Order, meter: Meter) -> None:
        self._root = agent
        self._form = form
        self._order = order
        self._meter = meter

    async def events(self) -> Events:
        """Work, and yield what happens. Raises what `Agent.run` raises."""
        state = await self._begin()
        while len(state.steps) < self._root.max_steps:
            self._meter.before_request(tuple(state.said))
            answer: Answer | None = None
            async with aclosing(self._ask(state)) as parts:
                async for part in parts:
                    if isinstance(part, Answer):
                        answer = part
                    else:
                        yield part
            if answer is None:
                raise errors.InternalError("the model's stream ended without an answer")
            self._meter.add(answer.usage)
            state.usage += answer.usage
            place = self._place(state)
            yield UsageUpdated(**place, usage=state.usage, requests=len(state.steps) + 1)
            if answer.tool_calls:
                async with aclosing(self._use_tools(state, answer)) as happened:
                    async for event in happened:
                        yield event
                continue
            async with aclosing(self._judge(state, answer)) as judged:
                async for event in judged:
                    yield event
                    if isinstance(event, RunEnded):
                        return
        yield self._ended(state, "max_steps")

    async def _begin(self) -> _State:
        root, order = self._root, self._order
        tools = await tools_of(root, order.task)
        talk = await open_conversation(root.kernel, root.system, order.context, order.history, root.model)
        task = Message("user", order.task)
        await talk.add([task])
        return _State(root, tools, talk, [*order.history, task])

    def _place(self, state: _State) -> dict[str, Any]:
        return {"agent": state.agent.name, "step": len(state.steps)}

    async def _ask(self, state: _State) -> AsyncGenerator[RunEvent | Answer, None]:
        """Ask the model, in the best way that its backend is able to."""
        ways = list(Way)
        while True:
            heard = False
            try:
                async with aclosing(self._ask_so(state, self._root.way)) as parts:
                    async for part in parts:
                        heard = True
                        yield part
            except errors.Unimplemented as error:
                at = ways.index(self._root.way)
                if heard or self._form.is_text or error.reason != _NO_CAPABILITY or at + 1 == len(ways):
                    raise
                self._root.way = ways[at + 1]
            else:
                return

    async def _ask_so(self, state: _State, way: Way) -> AsyncGenerator[RunEvent | Answer, None]:
        agent = state.agent
        specs = [tool.spec for tool in state.tools.values()]  # a source may have added some in the last step
        forced = not self._form.is_text and (
            way is Way.FORCED or (way is Way.FORCED_AT_THE_END and state.ending)
        )
        handed_off = agent is not self._root
        sent = with_system(
            await state.talk.window(specs), agent.system if handed_off else None, self._form.note
        )
        options: dict[str, Any] = {
            "tools": specs,
            "tool_choice": "none" if state.ending and specs else "auto",
            "model": agent.model,
            "max_tokens": agent.max_tokens,
            "temperature": agent.temperature,
            "hints": agent.hints,
            "step": len(state.steps),
            "timeout": self._order.timeout,
            "json_schema": self._form.schema if forced else None,
        }
        if not self._order.streaming:
            yield await agent.kernel.llm.chat(sent, **options)
            return
        async with agent.kernel.llm.stream(sent, **options) as stream:
            async for event in stream:
                if isinstance(event, Finished):
                    yield event.answer
                elif event.text:
                    yield RunText(**self._place(state), text=event.text)

    async def _use_tools(self, state: _State, answer: Answer) -> Events:
        calls = answer.tool_calls
        self._meter.before_tools(len(calls), tuple(state.said))
        place = self._place(state)
        for call in calls:
            yield ToolStarted(**place, call=call)
        ended: dict[int, Called] = {}
        work = ToolCalls(
            state.tools, self._context(state), state.agent.tool_timeout, self._root.on_tool_error
        )
        async with aclosing(work.run(calls)) as happened:
            async for called in happened:
                ended[called.number] = called
                yield ToolEnded(**place, call=calls[called.number], run=called.run, error=called.error)
        runs, handoff = _settled(state, calls, [ended[number].run for number in range(len(calls))])
        results = [
            Message("tool", run.result, tool_call_id=call.id, name=call.name)
            for call, run in zip(calls, runs, strict=True)
        ]
        await self._say(state, [answer.message, *results])
        yield self._step_ended(state, answer, runs)
        if handoff is not None:
            state.agent = handoff.target
            state.tools = await tools_of(handoff.target, self._order.task)
            yield HandedOff(**place, to=handoff.target.name)

    async def _judge(self, state: _State, answer: Answer) -> Events:
        """Say what an answer without calls comes to: the end, or another attempt."""
        await self._say(state, [answer.message])
        cut = answer.finish_reason == "length"
        place = self._place(state)
        yield self._step_ended(state, answer, ())
        if self._form.is_text and cut:
            yield self._ended(state, "length")
            return
        unread = not cut and holds_unread_call(answer.text)
        outcome = self._form.read(answer.text, cut=cut)
        problem = "a tool call in it cannot be read" if unread else outcome.problem
        if not problem:
            yield self._ended(state, "done", outcome.value)
            return
        first_to_be_forced = self._root.way is Way.FORCED_AT_THE_END and not state.ending and not unread
        # A weak model that may go on to call tools may never come to an end.
        state.ending = state.ending or not (unread or self._form.is_text or self._root.way is Way.ASKED)
        if not first_to_be_forced:  # what was not asked for in its form is no failure of the model
            state.retries += 1
        if state.retries > self._root.retries:
            yield self._ended(state, "unparsed_tool_call" if unread else "done", problem=problem)
            return
        await self._say(state, [Message("user", UNREADABLE if unread else self._form.told(problem))])
        yield Retried(**place, problem=problem)

    async def _say(self, state: _State, messages: Sequence[Message]) -> None:
        await state.talk.add(messages)
        state.said += messages

    def _step_ended(self, state: _State, answer: Answer, runs: tuple[ToolRun, ...]) -> StepEnded:
        step = Step(len(state.steps), answer, runs, state.agent.name)
        ended = StepEnded(**self._place(state), turn=step)
        state.steps.append(step)
        if self._root.on_step is not None:
            self._root.on_step(step)
        return ended

    def _context(self, state: _State) -> RunContext[Any]:
        return RunContext(
            deps=self._order.deps,
            kernel=state.agent.kernel,
            task=self._order.task,
            agent=state.agent.name,
            step=len(state.steps),
            messages=tuple(state.said),
            usage=state.usage,
            meter=self._meter,
        )

    def _ended(
        self, state: _State, reason: FinishReason, value: Any = None, *, problem: str = ""
    ) -> RunEnded[Any]:
        """Return the end. Raises OutputInvalid for a run that has come to no output of its type."""
        last = state.steps[-1] if state.steps else None
        text = last.answer.text if last is not None else ""
        if not self._form.is_text and (reason != "done" or problem):
            told = problem or f"it took {len(state.steps)} answers, the most that `max_steps` allows"
            raise errors.OutputInvalid(
                f"the run came to no output of its type: {told}",
                metadata={"finish_reason": reason, "text": text[:1000]},
                messages=tuple(state.said),
            )
        result = AgentResult(
            text,
            reason,
            output=text if self._form.is_text else value,
            steps=tuple(state.steps),
            usage=state.usage,
            messages=tuple(state.said),
            agent=state.agent.name,
            history_length=len(self._order.history),
        )
        return RunEnded(agent=state.agent.name, step=max(len(state.steps) - 1, 0), result=result)


def _settled(
    state: _State, calls: Sequence[ToolCall], runs: Sequence[ToolRun]
) -> tuple[tuple[ToolRun, ...], Handoff | None]:
    """Return the tool runs and the handoff among them: the first one counts, later ones come too late."""
    settled: list[ToolRun] = []
    handoff: Handoff | None = None
    for call, run in zip(calls, runs, strict=True):
        tool = state.tools.get(call.name)
        if isinstance(tool, Handoff) and not run.failed:
            if handoff is not None:
                settled.append(ToolRun(run.name, run.arguments_json, _LATE, run.seconds))
                continue
            handoff = tool
        settled.append(run)
    return tuple(settled), handoff
