"""Compiles constraints before a backend sees them.

An engine that cannot compile one generates freely instead. A constraint comes from an agent, so what
compiling and checking it can cost is bounded: by what it unrolls to, not by its length
(`services.chassis.constraints.schema_cost`).
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from gateway.errors import ConstraintInvalid
from gateway.inference.model import Constraint, ConstraintKind
from services.chassis.chat import ToolDefinition
from services.chassis.constraints.schema_cost import MAX_PARTS, MAX_UNROLLED
from services.chassis.constraints.schemas import (
    BadRegex,
    BadSchema,
    Cost,
    parse,
    predicate,
    schema_cost,
    whole_match,
)


class CompilingChecker:
    """Checks JSON schemas (draft 2020-12) and regular expressions, and output against them."""

    def compile(self, constraint: Constraint) -> Callable[[str], bool]:
        """Return a predicate over finished output. Raises ConstraintInvalid."""
        if constraint.kind is ConstraintKind.REGEX:
            return _regex(constraint.text)
        return _schema(constraint.text)

    def compile_tools(self, tools: Sequence[ToolDefinition]) -> Callable[[str, str], bool]:
        """Return a predicate over calls: the name of a tool and the JSON text of its arguments.

        Engines compile the parameters of the tools they are shown, also where no call is forced. Raises
        ConstraintInvalid.
        """
        accepts: dict[str, Callable[[str], bool]] = {}
        parts = unrolled = 0
        for tool in tools:
            cost, accepts[tool.name] = _parameters(tool)
            parts, unrolled = parts + cost.parts, unrolled + cost.unrolled
            if parts > MAX_PARTS or unrolled > MAX_UNROLLED:
                raise ConstraintInvalid(
                    "the tools together are too costly: give fewer, or simpler parameters"
                )
        return lambda name, arguments: name in accepts and accepts[name](arguments or "{}")


def _regex(text: str) -> Callable[[str], bool]:
    try:
        return whole_match(text)
    except BadRegex as error:
        raise ConstraintInvalid(f"the regular expression cannot be used: {error}") from error


def _schema(text: str) -> Callable[[str], bool]:
    try:
        schema = parse(text)
        if not isinstance(schema.get("properties"), dict):
            raise ConstraintInvalid("the JSON schema must be an object schema with `properties` at its root")
        return _predicate(schema)
    except BadSchema as error:
        raise ConstraintInvalid(f"the JSON schema cannot be used: {error}") from error


def _parameters(tool: ToolDefinition) -> tuple[Cost, Callable[[str], bool]]:
    try:
        schema = parse(tool.parameters_schema or "{}")
        return schema_cost(schema), _predicate(schema)
    except BadSchema as error:
        raise ConstraintInvalid(f"the parameters of tool {tool.name!r} cannot be used: {error}") from error


def _predicate(schema: dict[str, Any]) -> Callable[[str], bool]:
    """Return a test of JSON texts. Raises BadSchema."""
    holds = predicate(schema)

    def accepts(output: str) -> bool:
        try:
            value = json.loads(output)
        except (ValueError, RecursionError):
            return False
        return holds(value)

    return accepts
