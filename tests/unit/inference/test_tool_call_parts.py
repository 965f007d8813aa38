"""Tool calls of the OpenAI protocol: however a server cuts and numbers their parts, none is lost or mixed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.backends.openai.tool_calls import MOST_CALLS, ToolCallJoiner, ToolDelta
from gateway.inference.backends.openai.wire import read_chunk
from gateway.inference.errors import BackendBroken

Told = list[tuple[str, str, str]]


def joined(*events: list[dict[str, Any]]) -> Told:
    """Return id, name and arguments of the calls that deltas in these events make."""
    joiner = ToolCallJoiner()
    for calls in events:
        chunk = read_chunk({"choices": [{"delta": {"tool_calls": calls}}]})
        joiner.add(chunk.tool_calls if chunk is not None else ())
    return [(call.id, call.name, call.arguments) for call in joiner.calls()]


def part(name: str | None = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    """Write one delta."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **fields}


A, B = ("a", "now", '{"x":1}'), ("b", "now", '{"x":2}')


@pytest.mark.parametrize("index", [{}, {"index": 0}, {"index": None}])
def test_two_complete_calls_with_ids_of_their_own_are_two_calls(index: dict[str, Any]) -> None:
    first, second = part("now", '{"x":1}', id="a", **index), part("now", '{"x":2}', id="b", **index)

    assert joined([first, second]) == [A, B]
    assert joined([first], [second]) == [A, B]


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_calls_without_arguments_do_not_vanish(index: dict[str, Any]) -> None:
    calls = joined([part("now", "", id="a", **index)], [part("now", "", id="b", **index)])

    assert [(id_, name) for id_, name, _ in calls] == [("a", "now"), ("b", "now")]


def test_parts_without_an_id_belong_to_the_call_of_their_index() -> None:
    told = joined(
        [part("now", "", id="a", index=0)],
        [part("now", "", id="b", index=1)],
        [part(None, '{"x":', index=0), part(None, '{"x"', index=1)],
        [part(None, ":2}", index=1), part(None, "1}", index=0)],
    )

    assert told == [A, B]


def test_parts_without_an_index_belong_to_the_newest_call() -> None:
    told = joined(
        [part("now", '{"x":', id="a")], [part(None, "1}")], [part("now", '{"x":', id="b")], [part(None, "2}")]
    )

    assert told == [A, B]


def test_late_parts_go_to_the_newest_call_of_an_index_that_was_used_twice() -> None:
    told = joined(
        [part("now", '{"x":1}', id="a", index=0)],
        [part("now", '{"x"', id="b", index=0)],
        [part(None, ":2}", index=0)],
    )

    assert told == [A, B]


def test_a_repeated_id_and_name_continue_their_call() -> None:
    told = joined([part("now", '{"x"', id="a", index=0)], [part("now", ":1}", id="a", index=0)])

    assert told == [A]


def test_a_new_id_in_each_part_of_one_index_is_one_call() -> None:
    told = joined([part("now", '{"x"', id="a", index=0)], [part(None, ":1}", id="made-up", index=0)])

    assert told == [A]


def test_an_id_that_comes_late_is_the_call_s() -> None:
    told = joined([part("now", "", index=0)], [part(None, '{"x":1}', index=0, id="a")])

    assert told == [A]


def test_whole_calls_without_ids_get_numbers() -> None:
    one = joined([part("now", {"x": 1}), part("now", {"x": 2})])
    each = joined([part("now", {"x": 1}, index=0)], [part("now", {"x": 2}, index=0)])

    assert one == each == [("call_0", "now", '{"x": 1}'), ("call_1", "now", '{"x": 2}')]


def test_one_id_for_several_calls_is_made_different() -> None:
    told = joined([part("now", '{"x":1}', id="a", index=0), part("now", '{"x":2}', id="a", index=1)])

    assert told == [A, ("a_1", "now", '{"x":2}')]


def test_calls_come_in_the_order_of_their_indices() -> None:
    told = joined([part("now", '{"x":2}', id="b", index=1), part("now", '{"x":1}', id="a", index=0)])

    assert told == [A, B]


@pytest.mark.parametrize(
    "call",
    [
        {"id": "a", "name": "now", "arguments": {"x": 1}},
        {"id": "a", "function": {"name": "now", "arguments": {"x": 1}}, "index": None, "type": None},
    ],
)
def test_arguments_may_be_an_object(call: dict[str, Any]) -> None:
    assert joined([call]) == [("a", "now", '{"x": 1}')]


def test_a_single_call_may_stand_without_its_list_and_under_its_old_name() -> None:
    for delta in ({"tool_calls": part("now", "{}")}, {"function_call": {"name": "now", "arguments": "{}"}}):
        chunk = read_chunk({"choices": [{"delta": delta}]})

        assert chunk is not None
        assert [(each.name, each.arguments) for each in chunk.tool_calls] == [("now", "{}")]


def test_halves_of_a_surrogate_pair_in_two_parts_are_joined() -> None:
    told = joined([part("now", '{"x":"\ud83e', id="a", index=0)], [part(None, '\udd17\ud83e"}', index=0)])

    assert told == [("a", "now", '{"x":"\U0001f917\ufffd"}')]


def test_calls_without_end_are_given_up() -> None:
    calls = [ToolDelta(number, f"c{number}", "now", "{}") for number in range(MOST_CALLS + 1)]
    with pytest.raises(BackendBroken):
        ToolCallJoiner().add(calls)


DELTAS = st.builds(
    ToolDelta,
    st.none() | st.integers(-1, 2),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["", "now", "then"]),
    st.sampled_from(["", "{}", '{"x":', "1}"]),
)


@given(st.lists(st.lists(DELTAS, max_size=3), max_size=8))
def test_no_part_is_lost_and_no_id_comes_twice(events: list[list[ToolDelta]]) -> None:
    joiner = ToolCallJoiner()
    for event in events:
        joiner.add(event)
    calls = joiner.calls()

    sent = sorted("".join(delta.arguments for event in events for delta in event))
    assert sorted("".join(call.arguments for call in calls)) == sent
    assert len({call.id for call in calls}) == len(calls)
    assert all(call.id for call in calls)


@given(
    st.lists(st.tuples(st.text("xyz", min_size=1, max_size=4), st.text("0123", max_size=6)), max_size=5),
    st.data(),
)
def test_interleaved_calls_with_indices_come_out_whole(
    calls: list[tuple[str, str]], data: st.DataObject
) -> None:
    queues = [
        [
            part(name, text[:2], id=f"id{at}", index=at),
            part(None, text[2:4], index=at),
            part(None, text[4:], index=at),
        ]
        for at, (name, text) in enumerate(calls)
    ]
    events = []
    while any(queues):
        queue = data.draw(st.sampled_from([each for each in queues if each]))
        events.append([queue.pop(0)])

    assert joined(*events) == [(f"id{at}", name, text) for at, (name, text) in enumerate(calls)]
