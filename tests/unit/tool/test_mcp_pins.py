"""What is pinned of MCP servers, what is taken of their tools, and how it is shown."""

import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tool.core import pins
from services.tool.core.locks import allowances, lock_names
from services.tool.core.mcp_servers import HttpServer, KnownTool, McpServer, OAuthClient, StdioServer
from services.tool.model import Driver, DriverKind, Effect, McpBinding, Tool
from services.tool.wire.servers import escaped
from tests.fakes.mcp_servers import shows

SERVER = McpServer(id="browser", default_effect=Effect.REVERSIBLE)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(shown=st.dictionaries(st.sampled_from([*pins.PINNED, "other"]), JSON))
def test_a_pin_depends_on_what_is_shown_and_on_nothing_else(shown: dict[str, Any]) -> None:
    first = pins.definition(shown)
    again = pins.definition(dict(reversed(shown.items())) | {"other": 1})

    assert first.text == again.text
    assert pins.pin(first.text) != pins.pin(pins.definition(shown | {"description": object.__name__}).text)


@given(st.text())
def test_what_is_shown_of_a_text_can_be_seen(text: str) -> None:
    shown = pins.visible(text)

    assert all(unicodedata.category(each) not in {"Cf", "Cs", "Co", "Zl", "Zp"} for each in shown)
    assert pins.visible(shown) == shown
    assert pins.hides(text) is (pins.visible(text, lines=False) != text)


@given(JSON)
def test_what_a_person_is_shown_means_the_same_in_ascii(value: Any) -> None:
    text = pins.canonical(value)

    assert escaped(text).isascii()
    assert json.loads(escaped(text)) == json.loads(text)


@pytest.mark.parametrize("server", ["a.b", "", "A", "-a", "a" * 64, "ä"])
def test_an_id_that_could_meet_another_servers_tools_owns_none(server: str) -> None:
    assert pins.server_id_problem(server)


@pytest.mark.parametrize(
    ("annotations", "effect"),
    [
        ({"readOnlyHint": True}, Effect.IDEMPOTENT),
        ({"readOnlyHint": True, "destructiveHint": True}, Effect.IRREVERSIBLE),
        ({"destructiveHint": False}, Effect.REVERSIBLE),
        ({"idempotentHint": True}, Effect.IRREVERSIBLE),
        ({"readOnlyHint": "true"}, Effect.IRREVERSIBLE),
        ({}, Effect.IRREVERSIBLE),
    ],
)
def test_annotations_count_where_they_are_trusted_and_make_nothing_pure(
    annotations: dict[str, Any], effect: Effect
) -> None:
    trusted = McpServer(id="x", trust_annotations=True)

    assert pins.effect_of(trusted, annotations) is effect
    assert pins.effect_of(replace(trusted, trust_annotations=False), annotations) is Effect.IRREVERSIBLE


def test_what_a_server_is_reached_by_is_pinned_without_its_secrets() -> None:
    program = StdioServer(command=("/usr/bin/node", "a.js"), environment={"A": "b"})
    web = HttpServer(url="https://a/mcp", oauth=OAuthClient(token_url="https://b", client_id="c"))
    pin = pins.server_pin(program, {"/usr/bin/node": "1"})

    for other in (
        replace(program, command=("/usr/bin/node", "b.js")),
        replace(program, environment={}),
        replace(program, allow_network=True),
    ):
        assert pins.server_pin(other, {"/usr/bin/node": "1"}) != pin
    assert pins.server_pin(program, {"/usr/bin/node": "2"}) != pin
    assert pins.server_pin(replace(program, secret_environment={"K": "k"}), {"/usr/bin/node": "1"}) == pin
    assert pins.server_pin(web, {}) != pins.server_pin(replace(web, url="https://a/mcp2"), {})
    assert pins.server_pin(web, {}) != pins.server_pin(replace(web, oauth=None), {})


def test_the_digest_of_an_offer_is_that_of_exactly_what_is_offered() -> None:
    known = [KnownTool("a", "1", "1"), KnownTool("b", "1", "")]
    digest = pins.offer_digest("pin", known)

    assert digest == pins.offer_digest("pin", [KnownTool("a", "", "1")])
    assert digest != pins.offer_digest("other", known)
    assert digest != pins.offer_digest("pin", [KnownTool("a", "1", "2")])


def test_texts_for_readers_are_escaped_and_what_means_something_is_not_touched() -> None:
    schema = {
        "type": "object",
        "description": "hid\u200bden",
        "properties": {"title": {"type": "string", "title": "a\u202eb", "default": "line\nend"}},
    }
    tool = pins.tool_of(SERVER, pins.definition(shows(inputSchema=schema, title="T\u2066")))

    shown = json.loads(tool.parameters_schema)
    assert shown["description"] == "hid\\u{200b}den"
    assert shown["properties"]["title"] == {"type": "string", "title": "a\\u{202e}b", "default": "line\nend"}
    assert tool.title == "T\\u{2066}"


@pytest.mark.parametrize(
    "members",
    [
        {"inputSchema": {"type": "object", "properties": {"a\u200b": {}}}},
        {"inputSchema": {"type": "object", "properties": {"a": {"const": "\u200b"}}}},
        {"inputSchema": {"type": "string"}},
        {"inputSchema": {"type": "object", "properties": {"a": {"pattern": "("}}}},
        {"outputSchema": {"$ref": "file:///etc/passwd"}},
        {"description": "d" * 5_000},
        {"name": "x" * 125},
    ],
    ids=["hidden name", "hidden value", "no object", "no pattern", "reference", "long", "long name"],
)
def test_a_tool_that_cannot_be_shown_or_checked_is_not_taken(members: dict[str, Any]) -> None:
    chosen, passed = pins.taken(SERVER, [pins.definition(shows(**members)), pins.definition(shows("fine"))])

    assert [one.tool for one in chosen] == ["fine"]
    assert len(passed) == 1


def test_only_the_tools_that_are_wanted_are_taken_and_what_is_missing_is_told() -> None:
    wanted = replace(SERVER, allowed_tools=("a", "c"))

    chosen, passed = pins.taken(wanted, [pins.definition(shows("a")), pins.definition(shows("b"))])

    assert [one.tool for one in chosen] == ["a"]
    assert passed == ("c: the server has no such tool",)


def test_no_more_than_256_tools_are_taken() -> None:
    chosen, passed = pins.taken(SERVER, [pins.definition(shows(f"t{n:03}")) for n in range(300)])

    assert len(chosen) == pins.MAX_TOOLS
    assert len(passed) == 44


def test_all_tools_of_a_server_share_its_places_which_no_tools_lock_can_name() -> None:
    bound = McpBinding(server="browser", tool="open", pinned_sha256="")
    tool = Tool(id="browser.open", max_concurrency=3, driver=Driver(DriverKind.MCP, mcp=bound))

    assert allowances(tool) == (("mcpservers/browser", 3),)
    assert lock_names(Tool(id="x", locks=("{name}",)), {"name": "mcpservers/browser"}) == (
        "./mcpservers/browser",
    )
