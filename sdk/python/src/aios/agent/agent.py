"""The class `aios.Agent`."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic

from aios.agent.events import RunEnded
from aios.agent.generics import arguments_of, said
from aios.agent.limits import Meter, UsageLimits
from aios.agent.loop import Order, Run
from aios.agent.output import Form, Way
from aios.agent.results import AgentResult, Step, ToolRun
from aios.agent.stream import AgentStream, SyncAgentStream
from aios.agent.team import AgentTool, name_of
from aios.errors import InternalError
from aios.kernel import Kernel
from aios.syscalls import AnyTool
from aios.types.agents import Hints
from aios.types.llm import Message
from aios.types.runs import DepsT, OutputT

if TYPE_CHECKING:
    from aios.sync import SyncKernel
    from aios.sync.portal import Portal

_NONE_GIVEN: Final[Any] = object()
_DEPS: Final = 0
_OUTPUT: Final = 1


class Agent(Generic[DepsT, OutputT]):
    """An agent: subclass it, say what it is and which tools it has, and `run` it on a task.

        class Researcher(aios.Agent):
            system = "You are a careful researcher."
            tools = ("search_files", "read_file", "remember", my_function)

        result = await Researcher(kernel).run("What do my files say about tea?")

    Or make one on the spot: `aios.Agent(kernel, system="...", tools=[my_function], output_type=City)`. What
    the constructor is given takes the place of what the class says.

    A tool is a typed function, plain or decorated with `@aios.tool`, which runs here, or the name of one that
    runs as a kernel syscall: `remember`, `recall`, `write_file`, `read_file`, `calculator`, `clock`,
    `convert_units`, `search_files`, or any registered tool. Methods of the class that are decorated with
    `@aios.tool` are its tools too.

    `aios.Agent[Deps, Output]` says what its runs are given for their tools, and what they return: a
    dataclass, a TypedDict, a Pydantic model, a list, a number; by default nothing, and the text of the last
    answer.

    `kernel` is one from `aios.connect`, or from `aios.connect_sync` for `run_sync` and `stream_sync`.
    """

    name: ClassVar[str] = ""
    """What other agents and events call it; by default the class's name."""

    description: ClassVar[str] = ""
    """What it is for, as another agent's model reads it."""

    system: ClassVar[str] = ""
    """What the model is told about itself."""

    tools: ClassVar[Sequence[AnyTool]] = ()
    """What it may call; `aios.AllTools()` stands for all of the kernel's."""

    handoffs: ClassVar[Sequence["type[Agent[Any, Any]] | Agent[Any, Any]"]] = ()
    """Agents to which its model may hand the conversation over. A class acts over the same kernel."""

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

    retries: ClassVar[int] = 2
    """How often in one run the model is told what is wrong with an answer that cannot be used."""

    tool_timeout: ClassVar[float | None] = None
    """Most seconds that a tool call takes, unless the tool says otherwise; None: no limit."""

    limits: ClassVar[UsageLimits | None] = None
    """What a run may use, unless the run says otherwise."""

    def __init__(
        self,
        kernel: "Kernel | SyncKernel",
        *,
        output_type: type[OutputT] | None = None,
        name: str = "",
        description: str | None = None,
        system: str | None = None,
        tools: Sequence[AnyTool] | None = None,
        handoffs: Sequence["type[Agent[Any, Any]] | Agent[Any, Any]"] | None = None,
        model: str | None = None,
        max_steps: int | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        hints: Hints | None = None,
        retries: int | None = None,
        tool_timeout: float | None = None,
        limits: UsageLimits | None = None,
        on_step: Callable[[Step], None] | None = None,
        on_tool_error: Callable[[ToolRun, BaseException], None] | None = None,
    ) -> None:
        self._portal: Portal | None = None
        if isinstance(kernel, Kernel):
            self.kernel = kernel
        else:
            from aios.sync import behind  # noqa: PLC0415  # many agents need no synchronous twin

            self.kernel, self._portal = behind(kernel)
        self.on_step = on_step
        self.on_tool_error = on_tool_error
        self.way = Way.FORCED
        self._output_type: Any = output_type
        self._form: Form | None = None
        given = {
            "name": name or self.name or name_of(type(self)),
            "description": description,
            "system": system,
            "tools": tools,
            "handoffs": handoffs,
            "model": model,
            "max_steps": max_steps,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "hints": hints,
            "retries": retries,
            "tool_timeout": tool_timeout,
            "limits": limits,
        }
        vars(self).update({key: value for key, value in given.items() if value is not None})

    async def run(
        self,
        task: str,
        *,
        deps: DepsT = _NONE_GIVEN,
        history: Sequence[Message] = (),
        context: str = "",
        limits: UsageLimits | None = None,
        timeout: float | None = None,
    ) -> AgentResult[OutputT]:
        """Work on a task until the model has nothing more to call, and return what came of it.

        All tool calls of one answer run at once. `deps` reach tools that take a `RunContext`. `history`
        continues a conversation: the messages of an earlier result. With `context` the conversation lives in
        that context of the kernel instead, is continued there, and is fitted to the model's window. `limits`
        bounds what the run may use, `timeout` each call of the model, in seconds.

        A tool that fails is reported to the model, and does not end the run. Raises an `AiosError` when the
        model cannot be asked, UsageLimitExceeded, OutputInvalid when the run came to no output of its type,
        and TypeError when the class says what `deps` are and they are not given.
        """
        return await self._finished(self._run(self._order(task, deps, history, context, timeout), limits))

    def stream(
        self,
        task: str,
        *,
        deps: DepsT = _NONE_GIVEN,
        history: Sequence[Message] = (),
        context: str = "",
        limits: UsageLimits | None = None,
        timeout: float | None = None,
    ) -> AgentStream[OutputT]:
        """Work on a task and tell what happens: text as it comes, tool calls, usage, and last the result.

            async with agent.stream("...") as run:
                async for event in run: ...

        Arguments and errors as for `run`; the run begins with the first event that is read.
        """
        order = self._order(task, deps, history, context, timeout, streaming=True)
        return AgentStream(self._run(order, limits).events())

    def run_sync(
        self,
        task: str,
        *,
        deps: DepsT = _NONE_GIVEN,
        history: Sequence[Message] = (),
        context: str = "",
        limits: UsageLimits | None = None,
        timeout: float | None = None,
    ) -> AgentResult[OutputT]:
        """Do as `run`, without an event loop: for agents with a kernel of `aios.connect_sync`."""
        run = self._run(self._order(task, deps, history, context, timeout), limits)
        return self._synchronous().run(self._finished(run))

    def stream_sync(
        self,
        task: str,
        *,
        deps: DepsT = _NONE_GIVEN,
        history: Sequence[Message] = (),
        context: str = "",
        limits: UsageLimits | None = None,
        timeout: float | None = None,
    ) -> SyncAgentStream[OutputT]:
        """Do as `stream`, without an event loop: for agents with a kernel of `aios.connect_sync`."""
        portal = self._synchronous()
        order = self._order(task, deps, history, context, timeout, streaming=True)
        return SyncAgentStream(AgentStream(self._run(order, limits).events()), portal)

    def as_tool(self, *, name: str = "", description: str = "") -> AgentTool:
        """Return the agent as a tool of another one, which gives it a task and reads its output.

        What it uses counts on the limits of the run that calls it.
        """
        return AgentTool(self, name, description)

    async def run_metered(self, task: str, deps: Any, meter: Meter | None) -> AgentResult[OutputT]:
        """Run within another run: what it uses counts there too."""
        order = Order(task=task, deps=deps)
        return await self._finished(Run(self, self.form, order, Meter(self.limits, meter)))

    @property
    def form(self) -> Form:
        """The form of what its runs return. Raises TypeError for a type that JSON cannot hold."""
        if self._form is None:
            asked = self._output_type if self._output_type is not None else self._argument(_OUTPUT, str)
            self._form = Form(asked)
        return self._form

    def _argument(self, number: int, default: Any) -> Any:
        """Return a type argument: of `aios.Agent[Deps, Output](...)`, else of the class."""
        parameters: tuple[Any, ...] = getattr(Agent, "__parameters__")  # noqa: B009  # every generic class has it
        found = arguments_of(type(self), Agent)
        alias = getattr(self, "__orig_class__", None)
        if alias is not None:
            given = dict(zip(alias.__origin__.__parameters__, alias.__args__, strict=False))
            found = {key: given.get(value, value) for key, value in found.items()}
        return said(found, parameters[number], default)

    def _order(
        self,
        task: str,
        deps: Any,
        history: Sequence[Message],
        context: str,
        timeout: float | None,
        *,
        streaming: bool = False,
    ) -> Order:
        if deps is _NONE_GIVEN:
            wanted = self._argument(_DEPS, None)
            if wanted not in (None, type(None), Any):
                raise TypeError(
                    f"{self.name} works with deps of {wanted!r}: give them, `run(task, deps=...)`"
                )
            deps = None
        return Order(
            task=task, deps=deps, history=history, context=context, timeout=timeout, streaming=streaming
        )

    def _run(self, order: Order, limits: UsageLimits | None) -> Run:
        return Run(self, self.form, order, Meter(limits or self.limits))

    async def _finished(self, run: Run) -> AgentResult[OutputT]:
        if self._portal is not None and not self._portal.is_here():
            raise RuntimeError("the agent has a kernel of `aios.connect_sync`: use run_sync and stream_sync")
        async with aclosing(run.events()) as events:
            async for event in events:
                if isinstance(event, RunEnded):
                    result: AgentResult[OutputT] = event.result
                    return result
        raise InternalError("the run ended without a result")

    def _synchronous(self) -> "Portal":
        if self._portal is None:
            raise RuntimeError(
                "the agent has an asynchronous kernel: await run(), or connect with `aios.connect_sync()`"
            )
        return self._portal

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} on {self.kernel!r}>"
