"""What the scheduler measures of its decisions."""

from prometheus_client import CollectorRegistry

from services.chassis.dispatch.scheduling import SchedulingClass
from services.scheduler.metrics import PrometheusScheduleMetrics
from tests.fakes.scheduling import desk, settings, with_class


def test_every_wait_is_measured_those_that_end_through_the_lane_included() -> None:
    d = desk(with_class(settings("sjf"), SchedulingClass.NORMAL, lane_after=1.0, lane_share=0.5))
    d.submit("running")
    d.submit("old", prompt_tokens=9_000)
    d.submit("new", at=10.0, prompt_tokens=10)
    d.finish("running", at=10.0)
    d.finish("old", at=11.0)

    registry = CollectorRegistry()
    metrics = PrometheusScheduleMetrics(registry, lambda kind, lane: d.core.policy_of(kind, lane).name)
    metrics.decided(d.timeline)

    labels = {"lane": "inference", "scheduling_class": "normal", "policy": "sjf", "outcome": "dispatched"}
    assert d.order == ["running", "old", "new"]
    assert registry.get_sample_value("aios_scheduler_wait_seconds_count", labels) == 3
    assert registry.get_sample_value("aios_scheduler_wait_seconds_sum", labels) == 11.0
