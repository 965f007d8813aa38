"""Tool calls in the scheduler's queue: what is read from the stream, and what is shown to whom."""

from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.dispatch.scheduling import SchedulingClass
from services.chassis.quotas import Cap
from services.scheduler.core.events import BackendUp, Event, PolicyChanged
from services.scheduler.core.explanation_text import limit, summary
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.core.stats import merged
from services.scheduler.metrics import PrometheusScheduleMetrics, QueueCollector
from services.scheduler.model import Lock, ResourceKind
from services.scheduler.servicer.scheduling import visible
from services.scheduler.wire import dispatch, scheduling
from tests.fakes.scheduling import Desk, settings

WALL = datetime(2026, 1, 1, tzinfo=UTC)


def told(d: Desk, **message: Any) -> None:
    """Let the core take a message of a tool manager."""
    events = dispatch.event(pb.DispatchRequest(**message), "tools-1", d.now)
    for event in events if isinstance(events, list) else [events]:
        d.tell(event)


def tool(name: str, slots: int = 1, *, up: bool = True) -> pb.ReplicaState:
    """Announce a tool."""
    return pb.ReplicaState(name=name, model=name, up=up, slots=slots, lane="tool")


def submit(name: str, tool_name: str, *locks: str, tenant: str = "acme", agent: str = "planner") -> pb.Submit:
    """Build the submission of a tool call."""
    return pb.Submit(
        call=name,
        agent=agent,
        tenant=tenant,
        model=tool_name,
        lane="tool",
        locks=[pb.Lock(name=lock) for lock in locks],
    )


def desk() -> Desk:
    """Build a core of which one tool is known."""
    d = Desk(SchedulerCore(settings()))
    told(d, replica=tool("acme/tools/write", 3))
    return d


def test_a_tool_call_comes_off_the_stream_with_its_tool_and_its_tenant_s_locks() -> None:
    event: Event | list[Event] = dispatch.event(
        pb.DispatchRequest(submit=submit("c1", "acme/tools/write", "file a")), "tools-1", 0.0
    )
    found = event.call  # type: ignore[union-attr]  # a submission

    assert (found.lane, found.resource) == (ResourceKind.TOOL, "acme/tools/write")
    assert found.locks == (Lock("acme/file a", 1),)


def test_a_lock_of_one_tenant_says_nothing_to_another() -> None:
    d = desk()
    told(d, replica=tool("globex/tools/write"))
    told(d, submit=submit("c1", "acme/tools/write", "file a"))
    told(d, submit=submit("c1", "globex/tools/write", "file a", tenant="globex"))

    assert len(d.grants) == 2


def test_a_waiting_call_is_told_which_lock_it_lacks_without_a_name_of_its_holder() -> None:
    d = desk()
    told(d, submit=submit("c1", "acme/tools/write", "file a"))
    told(d, submit=submit("c2", "acme/tools/write", "file a"))
    told(d, submit=submit("c3", "acme/tools/write", "file a", agent="critic"))
    mine, other = d.core.explain("acme/planner/c2", 1.0), d.core.explain("acme/critic/c3", 1.0)

    assert limit(mine) == "it needs the lock file a, which is held by one of your calls"
    assert limit(other) == "it needs the lock file a, which is held by another agent"
    assert "it needs the lock file a, which is held by another agent" in summary(other)
    assert "planner" not in summary(other)


def test_a_listed_tool_call_names_its_tool_without_its_tenant() -> None:
    d = desk()
    told(d, submit=submit("c1", "acme/tools/write"))
    (entry,) = d.core.snapshot_queue(0.0)
    found = d.core.call(entry.call_id)
    assert found is not None
    shown = scheduling.syscall(entry, found, 0.0, WALL)

    assert (shown.name, shown.lane, shown.model) == ("agents/planner/calls/c1", "tool", "tools/write")
    assert shown.replica == "tools/write"


def test_the_classes_of_all_tools_are_counted_together() -> None:
    d = desk()
    told(d, replica=tool("tools/clock"))
    told(d, submit=submit("c1", "acme/tools/write"))
    told(d, submit=submit("c2", "tools/clock"))
    classes = merged(d.core.stats(0.0).classes, lambda _each: "")
    (normal,) = [each for each in classes if each.scheduling_class is SchedulingClass.NORMAL]

    assert (normal.lane, normal.running) == (ResourceKind.TOOL, 2)
    assert scheduling.class_queue(normal).lane == "tool"


def test_metrics_give_the_tools_of_tenants_one_label() -> None:
    registry = CollectorRegistry()
    d = desk()
    told(d, replica=tool("globex/tools/read", 2))
    told(d, replica=tool("tools/clock"))
    for name in ("acme/tools/write", "tools/clock"):
        told(d, submit=submit(f"call of {name[0]}", name))
    QueueCollector(registry, lambda: d.core.stats(0.0))
    PrometheusScheduleMetrics(registry, lambda kind, lane: d.core.policy_of(kind, lane).name).decided(
        d.timeline
    )

    def read(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"aios_scheduler_{name}", labels)

    assert read("replica_slots", lane="tool", replica="registered") == 5
    assert read("replica_running", lane="tool", replica="tools/clock") == 1
    assert read("grants_total", replica="registered") == 1
    kind = {"lane": "tool", "scheduling_class": "normal", "policy": "turns"}
    assert read("running", resource="registered", **kind) == 1
    assert read("wait_seconds_count", outcome="dispatched", **kind) == 2


def test_a_policy_is_changed_for_one_lane_only() -> None:
    d = desk()
    d.tell(BackendUp("r0", "llama", 1))
    d.tell(PolicyChanged(SchedulingClass.NORMAL, "sjf", lane=ResourceKind.TOOL))

    assert d.core.policy_of(SchedulingClass.NORMAL, ResourceKind.TOOL).name == "sjf"
    assert d.core.policy_of(SchedulingClass.NORMAL).name == "fifo"


def test_agents_take_turns_at_a_tool_and_their_own_calls_go_by_priority() -> None:
    d = desk()
    told(d, replica=tool("acme/tools/write", 1))
    told(d, submit=submit("running", "acme/tools/write", agent="other"))
    for number in range(3):
        told(d, submit=submit(f"p{number}", "acme/tools/write"))
    urgent = submit("urgent", "acme/tools/write")
    urgent.hints.priority = -5
    told(d, submit=urgent)
    told(d, submit=submit("k0", "acme/tools/write", agent="critic"))
    for _ in range(5):
        d.finish(d.grants[-1].call_id)

    assert [grant.call_id.rpartition("/")[2] for grant in d.grants] == [
        "running",
        "urgent",
        "k0",
        "p0",
        "p1",
        "p2",
    ]


def test_a_tenant_is_shown_every_backend_its_own_tools_and_those_all_share() -> None:
    d = desk()
    d.tell(BackendUp("r0", "llama", 1))
    for name in ("tools/clock", "globex/tools/spy"):
        told(d, replica=tool(name))
    shown = {each.replica for each in d.core.stats(0.0).replicas if visible(each, "acme")}

    assert shown == {"r0", "tools/clock", "acme/tools/write"}


def test_a_full_queue_of_generations_keeps_no_tool_call_out() -> None:
    d = Desk(SchedulerCore(settings(max_waiting=1, waiting=Cap.flat(1))))
    d.tell(BackendUp("r0", "llama", 1))
    for number in range(3):
        d.submit(f"generation {number}", tenant="acme", agent="acme/planner")
    told(d, replica=tool("acme/tools/write", 1))
    for number in range(3):
        told(d, submit=submit(f"c{number}", "acme/tools/write"))

    assert [each.call_id for each in d.grants] == ["generation 0", "acme/planner/c0"]
    assert [each.call_id for each in d.rejects] == ["generation 2", "acme/planner/c2"]
