"""The ordered sets behind every queue, checked against plain sorting."""

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.core.heap import AgeQueue, LazyHeap

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "discard", "grow", "pop", "peek"]),
        st.integers(0, 12),
        st.integers(0, 9),
    ),
    max_size=400,
)


@given(OPERATIONS)
def test_a_lazy_heap_orders_like_sorting_while_keys_grow(operations: list[tuple[str, int, int]]) -> None:
    keys: dict[int, int] = {}
    heap: LazyHeap[int] = LazyHeap(lambda item: (keys[item], item))
    live: set[int] = set()
    for name, item, amount in operations:
        if name == "push":
            keys[item] = amount
            heap.push(item)
            live.add(item)
        elif name == "discard":
            assert heap.discard(item) == (item in live)
            live.discard(item)
        elif name == "grow" and item in live:
            keys[item] += amount
        elif name == "pop":
            taken = heap.pop()
            assert taken == min(live, key=lambda i: (keys[i], i), default=None)
            live.discard(-1 if taken is None else taken)
        expected = sorted(live, key=lambda i: (keys[i], i))

        assert list(heap.ordered()) == expected
        assert heap.peek() == (expected[0] if expected else None)
        assert len(heap) == len(live)
        assert all((i in heap) == (i in live) for i in range(13))
    assert set(heap) == live


@given(OPERATIONS)
def test_an_age_queue_orders_like_sorting(operations: list[tuple[str, int, int]]) -> None:
    keys: dict[int, int] = {}
    queue: AgeQueue[int] = AgeQueue(lambda item: (keys[item], item))
    for name, item, amount in operations:
        if name == "push" and item not in keys:
            keys[item] = amount
            queue.push(item)
        elif name == "discard":
            queue.discard(item)
            keys.pop(item, None)

        assert queue.peek() == min(keys, key=lambda i: (keys[i], i), default=None)
        assert len(queue) == len(keys)


def test_dead_entries_do_not_pile_up() -> None:
    heap: LazyHeap[int] = LazyHeap(lambda item: item)
    for item in range(10_000):
        heap.push(item)
        if item > 10:
            heap.discard(item)

    assert len(heap._entries) < 200
