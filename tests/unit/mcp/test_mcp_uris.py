"""Resource names as URIs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.mcp.uris import Kind, Resource, of_name, parse

PATHS = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=60).filter(
    lambda path: not path.startswith("/")
)


@given(st.sampled_from(Kind), PATHS)
def test_a_uri_names_what_it_was_made_of(kind: Kind, path: str) -> None:
    resource = Resource(kind, path)

    assert parse(resource.uri) == resource
    assert of_name(f"agents/planner/{kind.value}/{path}") == resource
    assert resource.uri.isascii()


@given(st.text(max_size=200))
def test_any_text_is_a_resource_of_the_caller_or_none(text: str) -> None:
    for uri in (text, f"aios://{text}", f"aios://files/{text}"):
        found = parse(uri)
        assert found is None or found.name.startswith(f"agents/me/{found.kind.value}/")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "aios:",
        "aios://files",
        "aios://files/",
        "aios://agents/b/files/x",
        "AIOS://x/y",
        "aios://files/x?version=1",
        "aios://files/x#part",
        "aios://files/%ff",
        "aios://files/\ud83d",
        "aios://[files/x",
        "file:///etc/passwd",
        "aios://files/" + "x" * 5000,
    ],
)
def test_what_is_none_of_ours_is_told_apart(uri: str) -> None:
    assert parse(uri) is None
