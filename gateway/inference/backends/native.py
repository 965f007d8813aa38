"""Reads the answer of a backend that tells tool calls apart from text. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.errors import ConstraintUnmet
from gateway.inference.core.json_text import object_text
from gateway.inference.model import ToolChoice
from services.chassis.chat import ChatMessage, Role, ToolCall


def native_message(
    text: str,
    calls: Sequence[ToolCall],
    choice: ToolChoice,
    *,
    complete: bool,
    accepts: Callable[[str, str], bool] | None = None,
    named: str = "",
    most: int = 0,
) -> ChatMessage:
    """Make the assistant's message, with at most `most` calls unless 0.

    The calls of an answer that was cut off are left out, since the last one lacks its end. Where a call is
    required the backend has been asked to force it into the tool's schema, and not every backend does:
    `accepts` tells whether a call, by name and arguments, keeps it. Raises ConstraintUnmet for a call whose
    arguments are no JSON object or break the schema, for none where one is required, and for one of another
    tool than the `named` one. Arguments are handed on as strict JSON (`gateway.inference.core.json_text`).
    """
    if not complete:
        return ChatMessage(Role.ASSISTANT, text)
    required = choice is ToolChoice.REQUIRED
    calls = calls[:most] if most else calls
    if required and not calls:
        raise ConstraintUnmet("the model called no tool although it must; try again or with fewer tools")
    found = []
    for call in calls:
        if named and call.name != named:
            raise ConstraintUnmet(
                f"the model called tool {call.name!r} although it must call {named!r}; try again",
                metadata={"tool": call.name},
            )
        arguments = object_text(call.arguments)
        if not call.name or arguments is None:
            raise ConstraintUnmet(
                f"the model called tool {call.name!r} with arguments that are no JSON object; try again",
                metadata={"tool": call.name},
            )
        if required and accepts is not None and not accepts(call.name, arguments):
            raise ConstraintUnmet(
                f"the model called tool {call.name!r} in a way that its schema does not allow; try again",
                metadata={"tool": call.name},
            )
        found.append(replace(call, arguments=arguments))
    return ChatMessage(Role.ASSISTANT, text, tuple(found))
