"""Server-sent events: the same whatever the chunks, and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.backends.sse import MAX_LINE, EventLines
from gateway.inference.errors import BackendBroken

MARK = b"\xef\xbb\xbf"
STREAM = b': hello\r\n\r\ndata: {"a": 1}\r\n\r\nevent: x\ndata:{"b":2}\n\ndata:\n\ndata: [DONE]\n\n'
EVENTS = [b'{"a": 1}', b'{"b":2}', b"[DONE]"]


@pytest.mark.parametrize("ends", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", MARK])
@given(st.lists(st.integers(0, len(STREAM) + 20), max_size=8))
def test_chunks_may_end_anywhere_and_lines_in_any_way(ends: bytes, mark: bytes, cuts: list[int]) -> None:
    stream = mark + STREAM.replace(b"\r\n", b"\n").replace(b"\n", ends)
    lines, at, found = EventLines(), 0, []
    for cut in [*sorted(cuts), len(stream)]:
        found += lines.feed(stream[at:cut])
        at = max(at, cut)

    assert found == EVENTS


@pytest.mark.parametrize("ends", [b"\n", b"\r", b"\r\n"])
def test_an_object_over_several_lines_is_one_event(ends: bytes) -> None:
    lines, found = EventLines(), []
    for byte in ends.join([b'data: {"a":', b"data: 1", b"data: }", b"", b""]):
        found += lines.feed(bytes([byte]))

    assert found == [b'{"a":\n1\n}']


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    assert EventLines().feed(MARK + b'data: {"a":1}\n\n') == [b'{"a":1}']


def test_a_field_s_name_written_twice_counts_once() -> None:
    assert EventLines().feed(b'data: data: {"a":1}\ndata:data:[DONE]\n') == [b'{"a":1}', b"[DONE]"]


def test_a_line_without_an_end_is_given_up() -> None:
    lines = EventLines()

    with pytest.raises(BackendBroken):
        lines.feed(b"data: " + b"x" * MAX_LINE)
