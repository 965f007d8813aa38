"""Turns events of the scheduler into spans of waiting and running, and those into a picture. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil
from typing import Any, Final, Literal

from aios.types.queue import ScheduleEvent, Syscall

SpanKind = Literal["waiting", "running", "stopping"]

MICROSECONDS: Final = 1_000_000
_HEARD_LATE: Final = 0.05
"""How much later than its agent the scheduler may hear that a call has ended. Unit: seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of a call's life. Times are seconds since the start of the timeline."""

    call: str
    """`agents/{agent}/calls/{call}`."""

    kind: SpanKind
    """`stopping`: told to stop, still on its replica."""

    start: float
    """Beginning."""

    end: float
    """End; that of the timeline while it lasts."""

    replica: str = ""
    """Where it ran."""

    scheduling_class: str = ""
    """The call's class."""

    tokens: int = 0
    """Tokens of the answer at the end of the span."""

    ended_by: str = ""
    """Kind of the event that ended it; empty while it lasts."""

    outcome: str = ""
    """How the call ended, on its last span."""

    resumed: bool = False
    """Whether it goes on with what an earlier run of the call began."""

    @property
    def agent(self) -> str:
        """The agent's id."""
        return agent_of(self.call)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A moment. The time is in seconds since the start of the timeline."""

    at: float
    """When."""

    kind: str
    """Kind of the event, or `lost`."""

    call: str = ""
    """The call it is about; empty: the scheduler itself."""

    text: str = ""
    """What else there is to say."""

    tokens: int = 0
    """Tokens of the call's answer by then; 0: not told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """What the scheduler did for a while."""

    start: datetime
    """When it begins, by the scheduler's clock."""

    length: float
    """How long it is. Unit: seconds."""

    spans: tuple[Span, ...] = ()
    """In the order of their beginnings."""

    marks: tuple[Mark, ...] = ()
    """In the order of their times."""


@dataclass(slots=True)
class _Open:
    kind: SpanKind
    start: float
    replica: str
    resumed: bool = False


@dataclass(slots=True)
class _Builder:
    start: datetime
    length: float
    open: dict[str, _Open] = field(default_factory=dict)
    known: dict[str, Syscall] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def take(self, event: ScheduleEvent) -> None:
        at = self._offset(event.time)
        if event.lost_count:
            self.marks.append(Mark(at=at, kind="lost", text=f"{event.lost_count} events"))
        if event.syscall is None or not event.syscall.name:
            self.marks.append(Mark(at=at, kind=event.kind, text=event.outcome))
            return
        call = event.syscall
        self.known[call.name] = call
        if event.kind in {"preempted", "boosted", "progressed"}:
            self.marks.append(
                Mark(at=at, kind=event.kind, call=call.name, text=event.outcome, tokens=call.tokens_done)
            )
        self._follow(call, event, at)

    def _follow(self, call: Syscall, event: ScheduleEvent, at: float) -> None:
        match event.kind:
            case "submitted":
                self._begin(call, "waiting", at)
            case "granted":
                self._end(call, at, event, before="waiting")
                self._begin(call, "running", at, resumed=event.resumed)
            case "preempted":
                self._end(call, at, event, before="running")
                self._begin(call, "stopping", at)
            case "yielded":
                self._end(call, at, event, before="running")
                self._begin(call, "waiting", at)
            case "finished":
                self._end(call, at, event, before="running")
                self.over.add(call.name)
            case "rejected":
                self._end(call, at, event, before="waiting")
                self.over.add(call.name)
            case _:
                pass

    def _begin(self, call: Syscall, kind: SpanKind, at: float, *, resumed: bool = False) -> None:
        self.over.discard(call.name)
        self.open.setdefault(call.name, _Open(kind, at, call.replica, resumed))

    def _end(self, call: Syscall, at: float, event: ScheduleEvent, *, before: SpanKind) -> None:
        """End the open span; a call that was there before the timeline began has been `before` since then."""
        if call.name in self.over:
            return
        was = self.open.pop(call.name, None) or _Open(before, self._offset(call.arrive_time), call.replica)
        final = event.kind in {"finished", "rejected"}
        self._add(call, was, at, ended_by=event.kind, outcome=event.outcome if final else "")

    def left(self, call: Syscall) -> None:
        """Take a call that is there at the end."""
        self.known[call.name] = call
        if call.name not in self.open:
            kind: SpanKind = "waiting" if call.state == "waiting" else "running"
            self.open[call.name] = _Open(kind, self._offset(call.arrive_time), call.replica)

    def finish(self) -> Timeline:
        for name, was in self.open.items():
            self._add(self.known[name], was, self.length)
        self.spans.sort(key=lambda span: (span.start, span.end, span.call))
        return Timeline(
            start=self.start, length=self.length, spans=tuple(self.spans), marks=tuple(self.marks)
        )

    def _add(self, call: Syscall, was: _Open, end: float, *, ended_by: str = "", outcome: str = "") -> None:
        self.spans.append(
            Span(
                call=call.name,
                kind=was.kind,
                start=was.start,
                end=max(was.start, end),
                replica=(was.replica or call.replica) if was.kind != "waiting" else "",
                scheduling_class=call.scheduling_class,
                tokens=call.tokens_done,
                ended_by=ended_by,
                outcome=outcome,
                resumed=was.resumed,
            )
        )

    def _offset(self, time: datetime | None) -> float:
        if time is None:
            return 0.0
        return min(self.length, max(0.0, (time - self.start).total_seconds()))


def build(
    events: Iterable[ScheduleEvent], left: Iterable[Syscall], *, start: datetime, length: float
) -> Timeline:
    """Build a timeline from what was seen, in order, and the calls that are `left` at its end.

    What began before `start` is shown from there; what lies behind the end is shown at the end. Unit of
    `length`: seconds.
    """
    builder = _Builder(start, length)
    for event in events:
        builder.take(event)
    for call in left:
        if call.name not in builder.over:
            builder.left(call)
    return builder.finish()


def agent_of(call: str) -> str:
    """Return the agent's id from `agents/{agent}/calls/{call}`."""
    parts = call.split("/")
    return parts[1] if len(parts) > 1 else call


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentRow:
    """One agent's line of a Gantt chart, with its sums. Unit of times: seconds."""

    agent: str
    """The agent's id."""

    cells: str
    """Per slice of time one of CELLS."""

    calls: int
    """Calls that it had."""

    waited: float
    """All waits of its calls together."""

    ran: float
    """All runs of its calls together."""

    switches: int
    """How often one of its calls was taken off its replica."""


CELLS: Final = {"running": "█", "stopping": "▒", "waiting": "░"}
IDLE: Final = " "
_RANK: Final = {"running": 3, "stopping": 2, "waiting": 1}


def agent_rows(timeline: Timeline, width: int) -> list[AgentRow]:
    """Draw one line of `width` cells per agent.

    A cell shows the busiest thing that any of the agent's calls did in that time.
    """
    spans: dict[str, list[Span]] = defaultdict(list)
    for span in timeline.spans:
        spans[span.agent].append(span)
    return [
        AgentRow(
            agent=agent,
            cells=_cells(own, timeline.length, width),
            calls=len({span.call for span in own}),
            waited=sum(span.end - span.start for span in own if span.kind == "waiting"),
            ran=sum(span.end - span.start for span in own if span.kind != "waiting"),
            switches=sum(span.ended_by == "yielded" for span in own),
        )
        for agent, own in sorted(spans.items())
    ]


def _cells(spans: Sequence[Span], length: float, width: int) -> str:
    best = [0] * width
    shown = [IDLE] * width
    for span in spans:
        first = min(width - 1, int(span.start / length * width)) if length else 0
        end = ceil(span.end / length * width) if length else 1
        for cell in range(first, min(width, max(first + 1, end))):
            if _RANK[span.kind] > best[cell]:
                best[cell], shown[cell] = _RANK[span.kind], CELLS[span.kind]
    return "".join(shown)


def chart_rows(timeline: Timeline) -> list[tuple[str, list[Span]]]:
    """Lay the calls out in rows: agents by name, an agent's calls after one another in as few rows as do.

    Calls of one agent that are there at the same time lie below one another. Each row has its agent. An agent
    may hear of a call's end before the scheduler does, and begin the next one: it is drawn from that end on,
    in the same row.
    """
    rows: list[tuple[str, list[Span]]] = []
    for agent, calls in sorted(_by_agent(timeline.spans).items()):
        ends: list[float] = []
        own: list[list[Span]] = []
        for spans in sorted(calls.values(), key=lambda spans: (spans[0].start, spans[0].call)):
            begun = spans[0].start + _HEARD_LATE
            free = next((row for row, end in enumerate(ends) if end <= begun), len(ends))
            if free == len(ends):
                ends.append(0.0)
                own.append([])
            own[free] += [_from(span, ends[free]) for span in spans]
            ends[free] = max(ends[free], spans[-1].end)
        rows += [(agent, row) for row in own]
    return rows


def _from(span: Span, earliest: float) -> Span:
    """Cut off what lies before a time."""
    if span.start >= earliest:
        return span
    return replace(span, start=earliest, end=max(span.end, earliest))


def row_labels(agents: Sequence[str]) -> list[str]:
    """Name every row of a chart: an agent's further ones are numbered, `ben 2`."""
    return [
        agent if (number := agents[: row + 1].count(agent)) == 1 else f"{agent} {number}"
        for row, agent in enumerate(agents)
    ]


def _by_agent(spans: Iterable[Span]) -> dict[str, dict[str, list[Span]]]:
    found: dict[str, dict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for span in spans:
        found[span.agent][span.call].append(span)
    return found


def chrome_trace(timeline: Timeline) -> dict[str, Any]:
    """Write a timeline in Chrome's trace event format, which Perfetto reads too.

    An agent is a process, a call a thread of it with a counter of its tokens; process 0 counts what waits and
    runs.
    """
    events: list[dict[str, Any]] = [_named("process_name", 0, 0, "scheduler")]
    processes = {agent: pid for pid, agent in enumerate(_in_order(s.agent for s in timeline.spans), 1)}
    threads = {call: tid for tid, call in enumerate(_in_order(s.call for s in timeline.spans), 1)}
    events += [_named("process_name", pid, 0, agent) for agent, pid in processes.items()]
    events += [
        _named("thread_name", processes[agent_of(call)], tid, call.rsplit("/", 1)[-1])
        for call, tid in threads.items()
    ]
    events += [_complete(span, processes[span.agent], threads[span.call]) for span in timeline.spans]
    events += [
        _tokens(mark, processes) if mark.kind == "progressed" else _instant(mark, processes, threads)
        for mark in timeline.marks
    ]
    events += _counters(timeline.spans)
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"start": timeline.start.isoformat(), "seconds": timeline.length},
    }


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _named(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}


def _micros(seconds: float) -> int:
    return round(seconds * MICROSECONDS)


def _complete(span: Span, pid: int, tid: int) -> dict[str, Any]:
    told = {
        "call": span.call,
        "class": span.scheduling_class,
        "replica": span.replica,
        "tokens": span.tokens,
        "ended_by": span.ended_by,
        "outcome": span.outcome,
        "resumed": span.resumed,
    }
    return {
        "ph": "X",
        "name": f"{span.kind} on {span.replica}" if span.replica else span.kind,
        "cat": span.kind,
        "pid": pid,
        "tid": tid,
        "ts": _micros(span.start),
        "dur": _micros(span.end) - _micros(span.start),
        "args": {name: value for name, value in told.items() if value},
    }


def _instant(mark: Mark, processes: dict[str, int], threads: dict[str, int]) -> dict[str, Any]:
    return {
        "ph": "i",
        "s": "t" if mark.call else "g",
        "name": mark.kind,
        "pid": processes.get(agent_of(mark.call), 0),
        "tid": threads.get(mark.call, 0),
        "ts": _micros(mark.at),
        "args": {"text": mark.text} if mark.text else {},
    }


def _tokens(mark: Mark, processes: dict[str, int]) -> dict[str, Any]:
    return {
        "ph": "C",
        "name": f"tokens of {mark.call.rsplit('/', 1)[-1]}",
        "pid": processes.get(agent_of(mark.call), 0),
        "tid": 0,
        "ts": _micros(mark.at),
        "args": {"tokens": mark.tokens},
    }


def _counters(spans: Iterable[Span]) -> Iterator[dict[str, Any]]:
    """Count at each change how many calls wait and run."""
    changes: dict[int, dict[str, int]] = defaultdict(lambda: {"waiting": 0, "running": 0})
    for span in spans:
        kind = "waiting" if span.kind == "waiting" else "running"
        changes[_micros(span.start)][kind] += 1
        changes[_micros(span.end)][kind] -= 1
    count = {"waiting": 0, "running": 0}
    for at in sorted(changes):
        count = {kind: count[kind] + changes[at][kind] for kind in count}
        yield {"ph": "C", "name": "calls", "pid": 0, "tid": 0, "ts": at, "args": count}
