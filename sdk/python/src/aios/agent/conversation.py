"""Where a run's conversation lives: in this process, or in a context of the kernel."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from aios import errors
from aios.kernel import Kernel
from aios.types.llm import Message, ToolSpec


class Conversation(Protocol):
    """What was said so far."""

    async def add(self, messages: Sequence[Message]) -> None:
        """Append messages."""
        ...

    async def window(self, tools: Sequence[ToolSpec]) -> Sequence[Message]:
        """Return what the model is sent."""
        ...


class Local:
    """A conversation that lives in this process and is sent whole."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = list(messages)

    async def add(self, messages: Sequence[Message]) -> None:
        """Append messages."""
        self._messages += messages

    async def window(self, tools: Sequence[ToolSpec]) -> Sequence[Message]:
        """Return all of it."""
        del tools
        return self._messages


class Kept:
    """A conversation that the kernel keeps and fits to the model's window."""

    def __init__(self, kernel: Kernel, context: str) -> None:
        self._contexts = kernel.contexts
        self._context = context

    async def add(self, messages: Sequence[Message]) -> None:
        """Append messages to the context."""
        await self._contexts.append(self._context, messages)

    async def window(self, tools: Sequence[ToolSpec]) -> Sequence[Message]:
        """Return what fits the model's window."""
        return (await self._contexts.window(self._context, tools=tools)).chat


async def open_conversation(
    kernel: Kernel, system: str, context: str, history: Sequence[Message], model: str
) -> Conversation:
    """Return the conversation of a run: new, continued from messages, or of a context, made if need be.

    Raises ValueError for a context and a history at once, and an `AiosError` when the context cannot be had.
    """
    if context and history:
        raise ValueError("give a context or a history, not both: a context has its own")
    opening = [Message("system", system)] if system else []
    if not context:
        return Local([*opening, *history])
    # An earlier run may have begun it, with its own system message.
    with suppress(errors.AlreadyExists):
        await kernel.contexts.create(context, opening, model=model)
    return Kept(kernel, context)


def with_system(messages: Sequence[Message], system: str | None, note: str) -> list[Message]:
    """Return messages as they are sent: with another system message if one is given, and a note in it."""
    first, rest = (
        (messages[0], messages[1:]) if messages and messages[0].role == "system" else (None, messages)
    )
    text = system if system is not None else first.content if first is not None else ""
    whole = "\n\n".join(part for part in (text, note) if part)
    return [Message("system", whole), *rest] if whole else list(rest)
