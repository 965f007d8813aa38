"""What a run returns: how the model is asked for it, and how its answer is read. Pure."""

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from aios import schema

OPENING: Final = "<tool_call>"
_CALL: Final = re.compile(r"(?<!`)" + re.escape(OPENING))
"""A call that was meant, not one that is quoted as code."""
_FENCED: Final = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_KEY: Final = "result"

UNREADABLE: Final = (
    "Your tool call could not be read: its JSON is broken, or it names a tool that you do not have. "
    "Write it again, or answer without a call."
)


class Way(Enum):
    """How the model is brought to answer in the output's form, best first; a backend may not be able to."""

    FORCED = "forced"  # every answer keeps the form, or calls tools; after a misfit it may not call any more
    FORCED_AT_THE_END = "forced_at_the_end"  # the last answer keeps the form, and may not call tools
    ASKED = "asked"  # the model is told the form, and what is wrong with its answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answer came to: a value, or what is wrong with it."""

    value: Any = None
    problem: str = ""


class Form:
    """The form of an output type. A text is taken as it is."""

    def __init__(self, output_type: Any) -> None:
        self.is_text = output_type is str
        self._type = output_type
        self._wrapped = False
        self.schema: schema.Schema = {}
        if not self.is_text:
            form = schema.schema_of(output_type, defaults=False)
            # Many backends force no other root than an object that has properties.
            self._wrapped = not form.get("properties")
            self.schema = _wrapped(form) if self._wrapped else form

    @property
    def note(self) -> str:
        """What the model is told of the form; empty for a text."""
        if self.is_text:
            return ""
        written = json.dumps(self.schema, ensure_ascii=False)
        return f"Your final answer is one JSON value of this JSON Schema, and nothing else:\n{written}"

    def read(self, text: str, *, cut: bool) -> Outcome:
        """Return the value in an answer, or what is wrong with it; `cut`: it ended at `max_tokens`."""
        if self.is_text:
            return Outcome(text)
        fenced = _FENCED.match(text)
        try:
            value = json.loads(fenced[1] if fenced else text)
        except (ValueError, RecursionError) as error:
            why = "it was too long and was cut" if cut else f"it is no JSON ({error})"
            return Outcome(problem=why)
        if self._wrapped and isinstance(value, dict) and set(value) == {_KEY}:
            value = value[_KEY]
        try:
            return Outcome(schema.build(self._type, value))
        except schema.Misfit as misfit:
            return Outcome(problem=str(misfit))

    def told(self, problem: str) -> str:
        """Return what the model is told of a problem."""
        return f"Your answer cannot be used: {problem}. Answer again, in the form that you were told."


def _wrapped(form: schema.Schema) -> schema.Schema:
    return {
        "type": "object",
        "properties": {_KEY: form},
        "required": [_KEY],
        "additionalProperties": False,
    }


def holds_unread_call(text: str) -> bool:
    """Tell whether a text holds a tool call that nobody could read."""
    return _CALL.search(text) is not None
