"""Policy texts are measured before the native parser sees them: nothing too deep or too costly gets there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access.adapters.cedar import BASE_TEXT, PolicyJudge
from services.access.core import policy_text
from services.access.core.policy_text import Load, Outline, outline
from services.access.errors import PolicyInvalid
from services.chassis.rpc.errors import QuotaExceeded

JUDGE = PolicyJudge()
OPS = policy_text.MAX_OPERATIONS


def when(body: str, head: str = "principal, action, resource") -> str:
    """Write a policy with a condition."""
    return f'@id("d") permit({head}) when {{ {body} }};'


def bound_of(text: str) -> tuple[str, str]:
    """Return the bound that a text passes and its limit."""
    with pytest.raises(PolicyInvalid) as refused:
        outline(text)
    assert refused.value.violations[0].field == "policy.text"
    return refused.value.metadata["bound"], refused.value.metadata["limit"]


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        pytest.param(when("(" * 800 + "true" + ")" * 800), "depth", id="parentheses"),
        pytest.param(when("[" * 800 + "]" * 800), "depth", id="sets"),
        pytest.param(when("{a:" * 800 + "1" + "}" * 800), "depth", id="records"),
        pytest.param(when("principal.contains(" * 40 + "1" + ")" * 40), "depth", id="calls in calls"),
        pytest.param(when("!" * 5000 + "true"), "unary", id="not"),
        pytest.param(when("-" * 5000 + "1 == 1"), "unary", id="minus"),
        pytest.param(when("!-" * 3 + "1 == 1"), "unary", id="mixed"),
        pytest.param(when("principal" + ".a" * 5000 + " == 1"), "members", id="members"),
        pytest.param(when("principal has a" + ".a" * 5000), "members", id="has"),
        pytest.param(when("principal" + ".a(1)" * OPS + " == 1"), "operations", id="calls in a row"),
        pytest.param(when("principal" + '["a"]' * 300 + " == 1"), "operations", id="indices"),
        pytest.param(when(" && ".join(["true"] * 5000)), "operations", id="and"),
        pytest.param(when(" || ".join(["true"] * 5000)), "operations", id="or"),
        pytest.param(when("1" + " + 1" * 5000 + " == 1"), "operations", id="plus"),
        pytest.param(when("principal in resource == " * 500 + "true"), "operations", id="in"),
        pytest.param(when("if true then " * 600 + "true " + "else false " * 600), "operations", id="if"),
        pytest.param(when("if true then true else " * 600 + "true"), "operations", id="else if"),
        pytest.param(
            "permit(principal, action, resource) " + "when {true} " * 300 + ";", "operations", id="when"
        ),
        pytest.param(
            " ".join(f'@a{number}("x")' for number in range(500)) + when("true"), "tokens", id="annotations"
        ),
        pytest.param(
            when("true", "principal, action in [" + 'Action::"own",' * 900 + "], resource"),
            "tokens",
            id="entities",
        ),
        pytest.param(when("[" + "1," * 1500 + "1].contains(1)"), "tokens", id="a wide set"),
        pytest.param(when("principal is A" + "::A" * 1500), "tokens", id="a long path"),
        pytest.param("permit(principal, action, resource);" * 65, "policies", id="policies"),
        pytest.param("// " + "x" * 70_000, "bytes", id="bytes"),
        pytest.param("// " + "é" * 33_000, "bytes", id="bytes of wide characters"),
        pytest.param(when(f'principal.tenant == "{"x" * 3000}"'), "string", id="string"),
        pytest.param(when(f'principal.tenant like "{"*a" * 70}"'), "pattern", id="pattern"),
    ],
)
def test_a_text_that_passes_a_bound_is_refused_and_the_bound_is_named(text: str, bound: str) -> None:
    named, limit = bound_of(text)

    assert named == bound
    assert int(limit) > 0


@pytest.mark.parametrize(
    "hidden",
    [
        "// a comment ends at a carriage return\r" + "(" * 800 + "true" + ")" * 800,
        '"a string with // in it" == "" || ' + "(" * 800 + "true" + ")" * 800,
        '"a string with \\" in it" == "" || ' + "(" * 800 + "true" + ")" * 800,
    ],
)
def test_nothing_is_hidden_from_the_count(hidden: str) -> None:
    assert bound_of(when(hidden))[0] == "depth"


@pytest.mark.parametrize(
    "harmless",
    [
        "// " + "(" * 800 + "\ntrue",
        'principal.tenant == "' + "(" * 800 + '"',
        'principal.tenant == "' + "!" * 800 + '\\""',
    ],
)
def test_what_stands_in_comments_and_strings_is_not_counted(harmless: str) -> None:
    assert JUDGE.findings(when(harmless)) == []


@pytest.mark.parametrize(
    ("text", "offset"),
    [("permit(principal] action)", "16"), ("é", "0"), ("permit)", "6"), ('// é\n"open', "6"), ("a % b", "2")],
)
def test_what_the_lexer_does_not_know_is_refused_with_its_place(text: str, offset: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        outline(text)

    assert refused.value.metadata == {"offset": offset}


def test_the_ids_are_those_of_the_annotations() -> None:
    text = (
        when("true")
        + " permit(principal, action, resource); "
        + '@id("e") @note("n") forbid(principal, action, resource);'
    )

    assert outline(text).ids == ("d", "", "e")
    with pytest.raises(PolicyInvalid, match="escapes"):
        outline('@id("a\\u{62}") permit(principal, action, resource);')


def test_templates_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(PolicyInvalid, match="templates"):
        outline('@id("a") permit(principal == ?principal, action, resource);')


@pytest.mark.parametrize(
    "body",
    [
        "(" * 30 + "true" + ")" * 30,
        "[" * 30 + "1" + "]" * 30 + " == [1]",
        "{a:" * 30 + "1" + "}" * 30 + " == {a: 1}",
        "if true then " * 80 + "true " + "else false " * 80,
        " && ".join(["principal is Agent"] * 100),
        "(" * 30 + " || ".join(["true"] * 200) + ")" * 30,
        "principal has a" + ".a" * 30,
        "1" + " + 1" * 250 + " == 1",
        "!!!!true",
    ],
)
def test_what_lies_within_the_bounds_is_within_the_parsers_means(body: str) -> None:
    for finding in JUDGE.findings(when(body)):
        assert "recursion" not in finding.message


def test_the_kernels_own_rules_lie_within_the_bounds() -> None:
    assert "tenant-wall" in outline(BASE_TEXT).ids


@given(st.text(alphabet=list('()[]{}"\\/ \r\n!-.@;?aé1&|='), max_size=200))
def test_any_text_is_measured_or_refused(text: str) -> None:
    try:
        found = outline(text)
    except PolicyInvalid:
        return
    assert 0 <= found.tokens <= len(text)


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        (Outline(("a",), 1, 1), "policies"),
        (Outline(("a",), policy_text.MAX_TOKENS_IN_FORCE, 1), "tokens of policies"),
        (Outline(("a",), 1, policy_text.MAX_BYTES_IN_FORCE), "bytes of policies"),
    ],
)
def test_a_tenant_has_only_so_much_in_force(text: Outline, quota: str) -> None:
    load = Load(policies=policy_text.MAX_IN_FORCE if quota == "policies" else 1, tokens=1, bytes=1)
    with pytest.raises(QuotaExceeded) as refused:
        load.plus(text, "acme")

    assert refused.value.metadata["quota"] == quota
    assert refused.value.quota is not None
    assert refused.value.quota.subject == "tenants/acme"
