"""Documents of strangers in JSON or YAML, read within bounds. Pure; CPU-heavy, for a process of its own.

Of YAML only what JSON has too is read, as YAML 1.2 means it: no anchors and aliases, which make a few lines
stand for gigabytes, no tags, one document. The value is put together from the parser's events, not by
recursion, and is counted while it grows.
"""

import re
from typing import Any, Final

import yaml

from services.chassis.json_text import read_json

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 64
MAX_NODES: Final = 20_000

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL: Final = re.compile("|~|null|Null|NULL")
_TRUE: Final = re.compile("true|True|TRUE")
_FALSE: Final = re.compile("false|False|FALSE")
_WHOLE: Final = re.compile("[-+]?[0-9]{1,18}")
_REAL: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


class BadDocument(ValueError):
    """The document cannot be read, or is larger than it may be; the message says why, and nothing of it."""


def read_document(data: bytes) -> dict[str, Any]:
    """Read a document whose root is an object. Raises BadDocument."""
    if len(data) > MAX_BYTES:
        raise BadDocument(f"it is larger than {MAX_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadDocument("it is no UTF-8") from error
    value = _json(text) if text.lstrip().startswith("{") else _Yaml(text).value()
    if not isinstance(value, dict):
        raise BadDocument("it is no object")
    return value


def _json(text: str) -> Any:
    try:
        value = read_json(text)
    except ValueError as error:
        raise BadDocument("it is no JSON, or gives a name twice") from error
    count, stack = 0, [(value, 1)]
    while stack:
        node, level = stack.pop()
        count += 1
        if count > MAX_NODES:
            raise BadDocument(f"it has more than {MAX_NODES} parts")
        if isinstance(node, dict | list):
            if level > MAX_DEPTH:
                raise BadDocument(f"it is nested deeper than {MAX_DEPTH} levels")
            children = node.values() if isinstance(node, dict) else node
            stack += [(child, level + 1) for child in children]
    return value


class _Yaml:
    """Puts the value of a YAML text together from its events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[dict[str, Any] | list[Any]] = [[]]
        self._names: list[str | None] = [None]
        """The name that waits for its value in each open object."""
        self._nodes = 0
        self._documents = 0

    def value(self) -> Any:
        """Return the value. Raises BadDocument."""
        try:
            for event in yaml.parse(self._text, Loader=_LOADER):
                self._take(event)
        except (yaml.YAMLError, RecursionError, UnicodeError) as error:
            raise BadDocument("it is no YAML") from error
        root = self._open[0]
        if not isinstance(root, list) or len(root) != 1:
            raise BadDocument("it holds nothing")
        return root[0]

    def _take(self, event: Any) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise BadDocument("it is more than one document")
            case yaml.AliasEvent():
                raise BadDocument("it has an alias")
            case yaml.ScalarEvent():
                self._count(event)
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._count(event)
                self._begin({} if isinstance(event, yaml.MappingStartEvent) else [])
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
                self._names.pop()

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > 2 * MAX_NODES:  # names of objects are nodes here too
            raise BadDocument(f"it has more than {MAX_NODES} parts")
        if event.anchor is not None:
            raise BadDocument("it has an anchor")
        implicit = event.implicit if isinstance(event.implicit, tuple) else (event.implicit,)
        if event.tag is not None and not any(implicit):
            raise BadDocument("it has a tag")

    def _begin(self, container: dict[str, Any] | list[Any]) -> None:
        if len(self._open) > MAX_DEPTH:
            raise BadDocument(f"it is nested deeper than {MAX_DEPTH} levels")
        self._put(container)
        self._open.append(container)
        self._names.append(None)

    def _scalar(self, event: Any) -> None:
        node = self._open[-1]
        if isinstance(node, dict) and self._names[-1] is None:
            if event.value in node:
                raise BadDocument("it gives a name twice")
            self._names[-1] = event.value
        else:
            self._put(_plain(event.value) if event.implicit[0] else event.value)

    def _put(self, value: Any) -> None:
        node = self._open[-1]
        if isinstance(node, list):
            node.append(value)
            return
        name = self._names[-1]
        if name is None:
            raise BadDocument("a name in it is no text")
        node[name] = value
        self._names[-1] = None


def _plain(text: str) -> Any:
    """Return what a scalar without quotes means in YAML 1.2."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text) and len(text) <= 64:  # noqa: PLR2004 - no number needs more
        number = float(text)
        return number if abs(number) != float("inf") else text
    return text
