"""Regular expressions from outside: what is taken, and what one unrolls to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.constraints.regexes import MAX_PATTERN_COST, BadRegex, regex_cost
from services.chassis.constraints.schemas import whole_match


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a|b+", "bbb", "ab"),
        ("^[0-9]{3}-[a-c]{2}$", "123-ab", "123-abx"),
        ("(?i)yes|no", "YES", "maybe"),
        ("(?s:.)", "\n", ""),
        (r"\d+\.\d{2}", "1.25", "1x25"),
        (r"[\w.\-]+@[^@\]]+", "a.b@c", "a@b@c"),
        (r"(?P<year>\d{4})(?:-\d\d)*?", "2026-01", "26"),
        (r"\x41\u0042\u{43}\t", "ABC\t", "ABC"),
        ("a{0}b{2,}", "bb", "ab"),
        ("", "", "a"),
    ],
)
def test_plain_expressions_describe_a_whole_text(pattern: str, yes: str, no: str) -> None:
    accepts = whole_match(pattern)

    assert accepts(yes)
    assert not accepts(no)


@pytest.mark.parametrize(
    "pattern",
    [
        "a)|(?:.*",
        ")(",
        "a)(?:b",
        "(a",
        "[a",
        "[]",
        "[^]",
        "a\\",
        "(?x)a # )",
        "(?x:a)",
        "(?-i:a)",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        "(?>a)",
        "(?#note)a",
        r"(a)\1",
        r"\k<a>",
        r"\bfoo\b",
        r"a\z|\A.*",
        r"\<a",
        "b^",
        "$b",
        "a|^b",
        "*a",
        "a**",
        "a{2}{3}",
        "a++",
        "a{3,2}",
        "a{,3}",
        "{",
        "[[:alpha:]]",
        "[a&&b]",
        "[z-a]",
        r"[\d-z]",
        r"\q",
        r"\u{110000}",
        r"\uD800",
        "(?P<n>a)(?P<n>b)",
        "\ud800",
    ],
)
def test_what_engines_read_differently_or_not_at_all_is_refused(pattern: str) -> None:
    with pytest.raises(BadRegex):
        whole_match(pattern)


def test_a_pattern_that_is_searched_for_may_be_anchored_anywhere() -> None:
    assert regex_cost("^a$|^b$", whole=False) > 0
    with pytest.raises(BadRegex, match="supported at the"):
        regex_cost("^a$|^b$", whole=True)


@pytest.mark.parametrize(
    "pattern",
    [
        "a{1000000}",
        "a{0,999999999}",
        "((a{100}){100}){100}",
        "(a{1000,}b){20}",
        r"(\p{L}{10}){20}",
        "((a|b|c|d){50}|[^x]{50}){90}",
        "(" * 65 + "a" + ")" * 65,
        "(" * 2_000,
        "a" * 5_000,
    ],
)
def test_what_unrolls_to_too_much_is_refused(pattern: str) -> None:
    with pytest.raises(BadRegex):
        regex_cost(pattern, whole=True)


def test_repetitions_multiply_however_they_are_written() -> None:
    assert regex_cost("(ab){50}", whole=True) >= 50 * regex_cost("ab", whole=True)
    assert regex_cost("((ab){5}){10}", whole=True) >= regex_cost("(ab){50}", whole=True)


PIECES = st.recursive(
    st.sampled_from(["a", ".", r"\d", "[a-c]", r"\p{L}", "[^x]"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join).map("({})".format),
        st.tuples(inner, st.integers(0, 5), st.integers(5, 30)).map(lambda t: f"(?:{t[0]}){{{t[1]},{t[2]}}}"),
        inner.map("({})*".format),
    ),
    max_leaves=8,
)


def cost(pattern: str) -> float:
    try:
        return regex_cost(pattern, whole=True)
    except BadRegex:
        return float("inf")


@given(PIECES, PIECES)
def test_what_holds_an_expression_never_costs_less_than_it(inner: str, beside: str) -> None:
    for outer in (f"({inner})", f"(?:{inner})*", f"(?:{inner}){{3}}", f"{inner}|{beside}", inner + beside):
        assert cost(outer) >= cost(inner)


@given(st.text(alphabet=r"ab(|)[]{}?*+^$\.-,0123456789:<>pLisPd&~", max_size=40))
def test_any_text_is_a_bounded_expression_or_refused(pattern: str) -> None:
    try:
        accepts = whole_match(pattern)
    except BadRegex:
        return

    assert regex_cost(pattern, whole=True) <= MAX_PATTERN_COST * len(pattern) + 1
    assert accepts("ab") in {True, False}
