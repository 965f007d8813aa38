"""What the form of a prompt and the capabilities of a replica mean for a generation. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.errors import CapabilityMissing, ConstraintInvalid, PromptTooLong
from gateway.inference.core.answer_form import calls_or_answer
from gateway.inference.core.tool_schemas import MAX_FORCED_CALLS, forced_call_constraint, within_engines
from gateway.inference.model import (
    MOST_TOKENS,
    Constraint,
    ConstraintKind,
    GenerationSpec,
    Prompt,
    ReplicaInfo,
    Sampling,
    ToolChoice,
)
from gateway.inference.ports import ConstraintChecker
from services.chassis.chat import ToolDefinition
from services.chassis.dispatch.scheduling import TOKEN_MARGIN
from services.chassis.rpc.errors import InvalidRequest


def native(prompt: Prompt) -> bool:
    """Whether the backend is shown the tools as they are, and tells tool calls apart itself."""
    return prompt.chat is not None and bool(prompt.chat.tools)


def shown_tools(spec: GenerationSpec) -> tuple[ToolDefinition, ...]:
    """Return the tools that the model is shown."""
    return spec.tools if spec.tool_choice is not ToolChoice.NONE else ()


def callable_tools(spec: GenerationSpec) -> tuple[ToolDefinition, ...]:
    """Return the tools that the model may call; it may be shown more."""
    if not spec.tool_choice_name:
        return shown_tools(spec)
    return tuple(tool for tool in spec.tools if tool.name == spec.tool_choice_name)


def form_beside_tools(spec: GenerationSpec) -> str:
    """Return the schema that an answer has to keep when no tool is called; empty: there is no such choice."""
    constraint = spec.constraint
    if constraint is None or constraint.kind is not ConstraintKind.JSON:
        return ""
    return constraint.text if spec.tools and spec.tool_choice is ToolChoice.AUTO else ""


def check_request(spec: GenerationSpec) -> None:
    """Raise InvalidRequest for fields that exclude one another."""
    if bool(spec.messages) == bool(spec.prompt):
        raise InvalidRequest.field("messages", "exactly one of messages and prompt is required")
    regex = spec.constraint is not None and spec.constraint.kind is ConstraintKind.REGEX
    if regex and shown_tools(spec):
        raise InvalidRequest.field(
            "constraint.regex",
            "a regular expression and tools exclude one another; a JSON schema is taken",
        )
    if not spec.tool_choice_name:
        return
    if spec.tool_choice is not ToolChoice.REQUIRED:
        raise InvalidRequest.field("tool_choice_name", "a tool is named only with TOOL_CHOICE_REQUIRED")
    if not callable_tools(spec):
        raise InvalidRequest.field("tool_choice_name", f"{spec.tool_choice_name!r} is none of the tools")


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
    shown; so is the form of an answer which cannot come because a call is required. Raises ConstraintInvalid.
    """
    accepts_call = checker.compile_tools(tools) if tools else None
    whole = kept = spec.constraint
    most = spec.max_tool_calls or MAX_FORCED_CALLS
    if tools and spec.tool_choice is ToolChoice.REQUIRED:
        if spec.constraint is not None:
            checker.compile(spec.constraint)
        whole = forced_call_constraint(callable_tools(spec), most)
        kept = within_engines(whole)
    elif tools and (form := form_beside_tools(spec)):
        whole, kept = calls_or_answer(tools, form, most)
    if whole is None or kept is None:
        return Bound(None, None, accepts_call)
    accepts = checker.compile(whole)
    kept = replace(
        kept, recursive=accepts.recursive, any_root=accepts.any_root, root_choice=accepts.root_choice
    )
    return Bound(kept, accepts, accepts_call)


def check_constraint(constraint: Constraint | None, info: ReplicaInfo) -> None:
    """Raise CapabilityMissing or ConstraintInvalid for a constraint that the backend cannot keep."""
    if constraint is None:
        return
    able = info.capabilities
    if not (able.regexes if constraint.kind is ConstraintKind.REGEX else able.constraints):
        kind = constraint.kind.value
        raise CapabilityMissing(
            f"the backend of model {info.model} cannot force its output into a given {kind} form",
            metadata={"model": info.model, "capability": f"constraint.{kind}"},
        )
    if constraint.recursive and not able.recursive_schemas:
        raise ConstraintInvalid(
            f"the JSON schema refers to itself, which the backend of model {info.model} cannot keep to"
        )
    if not constraint.any_root or able.any_root or (constraint.root_choice and able.root_choice):
        return
    if constraint.beside_tools:
        raise CapabilityMissing(
            "the output can keep a form beside tools only as a choice of schemas, "
            f"which the backend of model {info.model} cannot keep: leave out one of the two",
            metadata={"model": info.model, "capability": "constraint.beside_tools"},
        )
    raise ConstraintInvalid(
        "the JSON schema must be an object schema with `properties` at its root: "
        f"the backend of model {info.model} takes no other"
    )


def check_penalties(sampling: Sampling, info: ReplicaInfo) -> None:
    """Raise CapabilityMissing for a penalty that the backend does not have."""
    if sampling.presence_penalty and not info.capabilities.presence_penalty:
        raise CapabilityMissing(
            f"the backend of model {info.model} has no presence penalty; a frequency penalty it has",
            metadata={"model": info.model, "capability": "presence_penalty"},
        )


def fitted(prompt: Prompt, spec: GenerationSpec, default: int, info: ReplicaInfo) -> tuple[Prompt, int]:
    """Return the prompt as it is charged, and the largest answer. Unit: tokens.

    Raises PromptTooLong when what is asked for cannot fit. An estimated prompt is cut to what is left
    instead, since a guess is no ground for a refusal: the backend judges.
    """
    least, window = spec.least_answer, info.max_total_tokens
    if prompt.estimated:
        prompt = replace(prompt, token_count=min(prompt.token_count, max(1, window - least)))
    room = window - prompt.token_count
    if room < least:
        raise PromptTooLong(
            f"the prompt has {prompt.token_count} tokens, the answer up to {least}, "
            f"but model {info.model} holds {window}: shorten the prompt or ask for less",
            metadata={"prompt_tokens": str(prompt.token_count), "max_total_tokens": str(window)},
        )
    if not spec.fit_max_tokens:
        return prompt, spec.max_tokens or min(default, room)
    if budget := int(info.max_batch_total_tokens * TOKEN_MARGIN):
        room = max(1, min(room, budget - prompt.token_count))  # more would never be granted
    return prompt, min(spec.max_tokens or MOST_TOKENS, room)


def may_overflow(prompt: Prompt, answer: int, info: ReplicaInfo) -> bool:
    """Whether a prompt that was guessed and its answer might not fit, were the guess off by half of it."""
    return prompt.estimated and 2 * prompt.token_count + answer > info.max_total_tokens


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
