"""Tools as a model reads them in its prompt. Pure.

One line a tool: its name, its parameters with their types, what it does. What does not fit a line (further
lines of the description, what single parameters mean) follows indented, so that a tool which says no more is
the one line that small models were trained on. The texts come from whoever wrote the tool: they are bounded,
stay behind their indentation and cannot speak in the marks of chats and calls. The same tools always make the
same text, so that servers find it in their caches.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gateway.errors import ConstraintInvalid
from gateway.inference.core.tool_schemas import arguments_schema
from services.chassis.chat import ToolDefinition
from services.chassis.constraints.references import target
from services.chassis.constraints.schemas import BadSchema, parse

MAX_LISTING: Final = 262_144
"""Most characters about all tools together; beyond it of each only its name, its types and a few words."""
MAX_TOOL: Final = 32_768
"""Most characters about one tool below its first line."""
MAX_SIGNATURE: Final = 8_192
"""Most characters of a tool's parameters on its first line."""
_FEW: Final = 256
MAX_NOTE: Final = 2_048
"""Most characters of what is said about one parameter."""
MAX_PARTS: Final = 512
"""Most parts of a tool's schema that are shown, references followed."""
MAX_NESTING: Final = 16
"""Deepest nesting of types that is shown."""
MAX_VALUES: Final = 64
"""Most values of an enum that are shown."""
MAX_LITERAL: Final = 256
"""Most characters of one value."""

_MORE: Final = "..."
_BARE_NAME: Final = re.compile(r"[\w$-][\w.$-]{0,63}")
_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\u200b\ufeff]+")
_MARKS: Final = re.compile(
    r"<(?=\||/?(?:tool_call|tool_response|tools?|think|s|bos|eos|pad|unk|(?:start|end)_of_\w+)>)"
)
"""How the marks of calls and of chat templates begin."""
_CHOICES: Final = ("anyOf", "oneOf")
_JSON: Final = json.JSONEncoder(ensure_ascii=False)


def listing(tools: Sequence[ToolDefinition]) -> str:
    """Show tools, each on its first line and those below it. Raises ConstraintInvalid."""
    shown, room = [], MAX_LISTING
    for tool in tools:
        lines = tool_lines(tool)
        if sum(map(len, lines)) > room:
            lines = tool_lines(replace(tool, description=tool.description[:_FEW]))[:1]
        room = max(0, room - sum(map(len, lines)))
        shown += lines
    return "\n".join(shown)


def tool_lines(tool: ToolDefinition) -> list[str]:
    """Show a tool as `name(param: type, optional?: type): first line of its description`, and more below.

    Raises ConstraintInvalid when its parameters are no JSON schema.
    """
    schema = arguments_schema(tool)
    first, *rest = tool.description.strip().splitlines() or [""]
    view = _View(schema)
    try:
        signature = view.parameters()
    except (BadSchema, TypeError, AttributeError) as error:
        raise ConstraintInvalid(
            f"the parameters of tool {tool.name!r} are no JSON schema of an object"
        ) from error
    below = [f"  {text}" for line in rest if (text := _text(line))]
    below += [f"  {path}: {note}" for path, note in view.notes]
    return [f"{tool.name}({_cut(signature, MAX_SIGNATURE)}): {_text(first)}", *_bounded(below, MAX_TOOL)]


def answer_lines(form: str) -> list[str]:
    """Show the schema of an answer as a type, and below it what it says about its parts.

    Raises ConstraintInvalid.
    """
    try:
        view = _View(parse(form))
        shown = view.type()
    except (BadSchema, TypeError, AttributeError) as error:
        raise ConstraintInvalid("the form of the answer is no JSON schema") from error
    below = [f"  {path}: {note}" for path, note in view.notes]
    return [_cut(shown, MAX_SIGNATURE), *_bounded(below, MAX_TOOL)]


@dataclass(slots=True)
class _View:
    """Writes one schema as types, and collects what it says about its parts."""

    root: Mapping[str, Any]
    notes: list[tuple[str, str]] = field(default_factory=list)
    parts: int = 0

    def parameters(self) -> str:
        """Return what stands between the brackets of the tool's first line."""
        form = self._resolved(self.root)
        if "properties" in form or not any(each in form for each in _CHOICES):
            return ", ".join(self._fields(form, "", (id(self.root),)))
        return self._type(self.root, "", ())

    def type(self) -> str:
        """Return the whole schema as a type."""
        return self._type(self.root, "", ())

    def _fields(self, form: Mapping[str, Any], path: str, above: tuple[int, ...]) -> Iterator[str]:
        properties, required = form.get("properties", {}), form.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list):
            raise BadSchema("it is no schema of an object")
        missing = [name for name in required if isinstance(name, str) and name not in properties]
        for name, spec in [*properties.items(), *((name, True) for name in missing)]:
            if self.parts >= MAX_PARTS:
                yield _MORE
                return
            shown = _name(name)
            at = f"{path}.{shown}" if path else shown
            self._note(at, spec)
            optional = "" if name in required else "?"
            yield f"{shown}{optional}: {self._type(spec, at, above)}{self._default(spec)}"
        rest = form.get("additionalProperties")
        if isinstance(rest, Mapping) and rest:
            yield f"[name]: {self._type(rest, f'{path}[name]', above)}"

    def _type(self, spec: Any, path: str, above: tuple[int, ...]) -> str:
        """Write a schema as a type. `above` are the schemas around it, which it may refer back to."""
        self.parts += 1
        if self.parts > MAX_PARTS or len(above) > MAX_NESTING:
            return _MORE
        form = self._resolved(spec)
        meant = target(self.root, spec["$ref"]) if isinstance(spec, Mapping) and "$ref" in spec else spec
        if id(meant) in above:
            return _text(str(form.get("title", form.get("type", "any"))))[:64]
        above = (*above, id(meant))
        if "const" in form:
            return _literal(form["const"])
        if isinstance(values := form.get("enum"), list):
            return " | ".join([*map(_literal, values[:MAX_VALUES]), *[_MORE][: len(values) > MAX_VALUES]])
        if any(isinstance(form.get(each), list) for each in _CHOICES):
            return self._choice(form, path, above)
        kinds = form.get("type", "object" if "properties" in form else "any")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        return " | ".join(dict.fromkeys(self._kind(str(kind), form, path, above) for kind in kinds))

    def _choice(self, form: Mapping[str, Any], path: str, above: tuple[int, ...]) -> str:
        branches = [branch for each in _CHOICES for branch in form.get(each) or ()]
        shared = {name: each for name, each in form.items() if name not in _CHOICES}
        if "properties" in shared:  # what the branches say is said beside what holds for all of them
            return self._type(shared, path, above)
        return " | ".join(dict.fromkeys(self._type(branch, path, above) for branch in branches))

    def _kind(self, kind: str, form: Mapping[str, Any], path: str, above: tuple[int, ...]) -> str:
        if kind == "array":
            return self._array(form, path, above)
        if kind == "object" and (form.get("properties") or form.get("additionalProperties")):
            return self._object(form, path, above)
        if kind == "string" and isinstance(form.get("format"), str):
            return f"string<{_text(form['format'])[:64]}>"
        return _text(kind)[:64]

    def _array(self, form: Mapping[str, Any], path: str, above: tuple[int, ...]) -> str:
        if isinstance(places := form.get("prefixItems"), list):
            return f"[{', '.join(self._type(each, f'{path}[]', above) for each in places)}]"
        items = form.get("items", True)
        if not isinstance(items, Mapping) or not items:
            return "array"
        self._note(f"{path}[]", items)
        inner = self._type(items, f"{path}[]", above)
        return f"({inner})[]" if " | " in inner and not inner.endswith("}") else f"{inner}[]"

    def _object(self, form: Mapping[str, Any], path: str, above: tuple[int, ...]) -> str:
        fields = ", ".join(self._fields(form, path, above))
        return f"{{{fields}}}" if fields else "object"

    def _resolved(self, spec: Any) -> Mapping[str, Any]:
        """Return a schema with its reference followed and what holds beside one another put together."""
        if not isinstance(spec, Mapping):
            return {}
        form: dict[str, Any] = dict(spec)
        for _ in range(MAX_NESTING):  # a reference may lead to the next one
            parts = form.pop("allOf", None)
            more = list(parts) if isinstance(parts, list) else []
            if "$ref" in form:
                more.insert(0, target(self.root, form.pop("$ref")))
            if not more or self.parts > MAX_PARTS:
                break
            self.parts += len(more)
            for part in more:
                form = _together(form, part)
        return form

    def _note(self, path: str, spec: Any) -> None:
        form = self._resolved(spec)
        said = form.get("description")
        if isinstance(said, str) and (text := _text(said[: 2 * MAX_NOTE])):
            self.notes.append((path, _cut(text, MAX_NOTE)))

    def _default(self, spec: Any) -> str:
        form = self._resolved(spec)
        return f" = {_literal(form['default'])}" if "default" in form else ""


def _together(form: Mapping[str, Any], part: Any) -> dict[str, Any]:
    """Put what a schema and one beside it say together: their fields add up, else the outer one counts."""
    if not isinstance(part, Mapping):
        return dict(form)
    merged = {**part, **form}
    for name in ("properties", "required"):
        inner, outer = part.get(name), form.get(name)
        if isinstance(inner, Mapping) and isinstance(outer, Mapping):
            merged[name] = {**outer, **{each: inner[each] for each in inner if each not in outer}}
        elif isinstance(inner, list) and isinstance(outer, list):
            merged[name] = [*inner, *outer]
    return merged


def _name(name: str) -> str:
    return name if _BARE_NAME.fullmatch(name) else _literal(name)


def _literal(value: Any) -> str:
    """Write a value as JSON on one line, in which no mark of a chat or call can stand."""
    text = ""
    for piece in _JSON.iterencode(value):
        text += piece
        if len(text) > MAX_LITERAL:
            break
    return _cut(_BLANKS.sub(" ", _MARKS.sub(r"\\u003c", text)), MAX_LITERAL)


def _text(text: str) -> str:
    """Write a text on one line, in which no mark of a chat or call can stand."""
    return _MARKS.sub("< ", _BLANKS.sub(" ", text)).strip()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + _MORE


def _bounded(lines: Sequence[str], most: int) -> Iterator[str]:
    """Return the lines that have room, and a sign that there are more."""
    for line in lines:
        most -= len(line)
        if most < 0:
            yield f"  {_MORE}"
            return
        yield line
