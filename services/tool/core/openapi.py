"""OpenAPI documents: their operations as tools. Pure; CPU-heavy, for a process of its own.

Nothing is fetched: references lead into the document itself, by `#/` alone, and `servers` are shown and not
followed. An operation that cannot be a tool as it is written is left out with the reason, never changed
silently into something else.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.tool.core.documents import BadDocument
from services.tool.core.openapi_schemas import Schemas, Unusable, target_of

MAX_OPERATIONS: Final = 256
MAX_SERVERS: Final = 16
MAX_ID: Final = 128
_MAX_TEXT: Final = 4096
_MAX_TITLE: Final = 128
_MAX_NAME: Final = 128
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_OTHERS: Final = ("head", "options", "trace")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STYLES: Final = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
_IGNORED: Final = frozenset({"accept", "authorization", "content-type"})
"""Header parameters that the specification wants ignored: the client sets them."""
_UNSHOWN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Characters that nobody sees, which can hide words from a person and show them to a model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One argument of an operation."""

    argument: str
    place: str
    """path, query, header, cookie or body."""
    name: str
    joined: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """An operation that can be a tool."""

    id: str
    method: str
    """In capitals."""
    path: str
    title: str
    description: str
    arguments: tuple[Argument, ...]
    schema: str
    """Of the arguments, as JSON text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What a document offers."""

    servers: tuple[str, ...] = ()
    """As it proposes them."""
    operations: tuple[Operation, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why operations are no tools, by id or method and path."""
    problem: str = ""
    """Why it cannot be read; empty: it can."""


def read_openapi(document: Mapping[str, Any]) -> Read:
    """Return a document's operations. Raises BadDocument for what is no OpenAPI 3.0 or 3.1."""
    version = document.get("openapi")
    if not isinstance(version, str) or not re.fullmatch(r"3\.[01]\.[0-9]{1,4}(-[a-z0-9.]{1,16})?", version):
        raise BadDocument("it is no OpenAPI document of version 3.0 or 3.1")
    operations: list[Operation] = []
    left_out: dict[str, str] = {}
    written = list(_written(document))
    if len(written) > MAX_OPERATIONS:
        raise BadDocument(f"it has more than {MAX_OPERATIONS} operations")
    ids = Counter(_operation_id(*one) for one in written)
    schemas = Schemas(document, old=version.startswith("3.0"))
    for method, path, item in written:
        identifier = _operation_id(method, path, item)
        if ids[identifier] > 1:
            left_out[identifier[:MAX_ID]] = "several operations have this id"
            continue
        try:
            operations.append(_Reading(document, schemas, method, path, item).operation(identifier))
        except Unusable as error:
            left_out[identifier[:MAX_ID]] = str(error)
    return Read(servers=tuple(_servers(document)), operations=tuple(operations), left_out=left_out)


def shown(text: Any, most: int) -> str:
    """Return a text without characters that nobody sees, cut to a length; empty for what is no text."""
    return _UNSHOWN.sub("", text)[:most].strip() if isinstance(text, str) else ""


def _servers(document: Mapping[str, Any]) -> Iterator[str]:
    given = document.get("servers")
    for one in given[:MAX_SERVERS] if isinstance(given, list) else ():
        if isinstance(one, Mapping) and (text := shown(one.get("url"), 300)):
            yield text


def _written(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield method, path and path item of every operation."""
    paths = document.get("paths")
    for path, given in paths.items() if isinstance(paths, Mapping) else ():
        item = given
        if isinstance(item, Mapping) and "$ref" in item:
            try:
                item = target_of(document, item)
            except Unusable:
                continue  # a path that is described elsewhere has no operations here
        if isinstance(item, Mapping) and path.startswith("/"):
            yield from ((method, path, item) for method in (*_METHODS, *_OTHERS) if method in item)


def _operation_id(method: str, path: str, item: Mapping[str, Any]) -> str:
    operation = item[method]
    given = operation.get("operationId") if isinstance(operation, Mapping) else None
    if isinstance(given, str):
        return given
    return f"{method}{re.sub('[^A-Za-z0-9]+', '_', path)}".rstrip("_")


class _Reading:
    """One operation on its way to a tool."""

    def __init__(
        self, document: Mapping[str, Any], schemas: Schemas, method: str, path: str, item: Mapping[str, Any]
    ) -> None:
        self._document = document
        self._schemas = schemas.of_operation()
        self._method = method
        self._path = path
        self._item = item

    def operation(self, identifier: str) -> Operation:
        """Return the operation. Raises Unusable."""
        written = self._item[self._method]
        if not isinstance(written, Mapping):
            raise Unusable("it is no object")
        if self._method not in _METHODS:
            raise Unusable("tools do not send by this method")
        if "?" in self._path or "#" in self._path:
            raise Unusable("its path has a query or a fragment")
        if not _ID.fullmatch(identifier) or len(identifier) > MAX_ID:
            raise Unusable("its id has characters that ids of tools have not, or is too long")
        parameters = self._parameters(written)
        body = self._body(written)
        names = Counter([name for _, name in parameters] + (["body"] if body is not None else []))
        arguments: list[Argument] = []
        properties: dict[str, Any] = {}
        required: list[str] = []
        for (place, name), parameter in parameters.items():
            argument = name if names[name] == 1 else f"{place}_{name}"
            joined = place == "query" and parameter.get("explode") is False
            arguments.append(Argument(argument=argument, place=place, name=name, joined=joined))
            self._add(properties, argument, self._parameter_schema(place, parameter))
            if place == "path" or parameter.get("required") is True:
                required.append(argument)
        if body is not None:
            argument = "body" if names["body"] == 1 else "body_body"
            arguments.append(Argument(argument=argument, place="body", name=""))
            self._add(properties, argument, body[0])
            required += [argument] if body[1] else []
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            schema["required"] = required
        return Operation(
            id=identifier,
            method=self._method.upper(),
            path=self._path,
            title=shown(written.get("summary"), _MAX_TITLE).replace("\n", " ").replace("\t", " "),
            description=self._description(written),
            arguments=tuple(arguments),
            schema=json.dumps(self._schemas.with_definitions(schema), ensure_ascii=True),
        )

    def _add(self, properties: dict[str, Any], argument: str, schema: Any) -> None:
        if argument in properties:
            raise Unusable(f"two of its parameters would be the argument {argument[:64]!r}")
        properties[argument] = schema

    def _description(self, written: Mapping[str, Any]) -> str:
        parts = [shown(written.get(name), _MAX_TEXT) for name in ("summary", "description")]
        text = "\n".join(dict.fromkeys(part for part in parts if part))
        return text[:_MAX_TEXT] or f"{self._method.upper()} {self._path}"[:_MAX_TEXT]

    def _parameters(self, written: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return the parameters by place and name; those of the operation go before those of the path."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for holder in (self._item, written):
            own: set[tuple[str, str]] = set()
            given = holder.get("parameters", [])
            if not isinstance(given, list):
                raise Unusable("its parameters are no list")
            for one in given:
                parameter = target_of(self._document, one)
                place, name = parameter.get("in"), parameter.get("name")
                if place not in _STYLES or not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
                    raise Unusable("a parameter has no place or no name")
                if (place, name) in own:
                    raise Unusable("it has a parameter twice")
                own.add((place, name))
                if place != "header" or name.lower() not in _IGNORED:
                    found[place, name] = parameter
        return found

    def _parameter_schema(self, place: str, parameter: Mapping[str, Any]) -> Any:
        if parameter.get("style", _STYLES[place]) != _STYLES[place] or "schema" not in parameter:
            raise Unusable("a parameter is written in a way that tools cannot")
        schema = self._schemas.converted(parameter["schema"])
        if schema is True or self._schemas.is_object(schema):
            raise Unusable("a parameter is an object")
        described = shown(parameter.get("description"), _MAX_TEXT)
        return {**schema, "description": described} if described and isinstance(schema, dict) else schema

    def _body(self, written: Mapping[str, Any]) -> tuple[Any, bool] | None:
        """Return the schema of the body, and whether it must be there."""
        if "requestBody" not in written:
            return None
        if self._method == "get":
            raise Unusable("it reads with a body")
        body = target_of(self._document, written["requestBody"])
        content = body.get("content")
        for name, given in content.items() if isinstance(content, Mapping) else ():
            if name.partition(";")[0].strip().lower() == "application/json":
                media = target_of(self._document, given)
                return self._schemas.converted(media.get("schema", True)), body.get("required") is True
        raise Unusable("its body is no JSON")
