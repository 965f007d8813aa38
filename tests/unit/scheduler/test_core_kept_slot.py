"""One slot is kept for programs that run nothing: a newcomer need not wait for the end of another's call."""

from typing import Any

import pytest

from services.scheduler.core.explain import Binding
from services.scheduler.core.settings import CoreSettings
from services.scheduler.errors import SettingsInvalid
from tests.fakes.scheduling import Desk, desk, settings

SLOTS = 8


def flooded(policy: str = "fifo", *, slots: int = SLOTS, calls: int = 40, **fields: Any) -> Desk:
    """Let one program ask for more than all slots."""
    d = desk(settings(policy, **fields), slots=slots)
    for number in range(calls):
        d.submit(f"flood{number}", agent=f"acme/child{number}", program="acme/mal", tenant="acme")
    return d


def newcomer(d: Desk, name: str = "new", **fields: Any) -> None:
    """Ask for one call of another program."""
    d.submit(name, at=d.now + 1.0, agent=f"acme/{name}", program=f"acme/{name}", tenant="acme", **fields)


@pytest.mark.parametrize(
    "policy", ["fifo", "rr", "priority", "stride", "mlfq", "vtc", "sjf", "edf", "las", "adaptive"]
)
def test_a_newcomer_runs_at_once_beside_a_program_that_wants_all_slots(policy: str) -> None:
    d = flooded(policy)
    alone = len(d.order)
    newcomer(d)

    assert alone == SLOTS - 1
    assert d.order[-1] == "new"
    assert d.grants[-1].wait_seconds == 0.0


def test_a_replica_of_few_slots_keeps_none() -> None:
    assert len(flooded(slots=SLOTS - 1).order) == SLOTS - 1


def test_none_is_kept_where_that_is_switched_off() -> None:
    assert len(flooded(kept_slot_from=0).order) == SLOTS


def test_programs_that_come_one_after_the_other_get_the_slot_in_turn() -> None:
    d = flooded()
    for name in ("one", "two", "three"):
        newcomer(d, name)
    before = d.order[SLOTS - 1 :]
    d.finish("one", at=d.now + 1.0)
    d.finish("two", at=d.now + 1.0)

    assert before == ["one"]
    assert d.order[SLOTS - 1 :] == ["one", "two", "three"]


def test_a_slot_that_a_program_gives_back_beyond_the_kept_one_is_used_again() -> None:
    d = flooded()
    newcomer(d)
    d.finish("flood0", at=d.now + 1.0)
    with_newcomer = len(d.order)
    d.finish("new", at=d.now + 1.0)

    # Eight ran; the one that ended left the kept slot, which the program of seven may not have.
    assert with_newcomer == SLOTS
    assert len(d.order) == SLOTS + 1
    assert d.core.stats(d.now).running == SLOTS - 1


def test_many_programs_use_all_slots() -> None:
    d = desk(settings(), slots=SLOTS)
    for number in range(2 * SLOTS):
        newcomer(d, f"p{number}")

    assert d.core.stats(d.now).running == SLOTS


def test_a_call_that_waits_for_the_kept_slot_holds_no_room_and_is_told_why() -> None:
    d = flooded()
    told = d.core.explain(f"flood{SLOTS}", d.now)
    newcomer(d)

    assert told.binding is Binding.KEPT_SLOT
    assert d.order[-1] == "new"


def test_a_gang_may_have_all_slots() -> None:
    d = desk(settings(), slots=SLOTS)
    for number in range(SLOTS):
        d.submit(f"g{number}", program="acme/mal", agent="acme/mal", gang="all", gang_size=SLOTS)

    assert d.core.stats(d.now).running == SLOTS


def test_the_bound_is_none_or_more_than_one_slot() -> None:
    with pytest.raises(SettingsInvalid, match="kept_slot_from"):
        desk(CoreSettings(kept_slot_from=1))
