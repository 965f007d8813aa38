"""Where the references of a JSON schema lead, and how they go on leading there. Pure.

References stay inside their document. They are written in many ways (with escapes for URIs or without, by
the document's own `$id`, by an `$anchor`), and validators and engines do not all read them alike. So each is
written in one way when a schema is read: as the JSON pointer of its target.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

MAX_ANCHORS: Final = 64
"""Most names that a schema gives its parts by `$anchor`."""

_ONE: Final = frozenset(
    {"additionalProperties", "unevaluatedProperties", "propertyNames", "contentSchema", "contains"}
    | {"items", "additionalItems", "unevaluatedItems", "not", "if", "then", "else"}
)
_LISTED: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
_NAMED: Final = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"}
)
_ROOT_ONLY: Final = ("$id", "$schema", "$vocabulary")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,5}")
_UNESCAPED: Final = "/~!$&'()*+,;=:@-._?"
"""Signs that stand for themselves in the fragment of a URI."""
_SHOWN: Final = 64

_Path = tuple[Any, ...]
"""A place in a document as (place of what holds it, step from there); the root is empty."""


class BadSchema(ValueError):
    """The schema is malformed, refers elsewhere or to itself, or costs too much."""


def target(root: Any, reference: Any) -> Any:
    """Find what a reference means. Raises BadSchema when that is nothing in this document, or not clear."""
    if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
        raise BadSchema(f"references to {str(reference)[:_SHOWN]} are not followed: they must begin with #/")
    found = _at(root, _decoded(reference))
    if found is None:
        raise _nowhere(reference)
    literal = _at(root, reference) if "%" in reference else None
    if literal is not None and literal[0] is not found[0]:
        raise BadSchema(f"{reference[:_SHOWN]} means one thing with its escapes and another without")
    return found[0]


def nodes(root: Mapping[str, Any]) -> Iterator[Any]:
    """Return each object of a settled document that is read as a schema: held by another, or referred to.

    It may be changed before the next is asked for, but for its reference. Raises BadSchema.
    """
    return (node for _, node in _walk(root, lambda reference: reference))


def parts(root: Mapping[str, Any]) -> Iterator[Any]:
    """Return each object of any document that stands where a schema does; references are not followed.

    It may be changed before the next is asked for.
    """
    return (node for _, node in _walk(root))


def settle(schema: dict[str, Any]) -> None:
    """Write each reference of a schema as the pointer of its target, and old tuples in the words of today.

    `items` with a list, and `additionalItems` beside it, are how drafts before 2020-12 describe a tuple.
    Raises BadSchema for a reference that leads out of the document or nowhere.
    """
    anchors: dict[str, str] = {}
    for path, node in _walk(schema):
        if isinstance(name := node.get("$anchor"), str):
            anchors.setdefault(name, _pointer(path))
            if len(anchors) > MAX_ANCHORS:
                raise BadSchema(f"it has more than {MAX_ANCHORS} anchors")
    own = str(schema.get("$id", "")).rstrip("#")
    for _, node in _walk(schema, lambda reference: _settled(schema, reference, own, anchors)):
        if isinstance(node.get("items"), list):
            node.setdefault("prefixItems", node.pop("items"))
            if "additionalItems" in node:
                node["items"] = node.pop("additionalItems")


def relocated(schema: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Copy a settled schema for another document, in which it lies at the pointer `place`.

    What only a root may say (`$id`, `$schema`, `$vocabulary`) is left out. Raises BadSchema.
    """
    moved = copy.deepcopy({name: each for name, each in schema.items() if name not in _ROOT_ONLY})
    for node in list(nodes(moved)):
        if "$ref" in node:
            node["$ref"] = place + node["$ref"].removeprefix("#")
    return moved


def refers(schema: Mapping[str, Any]) -> bool:
    """Whether a settled schema has references."""
    return any("$ref" in node for node in nodes(schema))


def _walk(root: Any, settled: Callable[[Any], str] | None = None) -> Iterator[tuple[_Path, Any]]:
    """Return the schemas of a document with their places, each once.

    References are followed once they are settled, or not at all where nothing settles them.
    """
    stack: list[tuple[_Path, Any]] = [((), root)]
    seen: set[int] = set()
    while stack:
        path, node = stack.pop()
        if not isinstance(node, Mapping) or id(node) in seen:
            continue
        seen.add(id(node))
        yield path, node
        stack += [((path, step), each) for step, each in _held(node)]
        if settled is not None and "$ref" in node:
            reference = settled(node["$ref"])
            if reference != node["$ref"]:
                node["$ref"] = reference  # type: ignore[index]  # only of a document that is being settled
            stack.append(((path, "$ref"), target(root, reference)))


def _held(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return the schemas directly inside one, each with the pointer from it."""
    for keyword, value in node.items():
        if keyword in _NAMED and isinstance(value, Mapping):
            yield from ((f"/{keyword}/{_escaped(name)}", each) for name, each in value.items())
        elif keyword in _LISTED and isinstance(value, list):
            yield from ((f"/{keyword}/{index}", each) for index, each in enumerate(value))
        elif keyword in _ONE:
            yield f"/{keyword}", value


def _settled(root: Any, reference: Any, own: str, anchors: Mapping[str, str]) -> str:
    """Write a reference in its one way. Raises BadSchema."""
    if not isinstance(reference, str):
        raise BadSchema("a reference must be a text")
    rest = reference.removeprefix(own)
    if not rest or rest.startswith("#"):  # of the document itself, by its name or without
        reference = rest or "#"
    if reference.startswith("#") and reference != "#" and not reference.startswith("#/"):
        pointer = anchors.get(_decoded(reference)[1:])
        if pointer is None:
            raise _nowhere(reference)
    else:
        target(root, reference)
        pointer = _decoded(reference)[1:]
    return "#" + quote(pointer, safe=_UNESCAPED)


def _at(root: Any, reference: str) -> tuple[Any] | None:
    node: Any = root
    for part in reference.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and name in node:
            node = node[name]
        elif isinstance(node, list) and _INDEX.fullmatch(name) and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return (node,)


def _decoded(reference: str) -> str:
    try:
        return unquote(reference, errors="strict")
    except UnicodeDecodeError as error:
        raise _nowhere(reference) from error


def _pointer(path: _Path) -> str:
    steps = []
    while path:
        path, step = path
        steps.append(step)
    return "".join(reversed(steps))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _nowhere(reference: str) -> BadSchema:
    return BadSchema(f"{reference[:_SHOWN]} leads nowhere")
