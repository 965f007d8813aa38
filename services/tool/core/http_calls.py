"""HTTP tools: from arguments to a request, and from an answer to a result. Pure.

What an agent chooses, the arguments, never reaches scheme, host, port or the name of a header; in the path it
is one segment's text and nothing that changes the path.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote

from services.chassis.json_text import read_json
from services.chassis.rpc.errors import InvalidRequest
from services.tool.core.egress import EgressResponse
from services.tool.core.headers import RESERVED_HEADERS, check_headers
from services.tool.core.redaction import Redactor, redacted
from services.tool.core.urls import MAX_URL, WebUrl, read_url
from services.tool.errors import ArgumentsInvalid, EgressDenied, ResultInvalid, ToolFailed
from services.tool.model import CallError, ContentPart, HttpArgument, HttpEndpoint, HttpPlace, ToolOutcome

MAX_TOLD: Final = 2000
"""Characters of a server's own words about a failure."""
MAX_PIECE: Final = 1024 * 1024
"""Bytes of a result that is no text."""
_SLOT: Final = re.compile(r"\{([^{}/]*)\}")
_AS_QUERY: Final = frozenset({"GET", "HEAD", "DELETE"})
_OWN_HEADERS: Final = RESERVED_HEADERS | {"content-type", "content-encoding"}
"""Headers that nobody chooses: those of the connection and of the body."""
_NOT_BY_ARGUMENT: Final = frozenset({"accept", "authorization", "cookie"})
_CHARSETS: Final = frozenset(
    ("utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16", "shift_jis", "euc-jp")
)
"""What is decoded; what is labelled otherwise is read as UTF-8, since not every codec is harmless."""
_TEXTS: Final = ("text/", "application/xml", "application/xhtml+xml", "application/yaml")
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}")


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request, made of an endpoint and arguments."""

    url: WebUrl
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def check_endpoint(endpoint: HttpEndpoint, parameters: Mapping[str, Any]) -> None:
    """Refuse an endpoint whose requests could not be made, or not be told apart.

    `parameters`: the schema of the arguments. Raises InvalidRequest, EgressDenied for its URL or headers.
    """
    url = read_url(endpoint.url)
    if "{" in url.query or "}" in url.query:
        raise _invalid("url", "arguments are filled into the path only; the query is made of the others")
    if any(part in {".", ".."} for part in url.path.split("/")) or re.search("[{}]", _SLOT.sub("", url.path)):
        raise _invalid("url", "the path has `.` or `..` in it, or a brace without its other half")
    slots = _SLOT.findall(url.path)
    if len(set(slots)) != len(slots):
        raise _invalid("url", "the path names an argument twice")
    known, required = _properties(parameters)
    _check_places(endpoint, slots, known)
    in_path = {one.argument for one in _places(endpoint, known) if one.place is HttpPlace.PATH}
    if in_path - required:
        raise _invalid(
            "url", f"the schema does not require what the path needs: {', '.join(sorted(in_path))}"
        )
    _check_headers(endpoint)


def call_of(endpoint: HttpEndpoint, arguments: Mapping[str, Any]) -> HttpCall:
    """Return the request of a call. Raises ArgumentsInvalid."""
    url = read_url(endpoint.url)
    places = _places(endpoint, arguments)
    by_place = {place: [one for one in places if one.place is place] for place in HttpPlace}
    path = _path(url.path, {one.name: arguments[one.argument] for one in by_place[HttpPlace.PATH]})
    query = "&".join(
        pair for one in by_place[HttpPlace.QUERY] if (pair := _pairs(one, arguments[one.argument]))
    )
    headers = dict(endpoint.headers)
    headers |= {one.name: _header(one, arguments[one.argument]) for one in by_place[HttpPlace.HEADER]}
    cookies = [
        f"{one.name}={_quoted(_plain(one, arguments[one.argument]))}" for one in by_place[HttpPlace.COOKIE]
    ]
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    made = replace(url, path=path).with_query(query)
    if len(str(made)) > MAX_URL:
        raise ArgumentsInvalid(f"the arguments make a URL of more than {MAX_URL} characters")
    return HttpCall(made, headers, _body(endpoint, by_place[HttpPlace.BODY], arguments))


def outcome_of(response: EgressResponse, redactor: Redactor) -> ToolOutcome:
    """Return what a server answered as the tool's result or failure, without what is secret.

    JSON and text become the value, anything else a piece. Raises ResultInvalid for what is neither.
    """
    if not response.ok:
        return _failure(response, redactor)
    if not response.body:
        return ToolOutcome()
    if _is_json(response.media_type):
        try:
            return redacted(ToolOutcome(value=read_json(decoded(response), once=False)), redactor)
        except ValueError as error:
            raise ResultInvalid("the server says that its answer is JSON, but it is not") from error
    if response.media_type.startswith(_TEXTS):
        return redacted(ToolOutcome(value=decoded(response)), redactor)
    if len(response.body) > MAX_PIECE:
        raise ResultInvalid(f"the answer is larger than {MAX_PIECE} bytes, and is no text")
    media_type = response.media_type
    if not _MEDIA_TYPE.fullmatch(media_type):
        media_type = "application/octet-stream"
    data = base64.b64encode(response.body).decode()
    return redacted(ToolOutcome(pieces=(ContentPart(data_base64=data, media_type=media_type),)), redactor)


def _failure(response: EgressResponse, redactor: Redactor) -> ToolOutcome:
    """Tell a server's failure with its own words: whole while secrets are looked for, then cut."""
    said = ""
    if _is_json(response.media_type) or response.media_type.startswith(_TEXTS):
        said = redactor.text(decoded(response)).strip()
    text = f"the server answered with status {response.status}"
    details = json.dumps({"status": response.status, "media_type": response.media_type[:127]})
    error = CallError(
        ToolFailed.reason, f"{text}: {said[:MAX_TOLD]}" if said else text, ToolFailed.code, details
    )
    return redacted(ToolOutcome(error=error), redactor)


def _places(endpoint: HttpEndpoint, arguments: Iterable[str]) -> list[HttpArgument]:
    """Return where each of the arguments goes that are there."""
    if endpoint.arguments:
        given = set(arguments)
        return [one for one in endpoint.arguments if one.argument in given]
    slots = set(_SLOT.findall(read_url(endpoint.url).path))
    other = HttpPlace.QUERY if endpoint.method in _AS_QUERY else HttpPlace.BODY
    return [
        HttpArgument(argument=name, place=HttpPlace.PATH if name in slots else other, name=name)
        for name in arguments
    ]


def _check_places(endpoint: HttpEndpoint, slots: list[str], known: set[str]) -> None:
    if not endpoint.arguments:
        if set(slots) - known:
            raise _invalid("url", "the path names an argument that the schema has not")
        return
    placed = [one.argument for one in endpoint.arguments]
    if set(placed) != known or len(set(placed)) != len(placed):
        raise _invalid("arguments", "each argument of the schema has exactly one place")
    named = [
        (one.place, one.name.lower() if one.place is HttpPlace.HEADER else one.name)
        for one in endpoint.arguments
    ]
    if len(set(named)) != len(named):
        raise _invalid("arguments", "two arguments would go to one place")
    if {name for place, name in named if place is HttpPlace.PATH} != set(slots):
        raise _invalid("arguments", "the arguments of the path are not those that the path names")
    if sum(place is HttpPlace.BODY for place, _ in named) > 1:
        raise _invalid("arguments", "one argument is the whole body")
    if any(not name for place, name in named if place is not HttpPlace.BODY):
        raise _invalid("arguments", "an argument has no name in its place")
    if any(not re.fullmatch(r"[A-Za-z0-9_.-]+", name) for place, name in named if place is HttpPlace.COOKIE):
        raise _invalid("arguments", "the name of a cookie has letters, digits, `_`, `.` and `-`")


def _check_headers(endpoint: HttpEndpoint) -> None:
    by_argument = [one.name for one in endpoint.arguments if one.place is HttpPlace.HEADER]
    names = [name.lower() for name in (*endpoint.headers, *endpoint.secret_headers, *by_argument)]
    if len(set(names)) != len(names):
        raise _invalid("headers", "a header is given twice")
    if set(names) & _OWN_HEADERS or {name.lower() for name in by_argument} & _NOT_BY_ARGUMENT:
        raise _invalid(
            "headers", "a header is one of those that the kernel sets, or that no argument may set"
        )
    if "cookie" in names and any(one.place is HttpPlace.COOKIE for one in endpoint.arguments):
        raise _invalid("headers", "a header is given twice")
    check_headers({**endpoint.headers, **dict.fromkeys((*endpoint.secret_headers, *by_argument), "")})


def _properties(schema: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    properties, required = schema.get("properties"), schema.get("required")
    return (
        set(properties) if isinstance(properties, Mapping) else set(),
        {name for name in required if isinstance(name, str)} if isinstance(required, list) else set(),
    )


def _path(template: str, values: Mapping[str, Any]) -> str:
    """Fill in a path; each argument stays within its segment."""

    def fill(slot: re.Match[str]) -> str:
        text = _text(values[slot[1]], slot[1])
        if not text or re.search(r"[\r\n\0]", text):
            raise _unfit(slot[1], "in the path it can be neither empty nor have line ends")
        return quote(text, safe="", errors="strict")

    try:
        path = _SLOT.sub(fill, template)
    except (UnicodeEncodeError, KeyError) as error:
        raise ArgumentsInvalid("an argument of the path is missing or no text") from error
    if any(part in {".", ".."} for part in path.split("/")):
        raise ArgumentsInvalid("an argument would leave its place in the path")
    return path


def _pairs(one: HttpArgument, value: Any) -> str:
    """Return a query's part: a list repeats its name, or is one value with commas."""
    if value is None:
        return ""
    if isinstance(value, list) and not one.joined:
        return "&".join(f"{_quoted(one.name)}={_quoted(_text(item, one.argument))}" for item in value)
    return f"{_quoted(one.name)}={_plain(one, value, quoted=True)}"


def _plain(one: HttpArgument, value: Any, *, quoted: bool = False) -> str:
    parts = value if isinstance(value, list) else [value]
    texts = [_text(part, one.argument) for part in parts]
    return ",".join(_quoted(text) if quoted else text for text in texts)


def _header(one: HttpArgument, value: Any) -> str:
    text = _plain(one, value)
    try:
        check_headers({one.name: text})
    except EgressDenied as error:
        raise _unfit(one.argument, "no header can hold it") from error
    return text


def _body(endpoint: HttpEndpoint, places: list[HttpArgument], arguments: Mapping[str, Any]) -> bytes:
    if endpoint.method in _AS_QUERY and not places:
        return b""
    if endpoint.arguments:
        if not places:
            return b""
        value = arguments[places[0].argument]
    else:
        value = {one.name: arguments[one.argument] for one in places}
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def _text(value: Any, argument: str) -> str:
    """Return a single value as it is written outside JSON. Raises ArgumentsInvalid."""
    match value:
        case str():
            return value
        case bool() | int() | float():
            return json.dumps(value)
        case dict() | list():
            return json.dumps(value, separators=(",", ":"))
        case _:
            raise _unfit(argument, "there is no way to write nothing")


def _quoted(text: str) -> str:
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise ArgumentsInvalid("an argument is no Unicode text") from error


def decoded(response: EgressResponse) -> str:
    """Return a body as text, whatever its bytes."""
    charset = response.charset.lower()
    return response.body.decode(charset if charset in _CHARSETS else "utf-8", errors="replace")


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


def _invalid(name: str, description: str) -> InvalidRequest:
    return InvalidRequest.field(f"tool.http.{name}", description)


def _unfit(argument: str, why: str) -> ArgumentsInvalid:
    return ArgumentsInvalid(f"the argument {argument[:64]!r} does not fit into the request: {why}")
