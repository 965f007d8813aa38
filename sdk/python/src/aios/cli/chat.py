"""`aios chat`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from aios.cli import session, terminal

if TYPE_CHECKING:
    from aios.kernel import Kernel
    from aios.types.llm import Answer, Message


SILENCE_SECONDS = 2.0
"""After so long without a word it is said what is waited for. Unit: seconds."""


@dataclass(slots=True)
class Conversation:
    """What was said so far, and how answers are asked for."""

    model: str
    max_tokens: int
    temperature: float
    said: "list[Message]" = field(default_factory=list)

    async def answer(self, kernel: "Kernel", text: str) -> None:
        """Ask, and print the answer as it comes. What was not answered counts as not said."""
        from aios.types.llm import Message  # noqa: PLC0415  # keeps `aios --help` quick

        asked = [*self.said, Message("user", text)]
        answer = await self._ask(kernel, asked)
        self.said = [*asked, answer.message]

    async def _ask(self, kernel: "Kernel", asked: "list[Message]") -> "Answer":
        stream = kernel.llm.stream(
            asked,
            model=self.model,
            max_tokens=self.max_tokens,
            fit_max_tokens=self.max_tokens > 0,
            temperature=self.temperature,
        )
        watching = asyncio.create_task(_say_why(kernel))
        try:
            if session.options.get().as_json:
                answer = await stream.answer()
                session.emit(answer, lambda: None)
                return answer
            async with stream:
                async for text in stream.texts():
                    watching.cancel()
                    session.say_lines(text, nl=False)
                answer = await stream.answer()
        finally:
            watching.cancel()
            await asyncio.wait({watching})
        session.say("")
        return answer


async def _say_why(kernel: "Kernel") -> None:
    """Say what an answer waits for that does not begin, whenever that is another than before."""
    from aios.errors import AiosError  # noqa: PLC0415  # keeps `aios --help` quick

    said = ""
    while True:
        await asyncio.sleep(SILENCE_SECONDS)
        try:
            why = await _why(kernel)
        except AiosError:  # the answer itself will tell
            continue
        if why and why != said:
            said = why
            session.warn(f"aios: waiting: {why}; Ctrl-C ends it")


async def _why(kernel: "Kernel") -> str:
    """Return what the caller's oldest call waits for; empty when it runs."""
    if not await kernel.llm.models(timeout=2.0):
        return "no inference server answers: see `aios logs gateway`"
    calls = await kernel.queue.list(agent="me", timeout=2.0)
    waiting = next((call for call in calls if call.state == "waiting"), None)
    return (await kernel.queue.explain(waiting.name, timeout=2.0)).summary if waiting is not None else ""


def chat(
    message: Annotated[
        str, typer.Argument(help="What to say; by default read from the terminal, line by line.")
    ] = "",
    system: Annotated[str, typer.Option(help="What the model is told about itself.")] = "",
    model: Annotated[str, typer.Option(help="Name of the model; default: the kernel's.")] = "",
    max_tokens: Annotated[
        int, typer.Option(help="Longest answer in tokens, as far as the window allows.")
    ] = 0,
    temperature: Annotated[float, typer.Option(help="Randomness; 0 is greedy.")] = 0.0,
) -> None:
    """Talk to a model. With a message: one answer; without: a conversation."""
    talk = Conversation(model, max_tokens, temperature)
    if system:
        from aios.types.llm import Message  # noqa: PLC0415  # keeps `aios --help` quick

        talk.said = [Message("system", system)]
    if not message and sys.stdin.isatty():
        _converse(talk)
        return
    text = message or sys.stdin.read().strip()
    if not text:
        raise typer.BadParameter("the standard input is empty: say something", param_hint="message")
    session.call(lambda kernel: talk.answer(kernel, text))


def _converse(talk: Conversation) -> None:
    """Take turns with a person: Ctrl-C ends an answer, or at the prompt the conversation, as Ctrl-D does.

    Lines are read outside the event loop, where Ctrl-C reaches the prompt, and the terminal's editing works.
    """
    with session.handled(), asyncio.Runner() as runner:
        stack = AsyncExitStack()
        kernel = runner.run(stack.enter_async_context(session.connected()))
        try:
            while (text := _line()) is not None:
                try:
                    if text:
                        runner.run(talk.answer(kernel, text))
                except KeyboardInterrupt:
                    session.say(" [stopped]")
        finally:
            runner.run(stack.aclose())


def _line() -> str | None:
    """Read what a person types; None: the conversation is over."""
    try:
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        terminal.out("")
        return None
