"""What a complete generation answers: its output as the assistant's message."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from gateway.errors import ConstraintUnmet
from gateway.inference.backends.native import native_message
from gateway.inference.core import prompt_plan
from gateway.inference.core.json_text import object_text
from gateway.inference.core.questions import Question
from gateway.inference.core.template import parse_output
from gateway.inference.model import GenerationSpec, Prompt, ToolChoice
from gateway.inference.ports import ConstraintJudge
from services.chassis.chat import ChatMessage, ToolCall

_LONGEST_ID: Final = 128
"""Characters of a call's id."""


async def hold(
    judge: ConstraintJudge, question: Question, text: str | None, calls: Sequence[ToolCall]
) -> Callable[[str, str], bool] | None:
    """Hold a whole output against what it is bound to, and return a test of the `calls` in it.

    `text` None: it is bound by its calls alone. Raises ConstraintUnmet, and as `ConstraintJudge.keep`.
    """
    told = [(call.name, object_text(call.arguments) or "") for call in calls]
    if text is None and not told:
        return None
    kept = await judge.keep(question, text, told)
    if not kept.output:
        raise ConstraintUnmet("the model's output does not satisfy the constraint; simplify it or try again")
    good = dict(zip(told, kept.calls, strict=True))
    return lambda name, arguments: good.get((name, arguments), False)


def message_of(
    spec: GenerationSpec,
    prompt: Prompt,
    text: str,
    calls: Sequence[ToolCall],
    *,
    complete: bool,
    accepts_call: Callable[[str, str], bool] | None,
) -> ChatMessage:
    """Make the message, with no more tool calls than were asked for. Raises ConstraintUnmet.

    `calls` are those that a backend with tools of its own told apart from the text.
    """
    message = _read(spec, prompt, text, calls, complete=complete, accepts_call=accepts_call)
    earlier = (call.id for each in spec.messages for call in each.tool_calls)
    return replace(message, tool_calls=distinct(message.tool_calls, earlier))


def distinct(calls: Sequence[ToolCall], earlier: Iterable[str]) -> tuple[ToolCall, ...]:
    """Give calls whose id an earlier call of the conversation has another one.

    Some models and servers number the calls of each answer anew, and clients tell calls apart by their ids.
    """
    taken = set(earlier)
    found = []
    for call in calls:
        name, number = call.id, 1
        while name in taken:
            name, number = f"{call.id[: _LONGEST_ID - 8]}_{number}", number + 1
        taken.add(name)
        found.append(replace(call, id=name))
    return tuple(found)


def _read(
    spec: GenerationSpec,
    prompt: Prompt,
    text: str,
    calls: Sequence[ToolCall],
    *,
    complete: bool,
    accepts_call: Callable[[str, str], bool] | None,
) -> ChatMessage:
    if prompt_plan.native(prompt):
        return native_message(
            text,
            calls,
            spec.tool_choice,
            complete=complete,
            accepts=accepts_call,
            named=spec.tool_choice_name,
            most=spec.max_tool_calls,
        )
    if complete and calls and not text.strip():
        raise ConstraintUnmet("the model called a tool although it was offered none; try again")
    form = prompt_plan.form_beside_tools(spec)
    message = parse_output(text, prompt_plan.callable_tools(spec), spec.tool_choice, form)
    if complete and spec.tools and spec.tool_choice is ToolChoice.REQUIRED and not message.tool_calls:
        raise ConstraintUnmet("the model called no tool in a form that can be read; try again")
    most = spec.max_tool_calls or len(message.tool_calls)
    return replace(message, tool_calls=message.tool_calls[:most])
