"""LRU-K: who stays in RAM."""

from hypothesis import given
from hypothesis import strategies as st

from services.memory.core.cache_policy import MOST_HISTORIES, WaterMarks, WorkingSet
from services.memory.model import Fields, Note
from tests.fakes.clock import FakeClock

NOW = FakeClock().now()


def note(key: str, size: int = 10) -> Note:
    return Note(key, Fields(), NOW, NOW, NOW, "nonce", "planner", size)


def working_set(high: int = 50, low: int = 30, correlated: float = 0.0) -> WorkingSet:
    return WorkingSet(WaterMarks(high=high, low=low, correlated=correlated))


def test_nothing_leaves_below_the_high_water_mark() -> None:
    notes = working_set()
    gone = [notes.put(note(str(number)), now=number) for number in range(5)]

    assert gone == [[]] * 5
    assert notes.size == 50


def test_an_eviction_ends_at_the_low_water_mark() -> None:
    notes = working_set()
    for number in range(5):
        notes.put(note(str(number)), now=number)
    gone = notes.put(note("5"), now=5)

    assert gone == ["0", "1", "2"]
    assert (notes.size, len(notes), notes.evicted) == (30, 3, 3)


def test_a_scan_does_not_push_out_what_is_used_again_and_again() -> None:
    notes = working_set()
    notes.put(note("hot"), now=0)
    notes.use("hot", now=1)
    for number in range(20):
        notes.put(note(f"scan{number}"), now=10 + number)

    assert "hot" in notes


def test_the_older_second_last_use_goes_first() -> None:
    notes = working_set(high=30, low=10)
    notes.put(note("a"), now=0)
    notes.put(note("b"), now=1)
    notes.put(note("c"), now=2)
    for key, at in (("c", 3), ("b", 4), ("a", 9)):
        notes.use(key, now=at)
    gone = notes.put(note("d", 1), now=10)

    assert gone == ["d", "a", "b"]  # d was used once; a last at 9, but before that at 0


def test_uses_within_the_correlation_period_count_as_one() -> None:
    notes = working_set(correlated=5.0)
    notes.put(note("burst"), now=0)
    for at in range(1, 5):
        notes.use("burst", now=at)
    notes.put(note("twice"), now=0)
    notes.use("twice", now=6)
    for number in range(4):
        notes.put(note(str(number)), now=20 + number)

    assert "burst" not in notes
    assert "twice" in notes


def test_a_note_that_comes_back_is_known() -> None:
    notes = working_set()
    notes.put(note("again"), now=0)
    for number in range(6):
        notes.put(note(f"a{number}"), now=1 + number)
    assert "again" not in notes
    notes.put(note("again"), now=10)
    for number in range(6):
        notes.put(note(f"b{number}"), now=11 + number)

    assert "again" in notes  # its use at 0 was remembered, so it has been used twice


def test_a_deleted_note_is_not_known_any_more() -> None:
    notes = working_set()
    notes.put(note("n"), now=0)
    notes.use("n", now=1)
    notes.drop("n")

    assert (notes.size, len(notes), notes.use("n", 2)) == (0, 0, None)


def test_remembered_uses_are_bounded() -> None:
    notes = working_set(high=10, low=0)
    for number in range(2 * MOST_HISTORIES):
        notes.put(note(str(number), 6), now=number)

    assert len(notes._gone) <= MOST_HISTORIES


def test_mean_residence_is_the_mean_age_in_ram() -> None:
    notes = working_set()
    assert notes.mean_residence(0) is None
    notes.put(note("a"), now=0)
    notes.put(note("b"), now=4)
    notes.put(note("a"), now=6)

    assert notes.mean_residence(10) == 8


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 20)), max_size=60))
def test_evictions_follow_the_backward_k_distance(uses: list[tuple[str, int]]) -> None:
    notes = working_set()
    history: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    for now, (key, size) in enumerate(uses):
        history.setdefault(key, []).append(now)
        if notes.use(key, now) is not None:
            continue
        sizes[key] = size
        gone = notes.put(note(key, size), now)
        order = sorted(
            {*notes, *gone},
            key=lambda k: (history[k][-2] if len(history[k]) > 1 else -1, history[k][-1]),
        )

        assert gone == order[: len(gone)]
        assert notes.size == sum(sizes[k] for k in notes) <= 50
