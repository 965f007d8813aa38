"""Which connections stay at the door."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.connections import Bounds, Connections


def test_one_address_has_no_more_connections_than_it_may() -> None:
    door = Connections(Bounds(all=10, per_address=2, unproven=10))
    opened = [door.opened(key, "10.0.0.1") for key in "abc"]
    other = door.opened("d", "10.0.0.2")

    assert opened == [None, None, "c"]
    assert other is None


def test_who_fills_the_door_with_silent_connections_pushes_out_its_own() -> None:
    door = Connections(Bounds(all=99, per_address=99, unproven=4))
    for key in range(4):
        door.opened(key, "10.0.0.9")
    surplus = door.opened("quiet", "10.0.0.2")
    door.closed(surplus)
    again = door.opened(5, "10.0.0.9")

    assert (surplus, again) == (0, 1)


def test_a_connection_that_showed_a_credential_is_not_pushed_out() -> None:
    door = Connections(Bounds(all=99, per_address=99, unproven=2))
    door.opened("proven", "10.0.0.9")
    door.proven("proven")
    surplus = [door.opened(key, "10.0.0.9") for key in range(3)]

    assert surplus == [None, None, 0]


@given(st.lists(st.tuples(st.sampled_from(["open", "open", "prove", "close"]), st.integers(0, 30))))
def test_what_has_gone_is_not_counted(steps: list[tuple[str, int]]) -> None:
    door = Connections(Bounds(all=8, per_address=4, unproven=5))
    there: set[int] = set()
    for number, (what, pick) in enumerate(steps):
        if what == "open":
            there.add(number)
            surplus = door.opened(number, f"10.0.0.{pick % 3}")
            if isinstance(surplus, int):
                there.discard(surplus)
                door.closed(surplus)
        elif there and what == "prove":
            door.proven(sorted(there)[pick % len(there)])
        elif there:
            gone = sorted(there)[pick % len(there)]
            there.discard(gone)
            door.closed(gone)
        assert len(door) == len(there) <= 8
        assert door._unproven_count == sum(len(line) for line in door._unproven.values()) <= 5
    for key in list(there):
        door.closed(key)

    assert (len(door), door._count, door._unproven) == (0, {}, {})
