"""A scheduler that starts anew and is told everything again goes on as the one before would have."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.core.events import BackendUp, Submit
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import CallState
from tests.fakes.scheduling import MODEL, Desk, desk, settings

PARAMS: dict[str, dict[str, Any]] = {"rr": {"quantum": 8}, "las": {"base": 0.05}}
ANY_HISTORY = ("fifo", "rr", "priority")
"""Policies whose order depends on nothing but what is told again."""
NOTHING_LEARNED = ("edf", "las")
"""Policies that also look at lengths learned from calls that ended, or at a program's first call."""

SLOTS = 3
steps = st.lists(
    st.tuples(st.sampled_from(["submit", "submit", "run", "yield", "finish"]), st.integers(0, 7)),
    max_size=60,
)


def jobs(world: Desk) -> list[ScheduledCall]:
    """Return what the core knows, in order of submission."""
    return sorted(world.core._calls, key=lambda job: job.seq)


def live(world: Desk, history: list[tuple[str, int]], *, finishes: bool) -> None:
    """Let things happen; time goes on by a fraction of a second each."""
    for number, (what, value) in enumerate(history):
        at = world.now + 0.1
        running = [job for job in jobs(world) if job.state is not CallState.WAITING]
        chosen = running[value % len(running)].call.id if running else ""
        if what == "submit":
            hints: dict[str, Any] = {"priority": value - 3, "deadline": 500.0, "due": at + 3.0 * (value + 1)}
            world.submit(f"c{number}", at, program=f"p{value % 4}", prompt_tokens=50 + 40 * value, **hints)
        elif what == "run" and chosen:
            world.progress(chosen, 1 + value, at)
        elif what == "yield" and chosen:
            world.give_back(chosen, running[value % len(running)].tokens_done, at)
        elif what == "finish" and chosen and finishes:
            world.finish(chosen, at)


def restarted(world: Desk, policy: str) -> Desk:
    """Start another scheduler and tell it what a gateway knows: calls, the oldest first, then replicas."""
    other = Desk(type(world.core)(settings(policy, PARAMS.get(policy, {}))), now=world.now)
    for job in sorted(jobs(world), key=lambda each: each.call.arrived_at):
        assert job.program is not None
        running = job.state is not CallState.WAITING
        told = replace(
            job.call,
            tokens_done=job.tokens_done,
            preemptions=job.preemptions,
            attained_seconds=job.program.attained,
            waiting_since=None if running else job.queued_at,
        )
        other.tell(Submit(told, job.replica if running else None, job.epoch, resubmission=True))
    other.tell(BackendUp("r0", MODEL, SLOTS, 100_000))
    return other


def order(world: Desk) -> list[tuple[str, bool, int, int]]:
    """Return the queue: calls, whether they run, tokens done and preemptions."""
    return [
        (entry.call_id, entry.state is not CallState.WAITING, entry.tokens_done, entry.preemptions)
        for entry in world.core.snapshot_queue(world.now)
    ]


@pytest.mark.parametrize("policy", [*ANY_HISTORY, *NOTHING_LEARNED])
@given(history=steps)
def test_calls_told_again_stand_in_the_same_order(policy: str, history: list[tuple[str, int]]) -> None:
    before = desk(settings(policy, PARAMS.get(policy, {})), slots=SLOTS)
    live(before, history, finishes=policy in ANY_HISTORY)
    expected = order(before)
    after = restarted(before, policy)

    running = sorted(each for each in expected if each[1])
    assert [each for each in order(after) if not each[1]] == [each for each in expected if not each[1]]
    assert sorted(each for each in order(after) if each[1]) == running
    assert not after.rejects
    assert not after.grants
    assert not after.revokes


@given(history=steps)
def test_programs_keep_what_they_have_attained(history: list[tuple[str, int]]) -> None:
    before = desk(settings("las", PARAMS["las"]), slots=SLOTS)
    live(before, history, finishes=True)
    after = restarted(before, "las")
    kept = {job.call.id: job.program.attained for job in jobs(after) if job.program}

    assert kept == {job.call.id: job.program.attained for job in jobs(before) if job.program}


def test_a_call_that_waits_again_is_not_evicted_for_the_time_it_ran() -> None:
    world = desk(slots=1)
    world.submit("runs", program="a")
    world.submit("ran", at=100.0, arrived_at=0.0, waiting_since=99.0, max_wait=30.0)
    world.tick(101.0)

    assert world.rejects == []

    world.tick(130.0)

    assert [each.call_id for each in world.rejects] == ["ran"]
