"""Compiles constraints before a backend sees them.

An engine that cannot compile one generates freely instead. A constraint comes from an agent, so what
compiling and checking it can cost is bounded: a schema leads nowhere but into itself, and regular expressions
run in linear time, without look-around and back-references.
"""

import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs

from gateway.errors import ConstraintInvalid
from gateway.inference.model import Constraint, ConstraintKind
from services.chassis.constraints.schemas import BadSchema, expanded_size, no_retrieval

MAX_DEPTH = 32


class CompilingChecker:
    """Checks JSON schemas (draft 2020-12) and regular expressions, and output against them."""

    def compile(self, constraint: Constraint) -> Callable[[str], bool]:
        """Return a predicate over finished output. Raises ConstraintInvalid."""
        if constraint.kind is ConstraintKind.REGEX:
            return _regex(constraint.text)
        return _schema(constraint.text)


def _regex(text: str) -> Callable[[str], bool]:
    try:
        validator = _validator({"type": "string", "pattern": rf"\A(?:{text})\z"})
    except (ValueError, jsonschema_rs.ValidationError) as error:
        raise ConstraintInvalid("the regular expression does not compile") from error
    return lambda output: bool(validator.is_valid(output))


def _schema(text: str) -> Callable[[str], bool]:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConstraintInvalid("the JSON schema is not valid JSON") from error
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        raise ConstraintInvalid("the JSON schema must be an object schema with `properties` at its root")
    if _depth(schema) > MAX_DEPTH:
        raise ConstraintInvalid(f"the JSON schema is nested deeper than {MAX_DEPTH} levels")
    try:
        expanded_size(schema)
        validator = _validator(schema)
    except BadSchema as error:
        raise ConstraintInvalid(f"the JSON schema cannot be used: {error}") from error
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        text = str(error).partition("\n")[0][:256]
        raise ConstraintInvalid(f"the JSON schema does not compile: {text}") from error

    def accepts(output: str) -> bool:
        try:
            value = json.loads(output)
        except (ValueError, RecursionError):
            return False
        return bool(validator.is_valid(value))

    return accepts


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        schema, retriever=no_retrieval, pattern_options=jsonschema_rs.RegexOptions()
    )


def _depth(value: Any) -> int:
    """Depth of nested containers, found without recursion."""
    deepest, stack = 0, [(value, 1)]
    while stack:
        node, level = stack.pop()
        deepest = max(deepest, level)
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        stack.extend((child, level + 1) for child in children)
    return deepest
