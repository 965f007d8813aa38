"""How slots lie in the engine."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tgi_local.core.layout import Layout


@given(slots=st.integers(1, 127), ctx=st.integers(16, 10_000))
def test_no_two_exact_slots_are_neighbours_nor_is_the_spare_one(slots: int, ctx: int) -> None:
    layout = Layout(slots, ctx, exact=True)
    used = sorted([*(layout.sequence(slot) for slot in range(slots)), layout.spare])

    assert all(after - before > 1 for before, after in pairwise(used))
    assert used[-1] < layout.sequences <= 256


@given(slots=st.integers(1, 256), ctx=st.integers(16, 10_000), exact=st.booleans())
def test_every_slot_has_its_context_and_some_room_for_prompts(slots: int, ctx: int, *, exact: bool) -> None:
    layout = Layout(slots, ctx, exact)

    assert layout.context // layout.sequences >= ctx
    assert layout.context // layout.sequences % 256 == 0
    assert layout.batch is None or layout.batch > layout.sequences


@pytest.mark.parametrize("slot", [-1, 4])
def test_a_slot_that_is_not_there_is_refused(slot: int) -> None:
    with pytest.raises(ValueError, match=f"no slot {slot} of 4"):
        Layout(4, 256, exact=True).sequence(slot)


def test_without_exactness_slots_lie_side_by_side_as_the_engine_has_them() -> None:
    layout = Layout(4, 256, exact=False)

    assert [layout.sequence(slot) for slot in range(4)] == [0, 1, 2, 3]
    assert (layout.sequences, layout.batch, layout.spare) == (4, None, -1)
