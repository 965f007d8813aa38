"""Answers questions about what outputs are bound to; `judging` is what a process for them runs. Pure."""

import json
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from gateway.errors import ConstraintInvalid
from gateway.inference.core import prompt_plan
from gateway.inference.core.constraints import CompilingChecker
from gateway.inference.core.questions import Calls, Finding, Keeping
from gateway.inference.model import Constraint, ConstraintKind, GenerationSpec, ToolChoice
from services.chassis.chat import ToolDefinition

_LENGTH: Final = struct.Struct("<I")
_COMPILED: Final = 16
"""Bound forms that a process keeps compiled."""


def find(question: bytes) -> Finding:
    """Judge and compile what a question is about."""
    try:
        return Finding(_bound(question).constraint)
    except ConstraintInvalid as error:
        return Finding(refused=error.message)


def keep(question: bytes, output: str | None, calls: Calls) -> Keeping:
    """Hold a finished output against what it was bound to; `output` None: it is bound by its calls alone."""
    bound = _bound(question)
    return Keeping(
        output is None or bound.accepts is None or bound.accepts(output),
        tuple(bound.accepts_call is None or bound.accepts_call(name, text) for name, text in calls),
    )


def packed(question: bytes, output: str | None = None, calls: Calls | None = None) -> bytes:
    """Build the message for a process: to `find`, or with calls to `keep`."""
    rest = b"" if calls is None else json.dumps([output, list(calls)]).encode()
    return _LENGTH.pack(len(question)) + question + rest


def judging() -> Callable[[bytes], bytes]:
    """Return the handler of a process that answers questions."""
    return _answer


def _answer(message: bytes) -> bytes:
    (length,) = _LENGTH.unpack_from(message)
    question, rest = message[_LENGTH.size :][:length], message[_LENGTH.size + length :]
    if rest:
        output, calls = json.loads(rest)
        kept = keep(question, output, calls)
        return json.dumps([kept.output, kept.calls]).encode()
    found = find(question)
    constraint = found.constraint
    told: list[Any] = [found.refused]
    if constraint is not None:
        told += [constraint.kind.value, constraint.text, constraint.recursive, constraint.any_root]
        told += [constraint.root_choice, constraint.beside_tools]
    return json.dumps(told).encode()


def finding_of(answer: bytes) -> Finding:
    """Read what a process found."""
    refused, *told = json.loads(answer)
    if not told:
        return Finding(refused=refused)
    kind, text, recursive, any_root, root_choice, beside_tools = told
    return Finding(
        Constraint(
            ConstraintKind(kind),
            text,
            recursive=recursive,
            any_root=any_root,
            root_choice=root_choice,
            beside_tools=beside_tools,
        )
    )


def keeping_of(answer: bytes) -> Keeping:
    """Read whether an output was found to be kept."""
    output, calls = json.loads(answer)
    return Keeping(output, tuple(calls))


@lru_cache(maxsize=_COMPILED)
def _bound(question: bytes) -> prompt_plan.Bound:
    """Compile what a question is about. Raises ConstraintInvalid, which is not remembered."""
    said = json.loads(question)
    constraint = Constraint(ConstraintKind(said["kind"]), said["text"]) if said["kind"] else None
    tools = tuple(ToolDefinition(name, "", schema) for name, schema in said["tools"])
    spec = GenerationSpec(
        constraint=constraint,
        tools=tools,
        tool_choice=ToolChoice(said["choice"]),
        tool_choice_name=said["named"],
        max_tool_calls=said["most"],
    )
    return prompt_plan.bind(CompilingChecker(), spec, tools)
