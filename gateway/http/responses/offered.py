"""Tools of every kind that Responses knows, as tools of the kernel, and calls of them told back. Pure.

The kernel knows functions only. A tool of a namespace becomes a function `namespace.name`; a custom tool,
which takes text as it stands, a function of one string `input`. Tools that a vendor runs itself do not exist
here and are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.http.common import checks, tools
from gateway.http.common.words import Words
from gateway.http.errors import UnsupportedParameter
from gateway.http.responses.schema import AllowedTool, Choice, Grammar, Tool
from gateway.http.visit import decode
from services.chassis.rpc.errors import InvalidRequest

_INPUT_SCHEMA: Final = (
    '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],'
    '"additionalProperties":false}'
)
_LONGEST_GRAMMAR: Final = 8_192
"""A longer one is not shown to the model."""
_ALLOWED: Final = "allowed_tools"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a function of the kernel is to the client."""

    name: str
    namespace: str = ""
    custom: bool = False


class Offered:
    """The tools of one request."""

    def __init__(self, words: Words) -> None:
        self.tools = tools.Tools(words)
        self.kinds: dict[str, Kind] = {}
        """By the kernel's name."""
        self.echo: list[object] = []
        """The tools as the answer repeats them."""

    @classmethod
    def known(cls, kinds: Mapping[str, tuple[str, str, bool]]) -> "Offered":
        """Return what tells calls back, without the tools themselves."""
        made = cls(Words())
        made.kinds = {name: Kind(*kind) for name, kind in kinds.items()}
        return made

    def add(self, raws: Sequence[msgspec.Raw], path: str, *, echo: bool = True) -> None:
        """Add what a client lists. Raises InvalidRequest."""
        for index, raw in enumerate(raws):
            at = f"{path}[{index}]"
            tool = _read(raw, at)
            if self._add(tool, at) and echo:
                self.echo.append(_echo(tool) if tool.type == "function" else raw.copy())

    def kind(self, name: str) -> Kind:
        """Return what a function of the kernel is to the client."""
        return self.kinds.get(name) or Kind(name)

    def _add(self, tool: Tool, path: str) -> bool:
        match tool.type:
            case "function":
                self._function(tool, path)
            case "custom":
                self._custom(tool, path)
            case "namespace":
                for index, inner in enumerate(tool.tools or ()):
                    at = f"{path}.tools[{index}]"
                    if inner.type == "function":
                        self._function(inner, at, tool.name)
                    elif inner.type == "custom":
                        self._custom(inner, at, tool.name)
            case _:
                return False
        return True

    def _function(self, tool: Tool, path: str, namespace: str = "") -> None:
        schema = checks.json_object(tool.parameters, f"{path}.parameters")
        name = flat(tool.name, namespace)
        self.tools.add(name, tool.description or "", schema, path)
        self.kinds[name] = Kind(tool.name, namespace)

    def _custom(self, tool: Tool, path: str, namespace: str = "") -> None:
        name = flat(tool.name, namespace)
        self.tools.add(name, _described(tool), _INPUT_SCHEMA, path)
        self.kinds[name] = Kind(tool.name, namespace, custom=True)


def flat(name: str, namespace: str | None) -> str:
    """Return the kernel's name of a tool."""
    return f"{namespace}.{name}" if namespace else name


def choice(asked: str | Choice | None, *, parallel: bool | None) -> tools.Choice:
    """Read which tools are to be called. Raises InvalidRequest or UnsupportedParameter."""
    most = 1 if parallel is False else 0
    if asked is None:
        return tools.Choice(most=most)
    if isinstance(asked, str):
        return tools.Choice(tools.mode(asked, "tool_choice"), most=most)
    if asked.type in {"function", "custom"}:
        return tools.Choice(tools.MODES["required"], flat(asked.name, asked.namespace), most=most)
    if asked.type == _ALLOWED:
        mode = tools.mode(asked.mode, "tool_choice.mode", ("auto", "required"))
        return tools.Choice(mode, allowed=_allowed(asked.tools or ()), most=most)
    raise UnsupportedParameter.field(
        "tool_choice", f"a tool of type {asked.type[:64]!r} is not there to be called"
    )


def input_text(arguments: str) -> str:
    """Return the text that a custom tool is called with."""
    try:
        found = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
    text = found.get("input") if isinstance(found, dict) else None
    return text if isinstance(text, str) else arguments


def input_arguments(text: str) -> str:
    """Return the arguments that stand for a custom tool's text."""
    return msgspec.json.encode({"input": text}).decode()


def _allowed(named: Sequence[AllowedTool]) -> tuple[str, ...]:
    return tuple(flat(each.name, each.namespace) for each in named if each.type in {"function", "custom"})


def _read(raw: msgspec.Raw, path: str) -> Tool:
    try:
        return decode(bytes(raw), Tool)
    except InvalidRequest as error:
        [found] = error.violations
        inside = "" if found.field == "body" else f".{found.field}"
        raise InvalidRequest.field(f"{path}{inside}", found.description) from None


def _echo(tool: Tool) -> dict[str, object]:
    """Return a function with the fields that strict clients look for, null where it has none."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters.copy() if checks.present(tool.parameters) else None,
        "strict": tool.strict,
    }


def _described(tool: Tool) -> str:
    """Describe a custom tool with the form of its text, so that the model can keep to it."""
    told = [tool.description or "", "Write the whole text into `input`, as it stands."]
    grammar = _grammar(tool.format)
    if grammar and len(grammar) <= _LONGEST_GRAMMAR:
        told.append(f"It follows this grammar:\n{grammar}")
    return "\n\n".join(part for part in told if part)


def _grammar(form: msgspec.Raw) -> str:
    """Return the grammar of a custom tool's text; empty where none is given in a way that is known."""
    if not checks.present(form):
        return ""
    try:
        return msgspec.json.decode(form, type=Grammar).definition or ""
    except (msgspec.DecodeError, RecursionError):
        return ""
