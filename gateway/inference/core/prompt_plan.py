"""What the form of a prompt and the capabilities of a replica mean for a generation. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.errors import CapabilityMissing, PromptTooLong
from gateway.inference.core.template import forced_call_constraint
from gateway.inference.model import (
    Constraint,
    ConstraintKind,
    GenerationSpec,
    Prompt,
    ReplicaInfo,
    ToolChoice,
)
from gateway.inference.ports import ConstraintChecker
from services.chassis.chat import ToolDefinition


def native(prompt: Prompt) -> bool:
    """Whether the backend is shown the tools as they are, and tells tool calls apart itself."""
    return prompt.chat is not None and bool(prompt.chat.tools)


def shown_tools(spec: GenerationSpec) -> tuple[ToolDefinition, ...]:
    """Return the tools that the model is shown."""
    return spec.tools if spec.tool_choice is not ToolChoice.NONE else ()


class Bound(NamedTuple):
    """What binds the output of a generation, and how to tell whether it was kept."""

    constraint: Constraint | None
    accepts: Callable[[str], bool] | None
    """Whether a whole output keeps the constraint."""
    accepts_call: Callable[[str, str], bool] | None
    """Whether a call, by tool and JSON text of its arguments, keeps that tool's schema."""


def bind(checker: ConstraintChecker, spec: GenerationSpec, tools: Sequence[ToolDefinition]) -> Bound:
    """Judge and compile what a request binds its output to. Nothing is queued before.

    The schemas of tools are judged whether or not a call is forced, since engines compile those that they are
    shown. Raises ConstraintInvalid.
    """
    accepts_call = checker.compile_tools(tools) if tools else None
    constraint = spec.constraint
    if tools and spec.tool_choice is ToolChoice.REQUIRED:
        constraint = forced_call_constraint(tools)
    return Bound(constraint, checker.compile(constraint) if constraint is not None else None, accepts_call)


def check_constraint(constraint: Constraint | None, info: ReplicaInfo) -> None:
    """Raise CapabilityMissing for a constraint that the backend cannot keep."""
    if constraint is None:
        return
    able = info.capabilities
    if not (able.regexes if constraint.kind is ConstraintKind.REGEX else able.constraints):
        kind = constraint.kind.value
        raise CapabilityMissing(
            f"the backend of model {info.model} cannot force its output into a given {kind} form",
            metadata={"model": info.model, "capability": f"constraint.{kind}"},
        )


def fitted(prompt: Prompt, asked: int, default: int, info: ReplicaInfo) -> tuple[Prompt, int]:
    """Return the prompt as it is charged, and the largest answer. Unit: tokens.

    Raises PromptTooLong when what is asked for cannot fit. An estimated prompt is cut to what is left
    instead, since a guess is no ground for a refusal: the backend judges.
    """
    least = max(1, asked)
    if prompt.estimated:
        left = max(1, info.max_total_tokens - least)
        prompt = replace(prompt, token_count=min(prompt.token_count, left))
    room = info.max_total_tokens - prompt.token_count
    if room < least:
        raise PromptTooLong(
            f"the prompt has {prompt.token_count} tokens, the answer up to {least}, "
            f"but model {info.model} holds {info.max_total_tokens}: shorten the prompt or ask for less",
            metadata={
                "prompt_tokens": str(prompt.token_count),
                "max_total_tokens": str(info.max_total_tokens),
            },
        )
    return prompt, asked or min(default, room)


def preemptible(prompt: Prompt, constraint: Constraint | None, info: ReplicaInfo) -> bool:
    """Whether it goes on elsewhere without losing much; native tool calls come back only as a whole."""
    return constraint is None and info.capabilities.continues_text and not native(prompt)


def obstacle(info: ReplicaInfo, model: str, revision: str, tokens: int) -> str | None:
    """Say why a replica cannot run or go on with an answer that it was granted; None: it can.

    `tokens`: of the prompt and the longest answer. A replica may have changed since the grant.
    """
    if not info.same_model(model, revision):
        return f"the backend of model {model} serves {info.model} {info.revision[:12]} by now".rstrip()
    if tokens > info.max_total_tokens:
        return f"the backend of model {model} holds only {info.max_total_tokens} tokens by now"
    return None


def can_continue(prompt: Prompt, constraint: Constraint | None, text: str, info: ReplicaInfo | None) -> bool:
    """Whether a replica goes on from `text`; otherwise it starts over, with the same seed.

    No backend can enter a grammar in its middle. A chat without text so far has nothing to go on from:
    thoughts and tool calls are lost with their backend.
    """
    if constraint is not None or (info is not None and not info.capabilities.continues_text):
        return False
    return prompt.chat is None or bool(text)
