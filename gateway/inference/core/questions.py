"""What a request binds its output to, as a question that another process can answer. Pure.

A question says all that its answer depends on, so equal questions have equal answers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import ConstraintInvalid
from gateway.inference.model import Constraint, ConstraintKind, GenerationSpec
from services.chassis.chat import ToolDefinition
from services.chassis.constraints.regexes import MAX_PATTERN_BYTES
from services.chassis.constraints.schemas import MAX_COMPOSED_BYTES, MAX_SCHEMA_BYTES
from services.chassis.constraints.weight import LIGHT_VALUE, light

Calls = Sequence[tuple[str, str]]
"""Tools called, each with the JSON text of its arguments."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a judgement."""

    constraint: Constraint | None = None
    """What a backend is given; None where the output is bound to nothing."""
    refused: str = ""
    """Why the question cannot be used; empty: it can."""

    @property
    def size(self) -> int:
        """What it weighs, about. Unit: bytes."""
        return len(self.refused) + (len(self.constraint.text) if self.constraint is not None else 0)


@dataclass(frozen=True, slots=True)
class Keeping:
    """Whether a finished output keeps what it was bound to."""

    output: bool
    """Whether the whole text does."""
    calls: tuple[bool, ...]
    """Whether each call keeps the schema of its tool."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a request binds its output to."""

    encoded: bytes
    light: bool
    """Whether it is judged in a moment."""

    @classmethod
    def of(cls, spec: GenerationSpec, tools: Sequence[ToolDefinition]) -> "Question":
        """Build the question of a request in which the model is shown `tools`.

        Raises ConstraintInvalid for texts that are too long to be looked at.
        """
        constraint = spec.constraint
        _check_lengths(constraint, tools)
        said = {
            "kind": constraint.kind.value if constraint is not None else "",
            "text": constraint.text if constraint is not None else "",
            "tools": [(tool.name, tool.parameters_schema) for tool in tools],
            "choice": spec.tool_choice.value,
            "named": spec.tool_choice_name,
            "most": spec.max_tool_calls,
        }
        plain = constraint is None or constraint.kind is ConstraintKind.JSON
        texts = [tool.parameters_schema for tool in tools]
        if constraint is not None:
            texts.append(constraint.text)
        return cls(json.dumps(said).encode(), plain and light(texts))

    def keeps_in_a_moment(self, output: str | None, calls: Calls) -> bool:
        """Whether holding an output against it takes a moment."""
        return self.light and len(output or "") + sum(len(text) for _, text in calls) <= LIGHT_VALUE


def _check_lengths(constraint: Constraint | None, tools: Sequence[ToolDefinition]) -> None:
    for tool in tools:
        if len(tool.parameters_schema) > MAX_SCHEMA_BYTES:
            raise ConstraintInvalid(
                f"the parameters of tool {tool.name!r} cannot be used: larger than {MAX_SCHEMA_BYTES} bytes"
            )
    if constraint is None:
        return
    regex = constraint.kind is ConstraintKind.REGEX
    most = MAX_PATTERN_BYTES if regex else MAX_COMPOSED_BYTES
    if len(constraint.text) > most:
        what = "regular expression" if regex else "JSON schema"
        raise ConstraintInvalid(f"the {what} cannot be used: it is larger than {most} bytes")
