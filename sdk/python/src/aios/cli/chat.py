"""`aios chat`."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from aios.cli import session

if TYPE_CHECKING:
    from aios.kernel import Kernel
    from aios.types.llm import Answer, Message


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

    async def talk(kernel: "Kernel") -> None:
        from aios.types.llm import Message  # noqa: PLC0415  # keeps `aios --help` quick

        said: list[Message] = [Message("system", system)] if system else []
        for text in [message] if message else _lines():
            said.append(Message("user", text))
            answer = await _answer(kernel, said, model, max_tokens, temperature)
            said.append(answer.message)

    session.call(talk)


def _lines() -> Iterator[str]:
    """Yield what a person types, or the whole of a piped input."""
    if not sys.stdin.isatty():
        yield sys.stdin.read().strip()
        return
    while True:
        try:
            text = input("> ").strip()
        except EOFError:
            return
        if text:
            yield text


async def _answer(
    kernel: "Kernel", said: "list[Message]", model: str, max_tokens: int, temperature: float
) -> "Answer":
    stream = kernel.llm.stream(
        said, model=model, max_tokens=max_tokens, fit_max_tokens=max_tokens > 0, temperature=temperature
    )
    if session.options.get().as_json:
        answer = await stream.answer()
        session.emit(answer, lambda: None)
        return answer
    async with stream:
        async for text in stream.texts():
            session.say_lines(text, nl=False)
        answer = await stream.answer()
    session.say("")
    return answer
