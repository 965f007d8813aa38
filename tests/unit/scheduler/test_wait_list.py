"""Why the first calls wait, in one answer: as each alone is explained, at the cost of one walk."""

from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduler.core import explain, wait_list
from services.scheduler.core.events import BackendUp
from services.scheduler.core.policies import PolicyRegistry
from services.scheduler.model import CallState
from services.scheduler.service import scheduling
from services.scheduler.service.watching import Viewer
from tests.fakes.examples import examples
from tests.unit.scheduler.test_scheduler_listing import STEPS, VIEWERS, World, play, steps_of


@pytest.mark.parametrize("policy", PolicyRegistry().names)
@given(steps=STEPS, counted=st.integers(1, 6), top=st.integers(1, 8))
@settings(max_examples=examples(15))
async def test_each_is_told_what_it_alone_would_be_told_and_the_next_ones_come_first(
    policy: str, steps: list[tuple[str, int, str, str]], counted: int, top: int
) -> None:
    world = World(policy)
    play(world, steps)
    places = {each.call_id: each.position for each in world.known() if each.state is CallState.WAITING}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain, "COUNTED", counted)
        for viewer in VIEWERS:
            mine = [each for each in world.naive(viewer) if each in places]
            told = world.service.explain_first(viewer, top)

            assert len(told) == min(top, len(mine))
            assert {each.call_id for each in told} <= set(mine)
            assert [each.position for each in told] == sorted(each.position for each in told)
            near = [each for each in mine if places[each] < counted]
            assert {each.call_id for each in told} >= set(near) or len(near) > top
            for each in told:
                alone = world.service.explain(each.call_id, viewer)
                assert each == replace(alone, ahead=())
    world.service.close()


@pytest.mark.parametrize("policy", PolicyRegistry().names)
async def test_many_rows_cost_one_walk_and_a_long_queue_costs_no_more(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "LOOKED_AT", 70)
    viewer, taken, few, alone = Viewer("acme", ""), [], 0, 0
    for waiting in (80, 960):
        world = World(policy)
        for number in range(waiting):
            world.submit(number, "acme", "root", arrived_at=world.clock.monotonic())
        taken.append(steps_of(partial(world.service.explain_first, viewer, 50)))
        few = steps_of(partial(world.service.explain_first, viewer, 10))
        last = world.service.explain_first(viewer, 50)[-1]
        alone = steps_of(partial(world.service.explain, last.call_id, viewer))
        world.service.close()

    assert taken[1] < 2 * taken[0]
    assert taken[1] - few < 40 * alone / 4


async def test_the_queues_that_are_walked_are_few_however_many_there_are() -> None:
    world = World("fifo")
    for number in range(wait_list.QUEUES + 10):
        world.service.take(BackendUp(f"r{number + 1}", f"m{number}", 1, 100_000))
        for each in (2 * number, 2 * number + 1):
            world.submit(each, "acme", "root", resource=f"m{number}", arrived_at=world.clock.monotonic())
    told = world.service.explain_first(Viewer("acme", ""), 100)
    world.service.close()

    assert len(told) == wait_list.QUEUES
