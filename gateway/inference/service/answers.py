"""What a complete generation answers: its output as the assistant's message."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.errors import ConstraintUnmet
from gateway.inference.backends.native import native_message
from gateway.inference.core import prompt_plan
from gateway.inference.core.template import parse_output
from gateway.inference.model import GenerationSpec, Prompt, ToolChoice
from services.chassis.chat import ChatMessage, ToolCall


def check_output(text: str, accepts: Callable[[str], bool] | None) -> None:
    """Raise ConstraintUnmet for a whole output that does not keep its constraint, if it has one."""
    if accepts is not None and not accepts(text):
        raise ConstraintUnmet("the model's output does not satisfy the constraint; simplify it or try again")


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
    message = parse_output(text, prompt_plan.callable_tools(spec), spec.tool_choice)
    if complete and spec.tools and spec.tool_choice is ToolChoice.REQUIRED and not message.tool_calls:
        raise ConstraintUnmet("the model called no tool in a form that can be read; try again")
    most = spec.max_tool_calls or len(message.tool_calls)
    return replace(message, tool_calls=message.tool_calls[:most])
