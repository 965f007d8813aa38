"""What a call asks of its scheduling, laid over what its agent is registered with: a zero is a zero."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import dispatch_pb2
from services.chassis.dispatch.scheduling import ANYTHING, Hints, HintsAsked
from services.chassis.rpc.wire import hints_asked, hints_message
from services.scheduler.wire import dispatch

REGISTERED = Hints(weight=3, priority=10, max_wait=20.0, deadline=5.0, policy="edf")


def asked(**fields: Any) -> Hints:
    """Lay hints that come over the wire over those of the agent."""
    sent = agent_pb2.SchedulingHints(**fields).SerializeToString()
    return REGISTERED.overlaid(hints_asked(agent_pb2.SchedulingHints.FromString(sent)), ANYTHING)


def test_what_is_not_sent_stays_as_the_agent_is_registered() -> None:
    assert hints_asked(agent_pb2.SchedulingHints()) == HintsAsked()
    assert asked() == REGISTERED


@pytest.mark.parametrize(
    ("sent", "field", "value"),
    [
        ({"priority": 0}, "priority", 0),
        ({"max_wait": Duration()}, "max_wait", 0.0),
        ({"deadline": Duration()}, "deadline", None),
        ({"policy": ""}, "policy", ""),
        ({"weight": 0}, "weight", 3),
        ({"scheduling_class": 0}, "scheduling_class", REGISTERED.scheduling_class),
    ],
)
def test_a_zero_that_is_sent_means_zero_where_zero_has_a_meaning(
    sent: dict[str, Any], field: str, value: object
) -> None:
    assert getattr(asked(**sent), field) == value


def test_a_wait_of_zero_and_no_wait_at_all_reach_the_scheduler_as_two_things() -> None:
    told = [hints_message(Hints(max_wait=longest)) for longest in (0.0, None, 2.5)]
    submits = [dispatch_pb2.Submit(tenant="t", agent="a", call="c", hints=each) for each in told]
    events = [dispatch.event(dispatch_pb2.DispatchRequest(submit=each), "gw", 1.0) for each in submits]

    assert [event.call.max_wait for event in events] == [0.0, None, 2.5]  # type: ignore[union-attr]


def test_bytes_of_an_older_client_read_as_before() -> None:
    # Class batch and weight 2, as written before priority and policy had a presence of their own.
    read = hints_asked(agent_pb2.SchedulingHints.FromString(bytes([0x08, 4, 0x10, 2])))

    assert (read.weight, read.priority, read.policy, read.max_wait) == (2, None, None, None)
