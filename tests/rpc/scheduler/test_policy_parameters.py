"""SetPolicy takes no parameter that is no value: it is refused by its name, and everything stays."""

from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2

from aios.api.scheduler.v1 import scheduler_pb2 as pb
from services.chassis.rpc.status import peer_error
from tests.fakes.tokens import metadata
from tests.rpc.scheduler.test_scheduler_views import Desk, scheduler

OPS = metadata("ops", kind="admin")


def number(value: float) -> struct_pb2.Value:
    return struct_pb2.Value(number_value=value)


def text(value: str) -> struct_pb2.Value:
    return struct_pb2.Value(string_value=value)


NESTED = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[number(1)]))
REFUSED: list[tuple[str, struct_pb2.Value, str]] = [
    ("NaN", number(float("nan")), "INVALID_REQUEST"),
    ("infinity", number(float("inf")), "INVALID_REQUEST"),
    ("negative infinity", number(float("-inf")), "INVALID_REQUEST"),
    ("a list", NESTED, "INVALID_REQUEST"),
    ("null", struct_pb2.Value(null_value=struct_pb2.NULL_VALUE), "INVALID_REQUEST"),
    ("nothing", struct_pb2.Value(), "INVALID_REQUEST"),
    ("a long text", text("9" * 300), "INVALID_REQUEST"),
    ("NaN as a text", text("nan"), "UNKNOWN_SCHEDULING_POLICY"),
    ("infinity as a text", text("inf"), "UNKNOWN_SCHEDULING_POLICY"),
    ("a huge text", text("1e400"), "UNKNOWN_SCHEDULING_POLICY"),
    ("a huge number", number(1e308), "UNKNOWN_SCHEDULING_POLICY"),
    ("a negative number", number(-1.0), "UNKNOWN_SCHEDULING_POLICY"),
]


async def set_policy(desk: Desk, name: str, **parameters: struct_pb2.Value) -> None:
    policy = pb.Policy(name=name, parameters=struct_pb2.Struct(fields=parameters))
    await desk.stub.SetPolicy(pb.SetPolicyRequest(policy=policy), metadata=OPS, timeout=5)


async def in_charge(desk: Desk) -> Any:
    found = await desk.stub.GetPolicy(pb.GetPolicyRequest(), metadata=OPS, timeout=5)
    return found.classes


@pytest.mark.parametrize(
    ("value", "reason"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
async def test_a_parameter_that_is_no_sensible_value_is_refused(value: struct_pb2.Value, reason: str) -> None:
    async with scheduler() as desk:
        before = await in_charge(desk)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await set_policy(desk, "edf", slack=value)

        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert peer_error(refused.value).reason == reason
        assert "slack" in (refused.value.details() or "")
        assert await in_charge(desk) == before


async def test_more_parameters_than_any_policy_has_are_refused_together() -> None:
    async with scheduler() as desk:
        many = {f"p{count}": number(1) for count in range(1000)}
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await set_policy(desk, "edf", **many)

        assert peer_error(refused.value).reason == "INVALID_REQUEST"
        assert len(refused.value.details() or "") < 1000


async def test_strict_priorities_are_asked_for_with_infinity_as_a_text() -> None:
    async with scheduler() as desk:
        await set_policy(desk, "priority", ageing=text("inf"), preempt=struct_pb2.Value(bool_value=True))

        (policy, *_) = [each.policy for each in await in_charge(desk)]
        assert (policy.name, policy.parameters["ageing"], policy.parameters["preempt"]) == (
            "priority",
            "inf",
            True,
        )
