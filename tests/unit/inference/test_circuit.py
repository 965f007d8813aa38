"""When a replica gets no more calls, and when it is tried again."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.core.circuit import Circuit, CircuitConfig, CircuitState

CONFIG = CircuitConfig(first_pause=1.0, longest_pause=8.0, quarantine=4.0, forgiven_after=3)


def fail(circuit: Circuit, at: float, sources: str) -> list[bool]:
    """Let a call of each of these trees fail; tells which of them opened it."""
    return [circuit.failed(at, source, nonsense=False) for source in sources]


def opened(circuit: Circuit, at: float) -> float:
    """Fail calls of two trees in turn until it opens; returns for how long."""
    for turn in range(100):
        if circuit.failed(at, "ab"[turn % 2], nonsense=False):
            return circuit.opens_until - at
    raise AssertionError("it never opened")


def test_failures_of_two_trees_in_a_row_open_it_and_fewer_do_not() -> None:
    circuit = Circuit(CONFIG)

    assert fail(circuit, 0.0, "abab") == [False, False, False, True]
    assert circuit.state(0.5) is CircuitState.OPEN
    assert circuit.state(1.0) is CircuitState.HALF_OPEN


@given(st.integers(1, 200), st.booleans())
def test_one_tree_alone_never_opens_it_whatever_it_fails_with(calls: int, nonsense: bool) -> None:  # noqa: FBT001 - drawn
    circuit = Circuit(CONFIG)
    for turn in range(calls):
        assert not circuit.failed(float(turn), "hostile", nonsense=nonsense)

    assert circuit.state(float(calls)) is CircuitState.CLOSED


@given(st.lists(st.sampled_from(["hostile", "ann", "bob"]), max_size=200))
def test_one_tree_does_not_open_it_for_others_whose_calls_go_well(calls: list[str]) -> None:
    circuit = Circuit(CONFIG)
    for source in calls:
        if source == "hostile":
            assert not circuit.failed(0.0, source, nonsense=True)
        else:
            circuit.succeeded(0.0, source)


def test_a_single_failure_of_another_tree_does_not_complete_what_one_tree_has_prepared() -> None:
    circuit = Circuit(CONFIG)
    outcomes = fail(circuit, 0.0, "a" * 50 + "b")

    assert not any(outcomes)


def test_a_success_between_failures_starts_the_count_anew() -> None:
    circuit = Circuit(CONFIG)
    for _ in range(20):
        assert not any(fail(circuit, 0.0, "ab"))
        for source in "abab":
            circuit.succeeded(0.0, source)

    assert circuit.state(0.0) is CircuitState.CLOSED


def test_a_replica_that_fails_most_calls_of_several_trees_opens_it_too() -> None:
    circuit = Circuit(CONFIG)
    outcomes = []
    for _ in range(20):
        outcomes += fail(circuit, 0.0, "aba")
        circuit.succeeded(0.0, "b")
        outcomes += fail(circuit, 0.0, "bab")
        circuit.succeeded(0.0, "a")

    assert any(outcomes)


def test_failures_of_long_ago_are_forgotten() -> None:
    circuit = Circuit(CONFIG)
    early = fail(circuit, 0.0, "aab")
    late = fail(circuit, CONFIG.memory + 1.0, "ccc")

    assert not any(early + late)


def test_odd_answers_to_several_trees_are_quarantined() -> None:
    circuit = Circuit(CONFIG)
    for source in "abab":
        circuit.failed(0.0, source, nonsense=True)

    assert circuit.state(3.9) is CircuitState.OPEN
    assert circuit.state(4.0) is CircuitState.HALF_OPEN


def test_a_trial_that_succeeds_closes_it_and_one_that_fails_opens_it_for_longer() -> None:
    circuit = Circuit(CONFIG)
    opened(circuit, 0.0)

    assert circuit.failed(1.0, "c", nonsense=False)
    assert circuit.opens_until == 3.0
    assert not circuit.succeeded(2.0, "a")  # a call that began before
    assert circuit.succeeded(3.0, "a")
    assert circuit.state(3.0) is CircuitState.CLOSED


def test_the_tree_that_opened_it_does_not_open_it_again_by_being_its_trial() -> None:
    circuit = Circuit(CONFIG)
    fail(circuit, 0.0, "abab")
    again = [circuit.failed(1.0 + turn, "b", nonsense=True) for turn in range(50)]

    assert not any(again)
    assert circuit.state(60.0) is CircuitState.HALF_OPEN
    assert circuit.succeeded(60.0, "c")


def test_pauses_grow_to_a_bound_and_a_short_recovery_does_not_reset_them() -> None:
    circuit, now, pauses = Circuit(CONFIG), 0.0, []
    for _ in range(6):
        pauses.append(opened(circuit, now))
        now += pauses[-1]
        circuit.succeeded(now, "a")

    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_enough_successes_in_a_row_are_forgiveness() -> None:
    circuit = Circuit(CONFIG)
    opened(circuit, 0.0)
    opened(circuit, 1.0)
    for _ in range(3):
        circuit.succeeded(3.0, "a")

    assert opened(circuit, 3.0) == 1.0


@given(st.lists(st.floats(0.0, 0.5), max_size=40))
def test_one_tree_takes_a_replica_out_for_a_probe_at_most_once_in_an_interval(pauses: list[float]) -> None:
    circuit, now, doubts = Circuit(CONFIG), 0.0, [0.0]
    circuit.doubtful(0.0, "hostile")
    for pause in pauses:
        now += pause
        if circuit.doubtful(now, "hostile"):
            doubts.append(now)

    assert all(later - sooner >= CONFIG.doubt_interval for sooner, later in pairwise(doubts))
    assert circuit.doubtful(now, "another")


@given(
    st.lists(
        st.tuples(st.sampled_from(["good", "bad", "nonsense"]), st.sampled_from("abc"), st.floats(0.0, 10.0)),
        max_size=60,
    )
)
def test_it_is_never_open_for_longer_than_the_bound_and_closes_only_by_success(
    life: list[tuple[str, str, float]],
) -> None:
    circuit, now = Circuit(CONFIG), 0.0
    for outcome, source, pause in life:
        now += pause
        before = circuit.state(now)
        if outcome == "good":
            closed = circuit.succeeded(now, source)
            assert closed == (before is CircuitState.HALF_OPEN)
        else:
            opening = circuit.failed(now, source, nonsense=outcome == "nonsense")
            assert not (opening and before is CircuitState.OPEN)
            assert before is CircuitState.CLOSED or circuit.state(now) is not CircuitState.CLOSED
        assert circuit.opens_until - now <= CONFIG.longest_pause + 1e-6
        assert len(circuit._witnesses) <= 256
