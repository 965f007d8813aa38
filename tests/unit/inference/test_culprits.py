"""What ends servers is found out by what was at work when they died, and nobody else is convicted of it."""

from dataclasses import replace

import pytest

from gateway.inference.core.culprits import (
    IN_COMPANY,
    MOST_OF_ONE,
    REMEMBERED,
    SECONDS,
    TREE_SECONDS,
    Culprits,
    Work,
)
from gateway.inference.model import GenerationSpec, Sampling
from services.chassis.chat import ChatMessage, Role
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.dispatch.scheduling import HintsAsked
from services.chassis.rpc.errors import RequestPoisoned

SPEC = GenerationSpec(messages=(ChatMessage(Role.USER, "hello"),))
KILLER, GOOD = Work(b"killer", "mal"), Work(b"good", "bob")


def convicted(culprits: Culprits, work: Work, now: float = 0.0) -> bool:
    try:
        culprits.check(work, now)
    except RequestPoisoned:
        return True
    return False


def test_a_request_alone_at_two_deaths_is_convicted_and_those_beside_it_at_the_first_are_not() -> None:
    culprits = Culprits()
    culprits.died([KILLER, GOOD], 0.0)
    assert not convicted(culprits, KILLER)
    assert culprits.suspected(GOOD, 0.0)
    culprits.died([KILLER], 1.0)

    assert convicted(culprits, KILLER, 1.0)
    assert not convicted(culprits, GOOD, 1.0)


def test_the_same_request_several_times_at_once_is_alone() -> None:
    culprits = Culprits()
    for now in (0.0, 1.0):
        culprits.died([KILLER, Work(b"killer", "mal")], now)

    assert convicted(culprits, KILLER, 1.0)


def test_servers_that_die_beside_a_request_convict_it_only_when_it_is_too_often() -> None:
    culprits = Culprits()
    for number in range(IN_COMPANY - 1):
        culprits.died([GOOD, Work(b"%d" % number, f"t{number}")], 0.0)
    assert not convicted(culprits, GOOD)
    culprits.died([GOOD, KILLER], 0.0)

    assert convicted(culprits, GOOD)


def test_what_comes_to_its_end_is_suspected_no_more_and_what_is_convicted_stays_so() -> None:
    culprits = Culprits()
    culprits.died([GOOD], 0.0)
    culprits.finished(GOOD)
    culprits.died([GOOD], 1.0)
    assert not convicted(culprits, GOOD, 1.0)
    culprits.died([GOOD], 2.0)
    culprits.finished(GOOD)

    assert convicted(culprits, GOOD, 2.0)


def test_a_conviction_passes_with_time_and_the_list_is_bounded() -> None:
    culprits = Culprits(most=3)
    for now in (0.0, 1.0):
        culprits.died([KILLER], now)
    assert convicted(culprits, KILLER, 1.0 + SECONDS)
    assert not convicted(culprits, KILLER, 1.1 + SECONDS)
    for number in range(9):
        culprits.died([Work(b"%d" % number, "t")], 0.0)

    assert len(culprits) == 3
    assert REMEMBERED < 10_000


def test_a_tree_whose_requests_go_on_ending_servers_is_refused_for_a_while_and_no_other_is() -> None:
    culprits = Culprits()
    for number in range(MOST_OF_ONE):
        for _ in range(2):
            culprits.died([Work(b"%d" % number, "mal")], float(number))
    with pytest.raises(TooManyCalls) as refused:
        culprits.check(Work(b"new", "mal"), 5.0)

    assert refused.value.retry_after == TREE_SECONDS - 5.0
    culprits.check(GOOD, 5.0)
    culprits.check(Work(b"new", "mal"), TREE_SECONDS + 1.0)


def test_a_request_is_recognised_by_what_its_server_is_told_within_its_tenant() -> None:
    one = Work.of("acme", "tree", SPEC)
    same = [
        replace(SPEC, hints=HintsAsked(priority=3), max_tokens=9, affinity_key="k", step=4),
        replace(SPEC, sampling=Sampling(seed=7)),
    ]
    others = [
        replace(SPEC, messages=(ChatMessage(Role.USER, "hello!"),)),
        replace(SPEC, sampling=Sampling(temperature=0.5)),
        replace(SPEC, stop=("x",)),
    ]

    assert {Work.of("acme", "tree", each).digest for each in same} == {one.digest}
    assert one.digest not in {Work.of("acme", "tree", each).digest for each in others}
    assert Work.of("umbrella", "tree", SPEC).digest != one.digest
