"""OpenAPI documents, those of strangers too: what of them becomes a tool, and what reading them costs."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.tool.core.documents import MAX_BYTES, BadDocument, read_document
from services.tool.core.openapi import Operation, Read, read_openapi
from services.tool.core.schemas import check_schema

GET = {"operationId": "getPet", "parameters": [{"name": "id", "in": "path", "required": True, "schema": {}}]}


def document(paths: Any = None, version: str = "3.1.0", **more: Any) -> dict[str, Any]:
    """Return a document."""
    return {"openapi": version, "info": {"title": "t", "version": "1"}, "paths": paths or {}, **more}


def read(paths: Any = None, version: str = "3.1.0", **more: Any) -> Read:
    """Read a document as it comes over the wire."""
    return read_openapi(read_document(json.dumps(document(paths, version, **more)).encode()))


def only(paths: Any, version: str = "3.1.0", **more: Any) -> Operation:
    """Return a document's one operation."""
    found = read(paths, version, **more)
    assert not found.left_out
    (operation,) = found.operations
    check_schema(operation.schema, "schema", of_object=True)
    return operation


def why(operation: Any, **more: Any) -> str:
    """Return why an operation is left out."""
    found = read({"/x": {"post": {"operationId": "x", **operation}}}, **more)
    assert not found.operations
    return found.left_out["x"]


def body(schema: Any) -> dict[str, Any]:
    """Return a body of JSON."""
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


def test_an_operation_becomes_a_tool_with_its_arguments() -> None:
    operation = only(
        {
            "/pets/{id}": {
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "q", "in": "query", "schema": {"type": "string"}},
                ],
                "post": {
                    "operationId": "setPet",
                    "summary": "Sets a pet.",
                    "description": "Longer.",
                    "parameters": [
                        {"name": "q", "in": "query", "required": True, "explode": False,
                         "schema": {"type": "array", "items": {"type": "integer"}}, "description": "Which."},
                        {"name": "Authorization", "in": "header", "required": True, "schema": {}},
                    ],
                    "requestBody": {"required": True, "content": {"application/json; charset=utf-8": {
                        "schema": {"$ref": "#/components/schemas/Pet"}}}},
                },
            }
        },
        components={"schemas": {"Pet": {
            "type": "object", "properties": {"of": {"$ref": "#/components/schemas/Pet"}}}}},
    )  # fmt: skip

    assert (operation.id, operation.method, operation.path) == ("setPet", "POST", "/pets/{id}")
    assert (operation.title, operation.description) == ("Sets a pet.", "Sets a pet.\nLonger.")
    assert [(one.argument, one.place, one.joined) for one in operation.arguments] == [
        ("id", "path", False), ("q", "query", True), ("body", "body", False)
    ]  # fmt: skip
    schema = json.loads(operation.schema)
    assert schema["required"] == ["id", "q", "body"]
    assert schema["properties"]["q"]["description"] == "Which."
    assert schema["properties"]["body"] == {"$ref": "#/$defs/Pet"}
    assert schema["$defs"]["Pet"]["properties"]["of"] == {"$ref": "#/$defs/Pet"}


def test_parameters_of_one_name_never_become_one_argument() -> None:
    places = ("path", "query", "header", "cookie")
    operation = only(
        {"/{id}": {"get": {"parameters": [{"name": "id", "in": place, "schema": {}} for place in places]}}}
    )

    assert [one.argument for one in operation.arguments] == ["path_id", "query_id", "header_id", "cookie_id"]
    assert [one.name for one in operation.arguments] == ["id"] * 4


def test_names_that_meet_by_that_leave_the_operation_out() -> None:
    parameters = [{"name": name, "in": place, "schema": {}} for place, name in (
        ("query", "id"), ("header", "id"), ("cookie", "query_id"))]  # fmt: skip

    assert "query_id" in why({"parameters": parameters})


def test_a_parameter_called_body_stays_apart_from_the_body() -> None:
    operation = only(
        {"/x": {"put": {"parameters": [{"name": "body", "in": "query", "schema": {}}], **body({})}}}
    )

    assert {one.argument for one in operation.arguments} == {"query_body", "body_body"}


def test_an_operation_without_an_id_is_called_by_method_and_path() -> None:
    assert (
        only({"/pets/{id}/tags": {"delete": {"parameters": GET["parameters"]}}}).id == "delete_pets_id_tags"
    )


def test_several_operations_of_one_id_are_all_left_out() -> None:
    found = read(
        {"/a": {"get": {"operationId": "x"}}, "/b": {"get": {"operationId": "x"}}, "/c": {"get": {}}}
    )

    assert [operation.id for operation in found.operations] == ["get_c"]
    assert set(found.left_out) == {"x"}


@pytest.mark.parametrize(
    "operation",
    [
        body({"$ref": "http://127.0.0.1:9/secret.json"}),
        body({"$ref": "file:///etc/hostname"}),
        body({"$ref": "other.yaml#/x"}),
        body({"$ref": "#/nowhere"}),
        body({"$ref": "//info"}),
        body({"$ref": "#/paths/%2Fx"}),
        body({"$ref": 7}),
        body({"items": [1]}),
        body({"properties": {"a": {"$ref": "https://example.com/"}}}),
        {"requestBody": {"$ref": "http://127.0.0.1:9/"}},
        {"requestBody": {"content": {"multipart/form-data": {}}}},
        {"parameters": [{"$ref": "//127.0.0.1/x"}]},
        {"parameters": {"name": "a"}},
        {"parameters": [{"name": "a", "in": "query", "style": "deepObject", "schema": {}}]},
        {"parameters": [{"name": "a", "in": "query", "schema": {"type": "object"}}]},
        {"parameters": [{"name": "a", "in": "query", "content": {"application/json": {}}}]},
        {"parameters": [{"name": "a", "in": "query", "schema": {}}] * 2},
        {"parameters": [{"name": "", "in": "query", "schema": {}}]},
        {"parameters": [{"name": "a", "in": "elsewhere", "schema": {}}]},
        {"operationId": "no spaces"},
        {"operationId": "x" * 129},
        {"operationId": "\u0430dmin"},
    ],
    ids=range(22),
)
def test_what_cannot_be_a_tool_as_it_is_written_is_left_out_and_told(operation: dict[str, Any]) -> None:
    found = read({"/x": {"post": {"operationId": "x", **operation}, "get": {"operationId": "ok"}}})

    assert [one.id for one in found.operations] == ["ok"]
    assert all(found.left_out.values())


@pytest.mark.parametrize(
    "schemas",
    [
        {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}},
        {"A": {"$ref": "#/components/schemas/A"}},
        {
            "A": {"$ref": "#/components/schemas/L25"},
            "L0": {"type": "string"},
            **{f"L{n}": {"allOf": [{"$ref": f"#/components/schemas/L{n - 1}"}] * 2} for n in range(1, 26)},
        },
    ],
)
def test_references_in_circles_and_doubling_ones_end_at_once(schemas: dict[str, Any]) -> None:
    paths = {"/x": {"post": {"operationId": "x", **body({"$ref": "#/components/schemas/A"})}}}

    found = read(paths, components={"schemas": schemas})

    assert all(len(operation.schema) < 20_000 for operation in found.operations)


def test_a_schema_that_all_operations_share_does_not_multiply_without_end() -> None:
    wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(1500)}}
    paths = {f"/{n}": {"post": body({"$ref": "#/components/schemas/W"})} for n in range(256)}

    found = read(paths, components={"schemas": {"W": wide}})

    assert len(found.operations) < 100
    assert len(found.operations) + len(found.left_out) == 256


def test_a_long_text_that_all_operations_share_does_not_multiply_either() -> None:
    wide = {"type": "string", "default": "x" * 500_000}
    paths = {f"/{n}": {"post": body({"$ref": "#/components/schemas/W"})} for n in range(256)}

    found = read(paths, components={"schemas": {"W": wide}})

    assert sum(len(operation.schema) for operation in found.operations) < 10_000_000


def test_keywords_that_change_what_references_mean_are_left_out() -> None:
    schema = {
        "$id": "http://127.0.0.1/", "$anchor": "a", "$dynamicRef": "#a", "type": "string",
        "example": {"$ref": "http://x"},
    }  # fmt: skip

    assert json.loads(only({"/x": {"post": body(schema)}}).schema)["properties"]["body"] == {"type": "string"}


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    schema = {"type": "object", "properties": {"$ref": {"type": "string"}, "items": {"type": "string"}}}

    made = json.loads(only({"/x": {"post": body(schema)}}).schema)["properties"]["body"]
    assert set(made["properties"]) == {"$ref", "items"}


def test_version_3_0_is_read_in_its_own_words() -> None:
    schema = {"type": "integer", "nullable": True, "minimum": 1, "exclusiveMinimum": True, "enum": [2, 3]}

    made = json.loads(only({"/x": {"post": body(schema)}}, "3.0.3").schema)["properties"]["body"]
    assert made == {"type": ["integer", "null"], "exclusiveMinimum": 1, "enum": [2, 3, None]}


def test_characters_that_nobody_sees_are_taken_out_of_descriptions() -> None:
    text = "Tells\u202e a\u200b pet\x1b[2J.\u2066"

    assert only({"/x": {"get": {"summary": text}}}).title == "Tells a pet[2J."


def test_servers_are_told_and_nothing_more() -> None:
    servers = [{"url": "http://169.254.169.254/"}, {"url": "https://{region}.example.com"}, 7, {"url": ["x"]}]

    assert read(servers=servers).servers == ("http://169.254.169.254/", "https://{region}.example.com")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"7", b"\xff", b"{", b'{"a":1,"a":2}', b"b: *x", b"[" * 100_000,
        b'{"a":' * 500 + b"1" + b"}" * 500, b"x" * (MAX_BYTES + 1),
        b'{"a":[' + b"1," * 30_000 + b"1]}", b"a: &x 1\nb: *x", b"a: &x 1", b"a: !x 1",
        b"a: !!python/object/apply:os.system [id]", b"a: 1\n---\nb: 2", b"a: 1\na: 2", b"? [a]\n: 1",
        b"- " * 5000 + b"x", b"[" * 5000, b"{a: " * 5000, b"a: " + b"[x, " * 30_000,
        b"%YAML 9.9\n---\na: 1", b"a: b: c", b"\x00", b"a: \x00", b"@", b"a:\n\t- b", b"- x\n" * 60_000,
        b"a:\n" + b"- x\n" * 60_000, b"a: " + b"[" * 100 + b"]" * 100,
        b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)),
    ],
    ids=range(32),
)  # fmt: skip
def test_what_is_no_document_or_a_bomb_is_refused_with_a_reason(text: bytes) -> None:
    with pytest.raises(BadDocument):
        read_document(text)


@pytest.mark.parametrize(
    "text", [b"{}", b'{"swagger":"2.0"}', b'{"openapi":3.1}', b'{"openapi":"4.0.0"}', b"a: 1"]
)
def test_what_is_no_openapi_document_is_refused(text: bytes) -> None:
    with pytest.raises(BadDocument):
        read_openapi(read_document(text))


def test_more_operations_than_a_person_can_judge_are_refused() -> None:
    with pytest.raises(BadDocument):
        read({f"/{n}": {"get": {}} for n in range(257)})


def test_yaml_means_what_json_means() -> None:
    text = yaml.safe_dump(document({"/x/{id}": {"get": GET}}), sort_keys=False).encode()

    assert read_document(text) == read_document(json.dumps(document({"/x/{id}": {"get": GET}})).encode())
    plain = b"a: no\nb: 0777\nc: '1'\nd: 1e3\ne: ~\nf: TRUE\n200: x\ng: 2020-01-01\nh: 1_000\ni: .inf"
    assert read_document(plain) == {
        "a": "no", "b": 777, "c": "1", "d": 1000.0, "e": None, "f": True, "200": "x", "g": "2020-01-01",
        "h": "1_000", "i": ".inf",
    }  # fmt: skip


_WORDS = "$ref get post parameters schema in name requestBody content application/json items type #/paths /x"
_NAMES = st.sampled_from(_WORDS.split())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | _NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(_JSON, st.sampled_from(["3.0.0", "3.1.0"]))
def test_whatever_a_document_holds_it_is_read_or_refused(paths: Any, version: str) -> None:
    try:
        found = read_openapi(
            {"openapi": version, "paths": {"/x": paths, "/y": {"get": paths, "post": paths}}}
        )
    except BadDocument:
        return
    assert len(found.operations) + len(found.left_out) <= 12
