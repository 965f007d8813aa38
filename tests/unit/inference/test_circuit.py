"""When a replica gets no more calls, and when it is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.core.circuit import Circuit, CircuitConfig, CircuitState

CONFIG = CircuitConfig(first_pause=1.0, longest_pause=8.0, quarantine=4.0, forgiven_after=3)


def opened(circuit: Circuit, at: float) -> float:
    """Fail until it opens; returns for how long."""
    for _ in range(100):
        if circuit.failed(at, nonsense=False):
            return circuit.opens_until - at
    raise AssertionError("it never opened")


def test_three_failures_in_a_row_open_it_and_fewer_do_not() -> None:
    circuit = Circuit(CONFIG)

    assert [circuit.failed(0.0, nonsense=False) for _ in range(3)] == [False, False, True]
    assert circuit.state(0.5) is CircuitState.OPEN
    assert circuit.state(1.0) is CircuitState.HALF_OPEN


def test_a_success_between_failures_starts_the_count_anew() -> None:
    circuit = Circuit(CONFIG)
    for _ in range(20):
        assert not circuit.failed(0.0, nonsense=False)
        circuit.succeeded(0.0)
        circuit.succeeded(0.0)

    assert circuit.state(0.0) is CircuitState.CLOSED


def test_a_replica_that_fails_most_of_its_calls_opens_it_too() -> None:
    circuit = Circuit(CONFIG)
    outcomes = []
    for _ in range(20):
        outcomes += [circuit.failed(0.0, nonsense=False), circuit.failed(0.0, nonsense=False)]
        circuit.succeeded(0.0)

    assert any(outcomes)


def test_one_answer_that_makes_no_sense_is_quarantined() -> None:
    circuit = Circuit(CONFIG)

    assert circuit.failed(0.0, nonsense=True)
    assert circuit.state(3.9) is CircuitState.OPEN
    assert circuit.state(4.0) is CircuitState.HALF_OPEN


def test_a_trial_that_succeeds_closes_it_and_one_that_fails_opens_it_for_longer() -> None:
    circuit = Circuit(CONFIG)
    opened(circuit, 0.0)

    assert circuit.failed(1.0, nonsense=False)
    assert circuit.opens_until == 3.0
    assert not circuit.succeeded(2.0)  # a call that began before
    assert circuit.succeeded(3.0)
    assert circuit.state(3.0) is CircuitState.CLOSED


def test_pauses_grow_to_a_bound_and_a_short_recovery_does_not_reset_them() -> None:
    circuit, now, pauses = Circuit(CONFIG), 0.0, []
    for _ in range(6):
        pauses.append(opened(circuit, now))
        now += pauses[-1]
        circuit.succeeded(now)

    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_enough_successes_in_a_row_are_forgiveness() -> None:
    circuit = Circuit(CONFIG)
    opened(circuit, 0.0)
    opened(circuit, 1.0)
    for _ in range(3):
        circuit.succeeded(3.0)

    assert opened(circuit, 3.0) == 1.0


@given(st.lists(st.tuples(st.sampled_from(["good", "bad", "nonsense"]), st.floats(0.0, 10.0)), max_size=60))
def test_it_is_never_open_for_longer_than_the_bound_and_closes_only_by_success(
    life: list[tuple[str, float]],
) -> None:
    circuit, now = Circuit(CONFIG), 0.0
    for outcome, pause in life:
        now += pause
        before = circuit.state(now)
        if outcome == "good":
            closed = circuit.succeeded(now)
            assert closed == (before is CircuitState.HALF_OPEN)
        else:
            opening = circuit.failed(now, nonsense=outcome == "nonsense")
            assert not (opening and before is CircuitState.OPEN)
            assert before is CircuitState.CLOSED or circuit.state(now) is CircuitState.OPEN
        assert circuit.opens_until - now <= CONFIG.longest_pause + 1e-6
