"""What is kept of a call's arguments shows no value of a secret, wherever they are cut."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.tool.core.kept_arguments import with_arguments
from services.tool.core.ledger import canonical
from services.tool.core.redaction import Redactor
from services.tool.model import Effect, ToolCall

VALUE = "s3cret-value-of-the-operator"
CALL = ToolCall(
    id="c", tool="t", arguments_sha256="", effect=Effect.PURE, created_at=datetime(2026, 1, 1, tzinfo=UTC)
)


@given(before=st.integers(0, 200), after=st.integers(0, 200), most=st.integers(1, 300))
def test_wherever_arguments_are_cut_no_part_of_a_value_that_tells_is_kept(
    before: int, after: int, most: int
) -> None:
    text = canonical({"k": "x" * before + VALUE + "y" * after})
    kept = with_arguments(CALL, text, most, [Redactor([VALUE])])

    assert len(kept.arguments) <= most
    assert VALUE[:6] not in kept.arguments
    assert kept.arguments_bytes == len(text)
    assert kept.arguments_cut or "y" * after in kept.arguments


@given(size=st.integers(0, 100), most=st.integers(1, 100))
def test_without_secrets_the_beginning_is_kept_and_a_cut_is_told(size: int, most: int) -> None:
    text = canonical({"k": "x" * size})
    kept = with_arguments(CALL, text, most, [])

    assert kept.arguments == text[:most]
    assert kept.arguments_cut == (len(text) > most)


def test_nothing_is_kept_where_nothing_may_be() -> None:
    assert with_arguments(CALL, "{}", 0, []) == CALL
