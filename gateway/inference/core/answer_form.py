"""The form of an answer beside tools: the output is calls of them, or it keeps the answer's schema. Pure.

No server keeps a schema and tells tool calls apart in one output. So the tools are shown as text, and the
output is bound to a choice at the root of one schema: the form of forced calls, or the answer's own.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from gateway.errors import ConstraintInvalid
from gateway.inference.core.tool_schemas import (
    CALLS_KEY,
    MAX_FORCED_CALLS,
    forced_call_constraint,
    is_affordable,
    within_engines,
)
from gateway.inference.model import Constraint, ConstraintKind
from services.chassis.chat import ToolDefinition
from services.chassis.constraints.references import refers, relocated
from services.chassis.constraints.schemas import BadSchema, parse

_ANSWER: Final = "answer"
_KEYS: Final = re.compile(rf'"({CALLS_KEY}(?:_[0-9]{{1,5}})?)"')


def calls_key(form: str) -> str:
    """Return the name under which the output holds its calls: one that the answer's schema never mentions."""
    mentioned = set(_KEYS.findall(json.dumps(json.loads(form))))
    key, number = CALLS_KEY, 1
    while key in mentioned:
        number += 1
        key = f"{CALLS_KEY}_{number}"
    return key


def calls_or_answer(
    tools: Sequence[ToolDefinition], form: str, most: int = MAX_FORCED_CALLS
) -> tuple[Constraint, Constraint]:
    """Build the choice between calls of `tools`, at most `most`, and an answer in its form.

    Returns the whole, and what of it engines can keep; they are given the answer's schema as it is, as they
    are without tools. Raises ConstraintInvalid.
    """
    try:
        answer = parse(form)
        forced = forced_call_constraint(
            tools,
            most,
            key=calls_key(form),
            affordable=lambda calls: is_affordable(_choice(calls, answer)),
        )
        return _constraint(forced, answer), _constraint(within_engines(forced), answer)
    except BadSchema as error:
        raise ConstraintInvalid(f"the JSON schema cannot be used: {error}") from error


def _choice(calls: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Put two documents into one. Each part's references go on leading where they led."""
    defined = dict(calls.get("$defs", {}))
    calls = {name: each for name, each in calls.items() if name != "$defs"}
    if not refers(answer):
        return {"anyOf": [calls, relocated(answer, "")], "$defs": defined}
    name = _ANSWER
    while name in defined:  # a tool may have that name
        name += "_"
    place = f"#/$defs/{name}"
    return {"anyOf": [calls, {"$ref": place}], "$defs": defined | {name: relocated(answer, place)}}


def _constraint(forced: Constraint, answer: dict[str, Any]) -> Constraint:
    schema = _choice(json.loads(forced.text), answer)
    return Constraint(ConstraintKind.JSON, json.dumps(schema), beside_tools=True)
