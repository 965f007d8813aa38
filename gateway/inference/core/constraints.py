"""Compiles constraints before a backend sees them.

An engine that cannot compile one generates freely instead. A constraint comes from an agent, so what
compiling and checking it can cost is bounded: by what it unrolls to, not by its length
(`services.chassis.constraints.schema_cost`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import ConstraintInvalid
from gateway.inference.core.tool_schemas import arguments_schema
from gateway.inference.model import Constraint, ConstraintKind
from services.chassis.chat import ToolDefinition
from services.chassis.constraints.schema_cost import MAX_PARTS, MAX_UNROLLED
from services.chassis.constraints.schemas import (
    MAX_COMPOSED_BYTES,
    BadRegex,
    BadSchema,
    Cost,
    parse,
    predicate,
    schema_cost,
    whole_match,
)
from services.chassis.json_text import read_json


@dataclass(frozen=True, slots=True)
class Compiled:
    """A predicate over finished output, and what a backend must be able to do to keep to it."""

    accepts: Callable[[str], bool]
    recursive: bool = False
    """Whether it is a schema that refers to itself."""
    any_root: bool = False
    """Whether it is a schema whose root is not plainly an object with properties."""
    root_choice: bool = False
    """Whether it is a choice of schemas, by `anyOf` at the root."""

    def __call__(self, output: str) -> bool:
        """Tell whether a whole output keeps the constraint."""
        return self.accepts(output)


class CompilingChecker:
    """Checks JSON schemas (draft 2020-12) and regular expressions, and output against them."""

    def compile(self, constraint: Constraint) -> Compiled:
        """Return a predicate over finished output. Raises ConstraintInvalid."""
        if constraint.kind is ConstraintKind.REGEX:
            return Compiled(_regex(constraint.text))
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


def _schema(text: str) -> Compiled:
    try:
        schema = parse(text, max_bytes=MAX_COMPOSED_BYTES)
        cost = schema_cost(schema, recursive=True)
        return Compiled(
            _predicate(schema),
            recursive=cost.recursive,
            any_root=not isinstance(schema.get("properties"), dict),
            root_choice="anyOf" in schema,
        )
    except BadSchema as error:
        raise ConstraintInvalid(f"the JSON schema cannot be used: {error}") from error


def _parameters(tool: ToolDefinition) -> tuple[Cost, Callable[[str], bool]]:
    schema = arguments_schema(tool)
    try:
        return schema_cost(schema, recursive=True), _predicate(schema)
    except BadSchema as error:
        raise ConstraintInvalid(f"the parameters of tool {tool.name!r} cannot be used: {error}") from error


def _predicate(schema: dict[str, Any]) -> Callable[[str], bool]:
    """Return a test of JSON texts. Raises BadSchema.

    A text that says one thing to this reader and may say another to the next (a name given twice, NaN) fails.
    """
    holds = predicate(schema, recursive=True)

    def accepts(output: str) -> bool:
        try:
            value = read_json(output)
        except ValueError:
            return False
        return holds(value)

    return accepts
