"""Questions to the access manager: one at once, many in one call."""

import asyncio

import grpc
import pytest

from aios.api.access.v1 import access_pb2
from services.chassis.auth.check_batcher import CheckBatcher
from services.chassis.rpc.client import StaticCredential
from services.chassis.rpc.errors import AccessUnavailable
from tests.fakes import tokens
from tests.fakes.access_service import FakeAccess
from tests.fakes.rpc import serving


def question(number: int) -> access_pb2.CheckRequest:
    return access_pb2.CheckRequest(
        principal={"agent": f"agents/a{number}", "tenant": "acme", "kind": "PRINCIPAL_KIND_AGENT"},
        action="memory.read",
        resource=f"agents/a{number}/notes/n",
    )


def credential() -> StaticCredential:
    return StaticCredential(tokens.ISSUER_FOR_TESTS.token("gateway", tenant="kernel", kind="service"))


async def test_a_burst_of_questions_shares_a_few_calls_and_each_gets_its_own_answer() -> None:
    access = FakeAccess(tokens.ISSUER_FOR_TESTS)  # type: ignore[abstract]  # what a test needs of it
    access.denied["a7", "memory.read", "agents/a7/notes/n"] = 2
    async with serving(access.servicer()) as channel:
        decisions = CheckBatcher(channel, credential())
        answers = await asyncio.gather(*(decisions.decide(question(number)) for number in range(300)))

    assert [answer.allowed for answer in answers] == [number != 7 for number in range(300)]
    assert access.checks == 300
    assert len(access.batches) <= 10


async def test_a_question_that_is_given_up_disturbs_no_other() -> None:
    access = FakeAccess(tokens.ISSUER_FOR_TESTS)  # type: ignore[abstract]  # what a test needs of it
    async with serving(access.servicer()) as channel:
        decisions = CheckBatcher(channel, credential())
        asked = [asyncio.create_task(decisions.decide(question(number))) for number in range(50)]
        await asyncio.sleep(0)
        for task in asked[::2]:
            task.cancel()
        answers = await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    assert all(getattr(answer, "allowed", False) for answer in answers[1::2])


async def test_every_question_is_refused_while_access_is_away() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        decisions = CheckBatcher(channel, credential())
        answers = await asyncio.gather(
            *(decisions.decide(question(number)) for number in range(20)), return_exceptions=True
        )

    assert {type(answer) for answer in answers} == {AccessUnavailable}
    with pytest.raises(AccessUnavailable):
        raise answers[0]  # type: ignore[misc]  # each waiter has an error of its own
