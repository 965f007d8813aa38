"""The memory of request bodies: a tree has one share, however many agents it has."""

import pytest

from services.chassis.bodies import Bodies
from services.chassis.dispatch.errors import TooManyCalls


def test_children_fill_no_more_than_their_trees_share_and_a_tenant_no_more_than_half() -> None:
    bodies = Bodies(800, lambda _tenant, agent: "root" if agent.startswith("child") else agent)
    held = [bodies.reserve(("t", f"child{n}"), 50) for n in range(2)]
    with pytest.raises(TooManyCalls):
        bodies.reserve(("t", "child9"), 50)
    held += [bodies.reserve(("t", f"other{n}"), 100) for n in range(3)]
    with pytest.raises(TooManyCalls):
        bodies.reserve(("t", "other9"), 100)
    held.append(bodies.reserve(("u", "b"), 100))
    for owner, size in zip(held, (50, 50, 100, 100, 100, 100), strict=True):
        bodies.release(owner, size)

    assert bodies.held == 0


def test_one_large_body_finds_room_beyond_its_trees_share_but_not_beyond_the_whole() -> None:
    bodies = Bodies(800)
    owner = bodies.reserve(("t", "a"), 600)
    with pytest.raises(TooManyCalls):
        bodies.reserve(("t", "a"), 1)
    with pytest.raises(TooManyCalls):
        bodies.reserve(("u", "b"), 201)
    bodies.release(owner, 600)

    assert bodies.reserve(("t", "a"), 100).agent == "a"
