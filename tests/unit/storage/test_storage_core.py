"""The pure parts of storage: paths, patterns, pieces, texts, filters."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.storage.core import filters, paths, texts
from services.storage.core.content import Scanner, cut, sha256, spans
from services.storage.core.filters import Filter, Operator
from services.storage.core.globs import Pattern
from services.storage.core.requests import fingerprint
from services.storage.core.shares import grants_for, merge
from services.storage.errors import PathInvalid, QueryInvalid
from services.storage.model import Content, Role, ShareGrant

GOOD = ["a", "a/b.txt", "ä/日本", "a b", "...", "a/..b", ".hidden", "-", "a" * 255]
BAD = [
    "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a\0b", "a\nb", "a\x7fb", "a\u202eb", "a\u2028b",
    "cafe\u0301", "a" * 256, "/".join(["a"] * 65), "a/" * 600 + "b", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("path", GOOD)
def test_a_path_in_its_one_spelling_is_allowed(path: str) -> None:
    assert paths.check(path) == path


@pytest.mark.parametrize("path", BAD)
def test_any_other_path_is_refused(path: str) -> None:
    with pytest.raises(PathInvalid):
        paths.check(path)


def test_only_the_root_is_no_entry() -> None:
    assert paths.check("") == ""
    with pytest.raises(PathInvalid):
        paths.check_entry("")


@given(st.text(max_size=40))
def test_an_allowed_path_never_leads_upwards(path: str) -> None:
    try:
        paths.check(path)
    except PathInvalid:
        return

    assert not path.startswith("/")
    assert ".." not in path.split("/")
    assert "\0" not in path


@given(st.lists(st.sampled_from(["a", "b", "a-", "a0", "ä"]), min_size=1, max_size=4))
def test_everything_below_a_directory_lies_between_its_bounds(parts: list[str]) -> None:
    path = "/".join(parts)
    for directory in ["", *paths.ancestors(path), "a", "a-"]:
        first, last = paths.below(directory)

        assert paths.contains(directory, path) == (first <= path < last)


def test_rebasing_moves_a_path_to_another_directory() -> None:
    assert paths.rebase("a/b/c", "a", "x/y") == "x/y/b/c"
    assert paths.relative("a/b/c", "a") == "b/c"
    assert paths.relative("a/b", "") == "a/b"


def as_expression(pattern: str) -> str:
    """Translate a pattern to a regular expression: the reference."""
    signs = re.findall(r"\*+|.", pattern or "**", re.DOTALL)
    translated = (
        ".*" if sign[:2] == "**" else "[^/]*" if sign == "*" else "[^/]" if sign == "?" else re.escape(sign)
        for sign in signs
    )
    return "".join(translated)


@given(st.text("ab/*?", max_size=8), st.text("ab/", max_size=8))
def test_a_pattern_matches_as_its_regular_expression_does(pattern: str, path: str) -> None:
    expected = re.fullmatch(as_expression(pattern), path, re.DOTALL) is not None

    assert Pattern(pattern).matches(path) == expected


def test_a_pattern_full_of_stars_is_no_burden() -> None:
    assert not Pattern("a*" * 120 + "b").matches("a" * 1000)


@given(st.binary(max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_spans_of_pieces_give_the_slice_of_the_whole(data: bytes, offset: int, length: int) -> None:
    content = cut(data, piece_bytes=7)
    found = b"".join((p.data or b"")[start:stop] for p, start, stop in spans(content.pieces, offset, length))

    assert found == data[offset : offset + length]
    assert content.digest == sha256(data)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(1, 5), st.integers(1, 50))
def test_a_scanner_reads_text_in_any_parts(text: str, step: int, keep: int) -> None:
    data = text.encode()
    scanner = Scanner(keep)
    for at in range(0, len(data), step):
        scanner.feed(data[at : at + step])

    assert scanner.digest == sha256(data)
    assert scanner.size == len(data)
    assert scanner.text() == (None if "\0" in text else text[:keep])


@pytest.mark.parametrize("data", [b"\xff", b"abc\xc3", b"a\0b"])
def test_a_scanner_tells_what_is_no_text(data: bytes) -> None:
    scanner = Scanner(100)
    scanner.feed(data)

    assert scanner.text() is None


def test_a_query_without_words_is_refused() -> None:
    with pytest.raises(QueryInvalid):
        texts.query_words(" ?! ")
    assert texts.query_words("b a B") == ["b", "a"]


def test_an_excerpt_begins_before_the_word_at_its_byte() -> None:
    text = "ä" * 10 + " lead " * 30 + "needle end"
    passage, offset = texts.excerpt(text, ["needle"])

    assert "needle end" in passage
    assert text.encode()[offset:].decode().startswith("lead")


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (Operator.EQUAL, 3, True), (Operator.EQUAL, True, False), (Operator.NOT_EQUAL, 4, True),
        (Operator.LESS, 3, False), (Operator.LESS_OR_EQUAL, 3, True), (Operator.GREATER, 2.5, True),
        (Operator.GREATER_OR_EQUAL, 4, False), (Operator.LESS, "4", False), (Operator.IN, [1, 3], True),
        (Operator.IN, ["3"], False), (Operator.CONTAINS, 3, False), (Operator.EXISTS, None, True),
    ],
)  # fmt: skip
def test_a_number_is_compared_with_numbers_only(
    operator: Operator, value: filters.Json, *, expected: bool
) -> None:
    assert filters.passes({"n": 3}, [Filter("n", operator, value)]) == expected


def test_texts_and_lists_contain_and_missing_fields_differ() -> None:
    fields: dict[str, filters.Json] = {"t": "hello", "l": ["a", 1], "o": {"in": {"x": "y"}}, "b": True}

    assert filters.passes(fields, [Filter("t", Operator.CONTAINS, "ell"), Filter("l", Operator.CONTAINS, 1)])
    assert filters.passes(
        fields, [Filter("o.in.x", Operator.GREATER, "x"), Filter("no", Operator.NOT_EQUAL, 1)]
    )
    assert not filters.passes(fields, [Filter("t.x", Operator.EXISTS)])
    assert not filters.passes(fields, [Filter("b", Operator.GREATER, 0)])


@pytest.mark.parametrize(
    ("operator", "value"),
    [(Operator.LESS, None), (Operator.LESS, True), (Operator.IN, "x"), (Operator.IN, list(range(101)))],
)
def test_a_condition_that_can_never_be_meant_is_refused(operator: Operator, value: filters.Json) -> None:
    with pytest.raises(QueryInvalid):
        filters.check([Filter("f", operator, value)])


def test_a_fingerprint_does_not_depend_on_the_order_of_arguments() -> None:
    assert fingerprint("M", {"a": 1, "b": 2}) == fingerprint("M", {"b": 2, "a": 1})
    assert fingerprint("M", {"a": 1}) != fingerprint("N", {"a": 1})


def test_a_share_of_a_directory_is_two_grants_and_one_share() -> None:
    grants = grants_for("agents/a/files/d", "agents/b", Role.WRITER, None, directory=True)
    found = merge("a", [*grants, ShareGrant("g", "agents/a/notes/x", "agents/b", ("storage.read",))])

    assert [(grant.resource, grant.prefix) for grant in grants] == [
        ("agents/a/files/d", False),
        ("agents/a/files/d/", True),
    ]
    assert [(share.path, share.role) for share in found] == [("d", Role.WRITER)]


def test_an_empty_content_is_one_empty_piece() -> None:
    content: Content = cut(b"")

    assert [piece.size for piece in content.pieces] == [0]
