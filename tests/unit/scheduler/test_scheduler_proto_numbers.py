"""Every duration and number that a caller may set for its scheduling has bounds in the contract."""

from typing import Any

import protovalidate
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.rpc.wire import duration

VALIDATOR = protovalidate.Validator()
TEN_YEARS = 315_576_000


def submit(**fields: Any) -> pb.Submit:
    return pb.Submit(call="c", agent="a", tenant="t", **fields)


def wrong(message: Message) -> list[str]:
    found: list[Any] = VALIDATOR.collect_violations(message)
    return [each.proto.field.elements[-1].field_name for each in found]


@pytest.mark.parametrize("seconds", [-1, TEN_YEARS + 1, 10**11])
@pytest.mark.parametrize("field", ["age", "time_left", "attained", "waiting_for"])
def test_a_time_of_a_call_is_neither_negative_nor_longer_than_ten_years(field: str, seconds: int) -> None:
    assert wrong(submit(**{field: Duration(seconds=seconds)})) == [field]


def test_what_a_process_writes_for_any_time_is_within_the_bounds() -> None:
    times = [0.0, -5.0, 1e18, float("inf")]
    written = [duration(seconds) for seconds in times]

    assert [wrong(submit(age=each, time_left=each, attained=each, waiting_for=each)) for each in written] == [
        []
    ] * 4


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (submit(number=2**63 - 1), "number"),
        (submit(number=-1), "number"),
        (submit(attempt=-1), "attempt"),
        (submit(tenant_weight=-1), "tenant_weight"),
        (submit(tree_weight=-1), "tree_weight"),
        (submit(gang_size=65), "gang_size"),
        (agent_pb2.SchedulingHints(weight=1001), "weight"),
        (agent_pb2.SchedulingHints(weight=-1), "weight"),
        (agent_pb2.SchedulingHints(priority=-21), "priority"),
        (agent_pb2.SchedulingHints(priority=20), "priority"),
        (agent_pb2.SchedulingHints(max_wait=Duration(seconds=-1)), "max_wait"),
        (agent_pb2.SchedulingHints(max_wait=Duration(seconds=3601)), "max_wait"),
        (agent_pb2.SchedulingHints(deadline=Duration(nanos=-1)), "deadline"),
        (agent_pb2.SchedulingHints(deadline=Duration(seconds=86401)), "deadline"),
        (agent_pb2.SchedulingCaps(highest_weight=1001), "highest_weight"),
        (agent_pb2.SchedulingCaps(lowest_priority=-21), "lowest_priority"),
        (agent_pb2.SchedulingCaps(shortest_deadline=Duration(seconds=-1)), "shortest_deadline"),
        (agent_pb2.SchedulingCaps(shortest_deadline=Duration(seconds=86401)), "shortest_deadline"),
    ],
)
def test_a_number_beyond_its_bounds_is_named(message: Message, field: str) -> None:
    assert wrong(message) == [field]
