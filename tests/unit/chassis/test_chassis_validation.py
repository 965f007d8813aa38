"""The rules of a request are checked at a cost that its size bounds."""

import pytest

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2
from services.chassis.rpc import methods
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.steps import validation

GENERATE = methods.table(inference_pb2.DESCRIPTOR)["/aios.api.inference.v1.InferenceService/Generate"]
REGISTER = methods.table(agent_pb2.DESCRIPTOR)["/aios.api.agent.v1.AgentService/RegisterAgent"]
EMPTY_MESSAGE = b"\x12\x00"


def violations(raw: bytes) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        validation.validate(GENERATE, validation.parse(GENERATE, raw))
    return [violation.field for violation in refused.value.violations]


def test_every_mistake_of_a_small_request_is_named() -> None:
    assert violations(EMPTY_MESSAGE * 3) == ["messages[0].role", "messages[1].role", "messages[2].role"]


def test_many_mistakes_are_not_all_named() -> None:
    assert len(violations(EMPTY_MESSAGE * 500)) == 16


def test_a_million_mistakes_are_one() -> None:
    assert violations(EMPTY_MESSAGE * 1_000_000) == ["messages"]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (agent_pb2.RegisterAgentRequest(kind="\x1b]0;owned\x07"), "kind"),
        (agent_pb2.RegisterAgentRequest(display_name="a\nb"), "display_name"),
        (agent_pb2.RegisterAgentRequest(labels={"team": "\x9b2J"}), 'labels["team"]'),
        (agent_pb2.RegisterAgentRequest(labels={"\x07": "a"}), 'labels["\\u{7}"]'),
    ],
)
def test_names_for_people_hold_no_control_characters(
    request_: agent_pb2.RegisterAgentRequest, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validation.validate(REGISTER, request_)

    (violation,) = refused.value.violations
    assert violation.field[:6] == field[:6]


def test_names_for_people_hold_any_letters() -> None:
    request = agent_pb2.RegisterAgentRequest(kind="рисёрчер \U0001f469\u200d\U0001f52c", labels={"é": "漢字"})
    validation.validate(REGISTER, request)
