"""The tools that a client offers, which of them it wants called, and how the calls are told. Pure."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import checks
from gateway.http.common.words import Words
from services.chassis.rpc.errors import InvalidRequest

TOOLS: Final = 128
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_DESCRIPTION: Final = 32_768
_NUMBERED: Final = re.compile(r"call_[0-9]{1,3}(_[0-9]{1,3})?")

MODES: Final = {
    "auto": pb.TOOL_CHOICE_AUTO,
    "none": pb.TOOL_CHOICE_NONE,
    "required": pb.TOOL_CHOICE_REQUIRED,
    "any": pb.TOOL_CHOICE_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether tools may be called, and which."""

    mode: "pb.ToolChoice" = pb.TOOL_CHOICE_AUTO
    name: str = ""
    """The one that must be called."""
    allowed: tuple[str, ...] | None = None
    """The ones that may be called; None: all."""
    most: int = 0
    """Most calls in the answer; 0: no limit."""


class Tools:
    """Gathers the tools, with the client's path of each."""

    def __init__(self, words: Words) -> None:
        self.definitions: list[chat_pb2.ToolDefinition] = []
        self._paths: dict[str, str] = {}
        self._words = words

    def add(
        self, name: str, description: str, schema: str, path: str, *, schema_path: str = "parameters"
    ) -> None:
        """Add one. `schema` is the text of a JSON object, or empty. Raises InvalidRequest."""
        if len(self.definitions) >= TOOLS:
            raise InvalidRequest.field(path, f"at most {TOOLS} tools are taken")
        if not _NAME.fullmatch(name):
            raise InvalidRequest.field(f"{path}.name", f"must match {_NAME.pattern}")
        if name in self._paths:
            raise InvalidRequest.field(f"{path}.name", f"another tool has the name {name!r}")
        checks.characters(description, f"{path}.description", _DESCRIPTION)
        checks.size(schema, f"{path}.{schema_path}", checks.SCHEMA_BYTES)
        ours = f"tools[{len(self.definitions)}]"
        self._words.say(ours, path)
        self._words.say(f"{ours}.parameters_schema_json", f"{path}.{schema_path}")
        self._paths[name] = path
        self.definitions.append(
            chat_pb2.ToolDefinition(name=name, description=description, parameters_schema_json=schema)
        )

    def write(self, request: pb.GenerateRequest, choice: Choice, path: str) -> None:
        """Offer them in a request, as the choice says. `path` names the client's field of the choice.

        Nothing is offered when no tool may be called. Raises InvalidRequest for a choice that is not there.
        """
        for name in (*(choice.allowed or ()), choice.name):
            if name and name not in self._paths:
                raise InvalidRequest.field(path, f"there is no tool {name[:128]!r} among the tools")
        if choice.mode == pb.TOOL_CHOICE_NONE:
            return
        offered = self._offered(choice)
        if not offered:
            if choice.mode == pb.TOOL_CHOICE_REQUIRED:
                raise InvalidRequest.field(path, "a call is required, but no tool is given")
            return
        request.tools.extend(offered)
        request.tool_choice = choice.mode
        request.tool_choice_name = choice.name
        request.max_tool_calls = choice.most

    def _offered(self, choice: Choice) -> Sequence[chat_pb2.ToolDefinition]:
        if choice.allowed is None:
            return self.definitions
        allowed = frozenset(choice.allowed)
        return [tool for tool in self.definitions if tool.name in allowed]


def mode(text: str, path: str, known: Iterable[str] = ("auto", "none", "required")) -> "pb.ToolChoice":
    """Read a mode by its name. Raises InvalidRequest."""
    if text not in known:
        raise InvalidRequest.field(path, f"must be one of {', '.join(known)}")
    return MODES[text]


def call_id(generation: str, index: int, given: str) -> str:
    """Return the id under which a client is told a call.

    A model that writes calls as text gives them no ids, and the kernel only numbers them; clients keep calls
    of many answers apart by their ids. `generation` names the answer.
    """
    if given and not _NUMBERED.fullmatch(given):
        return given
    return "call_" + hashlib.sha256(f"{generation}/{index}".encode()).hexdigest()[:24]


FREE_TEXT_SCHEMA: Final = (
    '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],'
    '"additionalProperties":false}'
)
"""Parameters of a tool whose input is one text of any form, as clients' `custom` tools take it."""


def free_text_arguments(text: str) -> str:
    """Write the arguments of a call of such a tool."""
    return str(msgspec.json.encode({"input": text}), "utf-8")


def free_text(arguments_json: str) -> str:
    """Return the text of a call of such a tool; the arguments as they are where the model wrote others."""
    try:
        found = msgspec.json.decode(arguments_json, type=dict[str, object]).get("input")
    except (msgspec.DecodeError, RecursionError):
        return arguments_json
    return found if isinstance(found, str) else arguments_json
