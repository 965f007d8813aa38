"""Resource names: what parses, what `me` means, and that text survives a round trip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.rpc import names
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.names import ResourceName

IDS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
COLLECTIONS = st.sampled_from(["notes", "files", "contexts", "generations", "calls"])
TAILS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(IDS, COLLECTIONS, TAILS)
def test_a_formatted_name_parses_to_the_same_parts(agent: str, collection: str, tail: str) -> None:
    parsed = names.parse(names.in_agent(agent, collection, tail))

    assert parsed == ResourceName(agent, collection, tail)
    assert str(parsed) == f"agents/{agent}/{collection}/{tail}"


def test_me_becomes_the_calling_agent() -> None:
    assert names.parse("agents/me/notes/x", me="planner") == ResourceName("planner", "notes", "x")


def test_me_is_resolved_only_as_the_agent() -> None:
    assert names.parse("agents/critic/notes/me", me="planner").id == "me"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agents/planner", ResourceName("planner", "", "")),
        ("agents/planner/notes", ResourceName("planner", "notes", "")),
        ("agents/planner/files/a/b.txt", ResourceName("planner", "files", "a/b.txt")),
        ("tools/search", ResourceName("", "tools", "search")),
    ],
)
def test_every_shape_of_name_is_understood(text: str, expected: ResourceName) -> None:
    assert names.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "agents",
        "agents/",
        "agents//notes/x",
        "agents/../notes/x",
        "agents/A",
        "agents/a/",
        "agents/a//x",
        "Tools/x",
        "agents/a\0/notes/x",
        "agents/" + "a" * 64,
        "agents/a/files/" + "x" * 2048,
    ],
)
def test_what_is_no_resource_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        names.parse(text, field="note.name")

    assert refusal.value.violations[0].field == "note.name"


def test_a_name_in_another_collection_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        names.parse_in("agents/planner/files/x", "notes")


@given(st.text(max_size=80))
def test_any_text_either_parses_or_is_refused_with_a_typed_error(text: str) -> None:
    try:
        parsed = names.parse(text, me="planner")
    except InvalidRequest:
        return

    assert names.parse(str(parsed)) == parsed
