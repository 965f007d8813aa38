"""Who follows the rules, and what each change took away."""

import asyncio

import pytest

from services.access.service.watchers import ChangeLog, RuleChange, Watchers, nothing
from tests.fakes.clock import FakeClock

LONG = 30.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def watchers(clock: FakeClock) -> Watchers:
    made = Watchers(clock)
    made.joined("memory", heartbeat=2.0)
    made.confirm("memory", 4)
    return made


async def test_nobody_is_waited_for_where_nobody_follows(clock: FakeClock) -> None:
    assert await Watchers(clock).confirmed(5, within=LONG)


async def test_a_revision_is_confirmed_when_the_last_watcher_says_so(watchers: Watchers) -> None:
    watchers.joined("tool", heartbeat=2.0)
    waiting = asyncio.create_task(watchers.confirmed(5, within=LONG))
    watchers.confirm("memory", 5)
    await asyncio.sleep(0)
    assert watchers.behind(5) == ["tool"]
    watchers.confirm("tool", 6)

    assert await waiting


async def test_a_watcher_that_does_not_confirm_is_waited_for_a_bounded_time(watchers: Watchers) -> None:
    assert not await watchers.confirmed(5, within=0.01)


async def test_a_watcher_whose_stream_broke_is_waited_for_until_it_must_have_stopped(
    watchers: Watchers, clock: FakeClock
) -> None:
    watchers.left("memory")
    clock.advance(5.9)
    assert watchers.behind(5) == ["memory"]
    clock.advance(0.2)

    assert watchers.behind(5) == []


async def test_a_watcher_that_comes_back_is_known_again(watchers: Watchers, clock: FakeClock) -> None:
    watchers.left("memory")
    watchers.joined("memory", heartbeat=2.0)
    clock.advance(60)

    assert watchers.behind(5) == ["memory"]
    watchers.confirm("memory", 5)
    assert watchers.behind(5) == []


async def test_two_streams_of_one_watcher_count_as_one_that_is_there(
    watchers: Watchers, clock: FakeClock
) -> None:
    watchers.joined("memory", heartbeat=2.0)
    watchers.left("memory")
    clock.advance(60)

    assert watchers.behind(5) == ["memory"]


async def test_an_older_confirmation_takes_nothing_back(watchers: Watchers) -> None:
    watchers.confirm("memory", 2)

    assert watchers.behind(4) == []


def test_the_withdrawals_between_two_revisions_are_told_each_once() -> None:
    log = ChangeLog()
    log.note(5, RuleChange("acme", frozenset({"agents/a"})))
    log.note(6, nothing("acme"))
    log.note(7, RuleChange("acme", frozenset({"agents/a"})))
    log.note(8, RuleChange("globex"))

    assert log.between(4, 8) == (RuleChange("acme", frozenset({"agents/a"})), RuleChange("globex"))
    assert log.between(5, 6) == ()


def test_the_revision_to_confirm_is_the_last_one_that_took_something_away() -> None:
    log = ChangeLog()
    log.note(5, RuleChange("acme"))
    log.note(6, nothing("acme"))

    assert log.withdrawn == 5


def test_what_another_process_changed_is_not_known() -> None:
    log = ChangeLog()
    log.note(5, nothing("acme"))
    log.note(7, nothing("acme"))

    assert log.between(4, 7) is None
    assert log.between(0, 10_000_000) is None


def test_only_so_many_changes_are_remembered() -> None:
    log = ChangeLog(keep=2)
    for revision in range(1, 5):
        log.note(revision, nothing("acme"))

    assert log.between(1, 4) is None
    assert log.between(2, 4) == ()
