"""HTTP tools: what requests are made of arguments, and results of answers."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import InvalidRequest
from services.tool.core.egress import EgressResponse
from services.tool.core.http_calls import MAX_TOLD, HttpCall, call_of, check_endpoint, outcome_of
from services.tool.core.redaction import Redactor
from services.tool.drivers.http import HttpDriver
from services.tool.errors import ArgumentsInvalid, EgressDenied, ResultInvalid
from services.tool.model import (
    Driver,
    DriverKind,
    Effect,
    HttpArgument,
    HttpEndpoint,
    HttpPlace,
    Tool,
    ToolOutcome,
)
from tests.fakes.tool_drivers import OneSecret
from tests.fakes.web import way_out

PLANNER = Scope("acme", "planner")
NOTHING = Redactor(())


def endpoint(
    url: str = "https://api.example.com/items/{id}", method: str = "GET", **fields: Any
) -> HttpEndpoint:
    """Return an endpoint."""
    return HttpEndpoint(url=url, method=method, **fields)


def schema(*names: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a schema with these arguments."""
    return {"type": "object", "properties": {name: {} for name in names}, "required": list(required)}


def placed(
    *arguments: HttpArgument, url: str = "https://api.example.com/x", method: str = "POST"
) -> HttpEndpoint:
    """Return an endpoint that says where each argument goes."""
    return HttpEndpoint(url=url, method=method, arguments=arguments)


def at(place: HttpPlace, name: str, argument: str = "", *, joined: bool = False) -> HttpArgument:
    """Say where an argument goes."""
    return HttpArgument(argument=argument or name, place=place, name=name, joined=joined)


def test_what_the_path_does_not_name_is_the_query_or_the_body() -> None:
    arguments = {"id": "a b", "q": ["x", "y&z"], "n": 1.5, "deep": {"a": True}, "none": None}

    read = call_of(endpoint("https://api.example.com/items/{id}?k=v"), arguments)
    written = call_of(endpoint(method="POST"), arguments)

    assert str(read.url) == (
        "https://api.example.com/items/a%20b?k=v&q=x&q=y%26z&n=1.5&deep=%7B%22a%22%3Atrue%7D"
    )
    assert read.body == b""
    assert str(written.url) == "https://api.example.com/items/a%20b"
    assert json.loads(written.body) == {key: value for key, value in arguments.items() if key != "id"}


@given(st.text(max_size=30))
def test_no_argument_leaves_its_segment_of_the_path(text: str) -> None:
    made = endpoint("https://api.example.com/a/{id}/b{tail}")
    try:
        call = call_of(made, {"id": text, "tail": text})
    except ArgumentsInvalid:
        return

    parts = urlsplit(str(call.url))
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example.com", "", "")
    assert [unquote(part) for part in parts.path.split("/")] == ["", "a", text, f"b{text}"]


@pytest.mark.parametrize("value", ["", ".", "..", "a\r\nb", "\n", "\0", "\ud800", None])
def test_what_would_change_the_path_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentsInvalid):
        call_of(endpoint(), {"id": value})


@pytest.mark.parametrize(("x", "y"), [(".", "."), ("", ".."), (".", "")])
def test_two_arguments_make_no_dots_together(x: str, y: str) -> None:
    with pytest.raises(ArgumentsInvalid):
        call_of(endpoint("https://api.example.com/a/{x}{y}/secret"), {"x": x, "y": y})


def test_every_argument_goes_where_its_place_says_and_same_names_stay_apart() -> None:
    made = placed(
        at(HttpPlace.PATH, "id", "path_id"), at(HttpPlace.QUERY, "id", "query_id"),
        at(HttpPlace.HEADER, "X-Id", "h"), at(HttpPlace.COOKIE, "id", "cookie_id"),
        at(HttpPlace.BODY, "", "body"),
        at(HttpPlace.QUERY, "tags", joined=True), at(HttpPlace.QUERY, "absent"),
        url="https://api.example.com/{id}",
    )  # fmt: skip
    arguments = {
        "path_id": "1", "query_id": 2, "h": "3", "cookie_id": "4;x=5", "body": [6], "tags": ["a,b", "c"]
    }  # fmt: skip
    check_endpoint(made, schema(*arguments, "absent", required=("path_id",)))

    call = call_of(made, arguments)

    assert str(call.url) == "https://api.example.com/1?id=2&tags=a%2Cb,c"
    assert call.headers == {"X-Id": "3", "Cookie": "id=4%3Bx%3D5"}
    assert call.body == b"[6]"


@pytest.mark.parametrize("value", ["a\r\nX-B: c", "a\nb", "\0", "\u2028", "x" * 9000])
def test_no_argument_ends_its_header(value: str) -> None:
    made = placed(at(HttpPlace.HEADER, "X-Id", "h"))

    with pytest.raises(ArgumentsInvalid):
        call_of(made, {"h": value})


@pytest.mark.parametrize(
    ("made", "parameters"),
    [
        (endpoint("https://api.example.com/{id}?a={b}"), schema("id", "b", required=("id",))),
        (endpoint("https://api.example.com/{id}"), schema("id")),
        (endpoint("https://api.example.com/{id}"), schema(required=("id",))),
        (endpoint("https://api.example.com/{id}/{id}"), schema("id", required=("id",))),
        (endpoint("https://api.example.com/{id/x"), schema("id", required=("id",))),
        (endpoint("https://api.example.com/../x"), schema()),
        (endpoint("https://api.example.com/x", headers={"A": "1", "a": "2"}), schema()),
        (endpoint("https://api.example.com/x", headers={"A": "1"}, secret_headers={"a": "key"}), schema()),
        (endpoint("https://api.example.com/x", headers={"content-type": "text/html"}), schema()),
        (endpoint("https://api.example.com/x", headers={"Host": "a"}), schema()),
        (placed(at(HttpPlace.QUERY, "a")), schema("a", "b")),
        (placed(at(HttpPlace.QUERY, "a"), at(HttpPlace.HEADER, "a")), schema("a")),
        (placed(at(HttpPlace.QUERY, "a"), at(HttpPlace.QUERY, "a", "b")), schema("a", "b")),
        (placed(at(HttpPlace.HEADER, "A"), at(HttpPlace.HEADER, "a", "b")), schema("A", "b")),
        (placed(at(HttpPlace.BODY, "", "a"), at(HttpPlace.BODY, "x", "b")), schema("a", "b")),
        (placed(at(HttpPlace.PATH, "a")), schema("a", required=("a",))),
        (placed(at(HttpPlace.HEADER, "Authorization", "a")), schema("a")),
        (placed(at(HttpPlace.HEADER, "Cookie", "a")), schema("a")),
        (placed(at(HttpPlace.HEADER, "Transfer-Encoding", "a")), schema("a")),
        (placed(at(HttpPlace.COOKIE, "a=b; c", "a")), schema("a")),
        (placed(at(HttpPlace.QUERY, "", "a")), schema("a")),
    ],
    ids=range(21),
)
def test_an_endpoint_whose_arguments_have_no_clear_place_is_refused(
    made: HttpEndpoint, parameters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        check_endpoint(made, parameters)


@pytest.mark.parametrize(
    "url", ["https://{host}/x", "https://a.example.com:{port}/", "{scheme}://a.example.com/"]
)
def test_no_argument_is_part_of_the_origin(url: str) -> None:
    with pytest.raises(EgressDenied):
        check_endpoint(endpoint(url), schema("host", "port", "scheme"))


def answer(
    body: bytes, media_type: str = "application/json", status: int = 200, charset: str = ""
) -> EgressResponse:
    """Return an answer."""
    return EgressResponse(status=status, url="https://a/", media_type=media_type, charset=charset, body=body)


@pytest.mark.parametrize(
    ("given_", "value"),
    [
        (answer(b'{"a":[1,2.5,null]}'), {"a": [1, 2.5, None]}),
        (answer(b"1", "application/problem+json"), 1),
        (answer(b"<p>", "text/html"), "<p>"),
        (answer("gr\u00fcn".encode("latin-1"), "text/plain", charset="ISO-8859-1"), "gr\u00fcn"),
        (answer(b"\xff\xfe", "text/plain", charset="zlib"), "\ufffd\ufffd"),
        (answer(b"", ""), None),
    ],
)
def test_json_and_text_are_the_value(given_: EgressResponse, value: Any) -> None:
    assert outcome_of(given_, NOTHING) == ToolOutcome(value=value)


def test_what_is_no_text_is_a_piece_of_its_type() -> None:
    (piece,) = outcome_of(answer(b"\x89PNG", "image/png"), NOTHING).pieces
    (odd,) = outcome_of(answer(b"\x89", "no\r\ntype"), NOTHING).pieces

    assert (piece.media_type, piece.data_base64) == ("image/png", "iVBORw==")
    assert odd.media_type == "application/octet-stream"


@pytest.mark.parametrize("body", [b"{", b"NaN", b"[" * 100_000, b'{"a":1e999}', b"\xff", b"9" * 5000])
def test_what_is_called_json_and_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ResultInvalid):
        outcome_of(answer(body), NOTHING)


@pytest.mark.parametrize("status", [304, 400, 404, 500, 599])
def test_a_failure_tells_its_status_and_a_bounded_part_of_its_body(status: int) -> None:
    error = outcome_of(answer(b"x" * 10_000, "text/plain", status), NOTHING).error

    assert error is not None
    assert (error.reason, json.loads(error.details_json)["status"]) == ("TOOL_FAILED", status)
    assert str(status) in error.message
    assert len(error.message) < MAX_TOLD + 100


def test_a_secret_at_the_cut_of_a_failure_is_taken_out_whole() -> None:
    secret = "canary-3f9a1c77e2"
    body = b"x" * (MAX_TOLD - 5) + secret.encode()

    error = outcome_of(answer(body, "text/plain", 500), Redactor([secret])).error

    assert error is not None
    assert "canary" not in error.message[-40:]


def tool(made: HttpEndpoint, effect: Effect, *, vouched: bool = False) -> Tool:
    """Return an HTTP tool."""
    return Tool(id="t", driver=Driver(DriverKind.HTTP, http=made), effect=effect, vouched=vouched)


@pytest.mark.parametrize(
    ("method", "vouched", "claimed", "kept"),
    [
        ("GET", False, Effect.PURE, Effect.REVERSIBLE),
        ("GET", False, Effect.IRREVERSIBLE, Effect.IRREVERSIBLE),
        ("GET", True, Effect.PURE, Effect.IDEMPOTENT),
        ("POST", True, Effect.IDEMPOTENT, Effect.REVERSIBLE),
        ("DELETE", False, Effect.PURE, Effect.REVERSIBLE),
        ("POST", True, Effect.IRREVERSIBLE, Effect.IRREVERSIBLE),
    ],
)
async def test_the_effect_is_no_less_than_it_can_be(
    method: str, claimed: Effect, kept: Effect, *, vouched: bool
) -> None:
    driver = HttpDriver(way_out(["https://*"]).guard, OneSecret(""))

    made = await driver.prepare(
        PLANNER, tool(endpoint("https://a.example.com/", method), claimed, vouched=vouched)
    )

    assert made.effect is kept
    assert made.returns_untrusted is not vouched


@pytest.mark.parametrize(
    "url", ["https://b.example.com/", "http://10.0.0.1/", "https://a@a.example.com/", "https://[::1]/"]
)
async def test_a_tool_that_could_never_be_called_is_not_registered(url: str) -> None:
    driver = HttpDriver(way_out(["https://a.example.com", "http://*"]).guard, OneSecret(""))

    with pytest.raises(EgressDenied):
        await driver.prepare(PLANNER, tool(endpoint(url), Effect.REVERSIBLE))


def test_a_url_that_arguments_make_too_long_is_refused() -> None:
    with pytest.raises(ArgumentsInvalid):
        call_of(endpoint(), {"id": "a", "q": "x" * 5000})


def test_the_same_endpoint_makes_the_same_call() -> None:
    first = call_of(endpoint(), {"id": "a"})

    assert first == HttpCall(replace(first.url), {}, b"")
