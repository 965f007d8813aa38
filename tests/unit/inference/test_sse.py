"""Server-sent events: the same whatever the chunks, and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.backends.sse import MAX_LINE, EventLines
from gateway.inference.errors import BackendBroken

STREAM = b': hello\r\n\r\ndata: {"a": 1}\r\n\r\nevent: x\ndata:{"b":2}\n\ndata:\n\ndata: [DONE]\n\n'
EVENTS = [b'{"a": 1}', b'{"b":2}', b"[DONE]"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_chunks_may_end_anywhere(cuts: list[int]) -> None:
    lines, at, found = EventLines(), 0, []
    for cut in [*sorted(cuts), len(STREAM)]:
        found += lines.feed(STREAM[at:cut])
        at = cut

    assert found == EVENTS


def test_a_line_without_an_end_is_given_up() -> None:
    lines = EventLines()

    with pytest.raises(BackendBroken):
        lines.feed(b"data: " + b"x" * MAX_LINE)
