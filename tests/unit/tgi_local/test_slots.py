"""Which slot a request gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tgi_local.core.slots import SlotAllocator, common_prefix

ids = st.lists(st.integers(0, 2), max_size=12).map(tuple)


@given(ids, ids)
def test_the_common_prefix_is_the_longest_one(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    length = common_prefix(a, b)

    assert a[:length] == b[:length]
    assert a[: length + 1] != b[: length + 1] or length == min(len(a), len(b))


@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), ids), max_size=40))
def test_slots_are_never_shared_nor_out_of_range(
    count: int, actions: list[tuple[bool, tuple[int, ...]]]
) -> None:
    slots = SlotAllocator(count)
    held: set[int] = set()
    for take, prompt in actions:
        if take:
            taken = slots.take(prompt)
            assert (taken is None) == (len(held) == count)
            if taken is not None:
                assert 0 <= taken[0] < count
                assert taken[0] not in held
                held.add(taken[0])
        elif held:
            slots.give_back(held.pop(), prompt)
        assert slots.busy == len(held)


def test_the_slot_with_the_longest_prefix_is_preferred() -> None:
    slots = SlotAllocator(3)
    sequences: list[tuple[int, ...]] = [(1, 2), (1, 2, 3), (9,)]
    for _ in sequences:
        slots.take(())
    for number, held in enumerate(sequences):
        slots.give_back(number, held)

    assert slots.take((1, 2, 3, 4)) == (1, 3)
    assert slots.take((1, 2, 3, 4)) == (0, 2)
    assert slots.take((1, 2, 3, 4)) == (2, 0)
    assert slots.take((1,)) is None


def test_without_a_prefix_the_slot_unused_for_longest_is_taken() -> None:
    slots = SlotAllocator(2)
    slots.take(())
    slots.take(())
    slots.give_back(1, (5,))
    slots.give_back(0, (6,))

    assert slots.take((7,)) == (1, 0)


def test_a_slot_cannot_be_given_back_twice() -> None:
    slots = SlotAllocator(1)
    slots.take(())
    slots.give_back(0, ())

    with pytest.raises(ValueError, match="slot 0 is not in use"):
        slots.give_back(0, ())
