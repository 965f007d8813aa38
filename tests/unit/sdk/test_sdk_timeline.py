"""From events of the scheduler to spans, rows and a trace file."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aios.cli.timeline import Mark, Span, Timeline, agent_rows, build, chart_rows, chrome_trace, row_labels
from aios.types.queue import ScheduleEvent, Syscall

START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("submitted", "granted", "preempted", "yielded", "boosted", "finished", "rejected")


def call(name: str = "a/calls/c", **fields: Any) -> Syscall:
    return Syscall(name=f"agents/{name}", **fields)


def event(
    kind: Any, at: float, name: str = "a/calls/c", *, replica: str = "", outcome: str = ""
) -> ScheduleEvent:
    return ScheduleEvent(
        kind=kind,
        time=START + timedelta(seconds=at),
        syscall=call(name, replica=replica, scheduling_class="normal"),
        outcome=outcome,
    )


def built(*events: ScheduleEvent, left: tuple[Syscall, ...] = (), length: float = 10.0) -> Timeline:
    return build(events, left, start=START, length=length)


def stretches(timeline: Timeline) -> list[tuple[str, float, float]]:
    return [(span.kind, span.start, span.end) for span in timeline.spans]


def test_a_call_that_is_switched_waits_runs_stops_waits_and_runs_again() -> None:
    timeline = built(
        event("submitted", 1),
        event("granted", 2, replica="r0"),
        event("preempted", 4, replica="r0"),
        event("yielded", 4.5),
        event("granted", 6, replica="r1"),
        event("finished", 9, replica="r1", outcome="completed"),
    )

    assert stretches(timeline) == [
        ("waiting", 1, 2),
        ("running", 2, 4),
        ("stopping", 4, 4.5),
        ("waiting", 4.5, 6),
        ("running", 6, 9),
    ]
    assert [span.replica for span in timeline.spans] == ["", "r0", "r0", "", "r1"]
    assert timeline.spans[-1].outcome == "completed"
    assert timeline.marks == (Mark(at=4, kind="preempted", call="agents/a/calls/c"),)


def test_what_lasts_at_the_end_ends_with_the_timeline() -> None:
    timeline = built(event("submitted", 1), event("granted", 2, "b/calls/c", replica="r0"))

    assert stretches(timeline) == [("waiting", 0, 2), ("waiting", 1, 10), ("running", 2, 10)]
    assert timeline.spans[1].ended_by == ""


def test_a_call_that_was_there_before_began_with_the_timeline() -> None:
    assert stretches(built(event("finished", 3))) == [("running", 0, 3)]
    assert stretches(built(event("rejected", 3))) == [("waiting", 0, 3)]
    assert stretches(built(event("yielded", 3))) == [("running", 0, 3), ("waiting", 3, 10)]


def test_a_call_without_any_event_is_shown_from_the_list() -> None:
    waiting = call(state="waiting", arrive_time=START + timedelta(seconds=4))
    running = call("b/calls/c", state="running", arrive_time=START - timedelta(days=1), replica="r0")

    assert stretches(built(left=(waiting, running))) == [("running", 0, 10), ("waiting", 4, 10)]


def test_a_call_that_has_ended_is_not_left() -> None:
    timeline = built(event("submitted", 1), event("rejected", 2, outcome="max_wait"), left=(call(),))

    assert stretches(timeline) == [("waiting", 1, 2)]
    assert timeline.spans[0].outcome == "max_wait"


def test_lost_events_and_changed_policies_are_marked() -> None:
    changed = ScheduleEvent(
        kind="policy_changed", time=START + timedelta(seconds=2), outcome="normal: rr", lost_count=7
    )

    assert built(changed).marks == (
        Mark(at=2, kind="lost", text="7 events"),
        Mark(at=2, kind="policy_changed", text="normal: rr"),
    )


def test_rows_show_the_busiest_thing_of_each_slice() -> None:
    timeline = built(
        event("submitted", 0),
        event("granted", 5, replica="r0"),
        event("preempted", 7, replica="r0"),
        event("yielded", 8),
        event("submitted", 0, "b/calls/c"),
        event("submitted", 2, "b/calls/d"),
        event("rejected", 4, "b/calls/c"),
    )
    first, second = agent_rows(timeline, 10)

    assert first.cells == "░░░░░██▒░░"
    assert (first.agent, first.calls, first.waited, first.ran, first.switches) == ("a", 1, 7, 3, 1)
    assert second.cells == "░" * 10
    assert (second.calls, second.waited, second.ran) == (2, 12, 0)


def test_a_chart_puts_an_agents_calls_behind_one_another_and_below_one_another_when_they_overlap() -> None:
    timeline = built(
        event("submitted", 0, "b/calls/early"),
        event("finished", 2, "b/calls/early"),
        event("submitted", 1, "b/calls/beside"),
        event("finished", 6, "b/calls/beside"),
        event("submitted", 3, "b/calls/late"),
        event("submitted", 5, "a/calls/only"),
    )

    assert [
        (agent, [span.call.rsplit("/")[-1] for span in spans]) for agent, spans in chart_rows(timeline)
    ] == [
        ("a", ["only"]),
        ("b", ["early", "late"]),
        ("b", ["beside"]),
    ]


def test_an_empty_timeline_has_no_rows() -> None:
    assert agent_rows(built(length=0.0), 10) == []
    assert agent_rows(built(event("submitted", 0), length=0.0), 4)[0].cells == "░   "


def test_a_trace_names_agents_and_calls_and_counts_them() -> None:
    timeline = built(
        event("submitted", 1), event("granted", 2, replica="r0"), event("preempted", 3, replica="r0")
    )
    written = json.loads(json.dumps(chrome_trace(timeline)))["traceEvents"]
    by_kind = defaultdict(list)
    for each in written:
        by_kind[each["ph"]].append(each)

    assert [each["args"]["name"] for each in by_kind["M"]] == ["scheduler", "a", "c"]
    assert [(each["name"], each["ts"], each["dur"]) for each in by_kind["X"]] == [
        ("waiting", 1_000_000, 1_000_000),
        ("running on r0", 2_000_000, 1_000_000),
        ("stopping on r0", 3_000_000, 7_000_000),
    ]
    assert [(each["name"], each["s"], each["pid"]) for each in by_kind["i"]] == [("preempted", "t", 1)]
    assert by_kind["C"][0]["args"] == {"waiting": 1, "running": 0}
    assert by_kind["C"][-1]["args"] == {"waiting": 0, "running": 0}


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.floats(-1, 12), st.sampled_from(["a/calls/1", "b/calls/1"])),
        max_size=30,
    )
)
def test_whatever_is_seen_the_spans_of_a_call_lie_side_by_side(seen: list[tuple[str, float, str]]) -> None:
    events = [event(kind, at, name) for kind, at, name in sorted(seen, key=lambda each: each[1])]
    timeline = built(*events)

    spans: dict[str, list[Span]] = defaultdict(list)
    for span in timeline.spans:
        assert 0 <= span.start <= span.end <= 10
        spans[span.call].append(span)
    for own in spans.values():
        assert all(a.end <= b.start for a, b in pairwise(own))
    rows = chart_rows(timeline)
    assert sum(len(row) for _, row in rows) == len(timeline.spans)
    for agent, row in rows:
        assert {span.agent for span in row} == {agent}
        assert all(a.end <= b.start for a, b in pairwise(row))
    assert all(len(row.cells) == 7 for row in agent_rows(timeline, 7))
    for counted in chrome_trace(timeline)["traceEvents"]:
        if counted["ph"] == "C":
            assert min(counted["args"].values()) >= 0


def test_a_call_begun_just_before_the_scheduler_hears_of_the_last_ones_end_needs_no_further_row() -> None:
    first, second, third = (f"a/calls/{number}" for number in (1, 2, 3))
    timeline = built(
        event("submitted", 1.0, first),
        event("submitted", 1.99, second),
        event("rejected", 2.0, first),
        event("submitted", 2.5, third),
        event("rejected", 3.0, second),
        event("rejected", 4.0, third),
    )

    rows = [[(span.start, span.end) for span in spans] for _, spans in chart_rows(timeline)]

    assert rows == [[(1.0, 2.0), (2.0, 3.0)], [(2.5, 4.0)]]


def test_every_row_of_a_chart_has_a_name() -> None:
    assert row_labels(["ada", "ben", "ben", "ben", "cleo"]) == ["ada", "ben", "ben 2", "ben 3", "cleo"]


def test_token_milestones_become_a_counter_and_a_resumption_is_told() -> None:
    def told(kind: Any, at: float, tokens: int, *, resumed: bool = False) -> ScheduleEvent:
        time, state = START + timedelta(seconds=at), call(replica="r0", tokens_done=tokens)
        return ScheduleEvent(kind=kind, time=time, syscall=state, resumed=resumed)

    timeline = built(
        told("granted", 1, 0),
        told("progressed", 2, 4),
        told("yielded", 3, 5),
        told("granted", 4, 5, resumed=True),
        told("finished", 5, 9),
    )
    trace = chrome_trace(timeline)["traceEvents"]

    assert [(span.tokens, span.resumed) for span in timeline.spans if span.kind == "running"] == [
        (5, False),
        (9, True),
    ]
    counted = [each for each in trace if each["ph"] == "C" and each["name"] == "tokens of c"]
    assert [(each["ts"], each["args"]) for each in counted] == [(2_000_000, {"tokens": 4})]
    assert not [each for each in trace if each["ph"] == "i"]


def test_a_boosted_class_is_a_mark_of_the_scheduler() -> None:
    event_of_class = ScheduleEvent(kind="class_boost_started", time=START, outcome="normal")

    assert built(event_of_class).marks == (Mark(at=0.0, kind="class_boost_started", text="normal"),)
