"""Turns by tenant, tree and agent: nobody waits longer for what others below them are many."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.chassis.turns import Bounds, Crowded, Party, Path, Turns
from tests.fakes.examples import examples

Name = tuple[str, str, str]
"""Tenant, tree and agent."""


def levels(running: tuple[int, ...], waiting: tuple[int, ...] = (999, 999, 999, 999)) -> list[Bounds]:
    names = ("gateway", "tenant", "tree", "agent")
    return [Bounds(*each) for each in zip(names, running, waiting, strict=True)]


def path(name: Name, weights: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Path:
    tenant, tree, agent = name
    keys = (tenant, (tenant, tree), (tenant, tree, agent))
    return tuple(zip(keys, weights, strict=True))


class Room:
    """Calls at a gate, as far as turns are concerned."""

    def __init__(self, running: tuple[int, ...], waiting: tuple[int, ...] = (999, 999, 999, 999)) -> None:
        self.turns: Turns[int] = Turns(levels(running, waiting))
        self.inside: dict[int, tuple[Name, Party[int]]] = {}
        self.line: dict[int, tuple[Name, Party[int]]] = {}
        self.order: list[Name] = []
        """Who was admitted out of the line, in turn."""
        self._count = 0

    def come(self, name: Name, **how: Any) -> int:
        self._count += 1
        party = self.turns.enter(path(name, **how))
        if party is not None:
            self.inside[self._count] = name, party
        else:
            self.line[self._count] = name, self.turns.join(path(name, **how), self._count)
            self.settle()
        return self._count

    def leave(self, number: int) -> None:
        self.turns.leave(self.inside.pop(number)[1])
        self.settle()

    def give_up(self, number: int) -> None:
        self.turns.forget(self.line.pop(number)[1], number)
        self.settle()

    def settle(self) -> None:
        while (found := self.turns.next()) is not None:
            self.inside[found[1]] = self.line.pop(found[1])
            self.order.append(self.inside[found[1]][0])
            self.admitted(self.order[-1])

    def admitted(self, name: Name) -> None:
        """Be told of an admission."""

    def serve(self, count: int) -> list[Name]:
        """Let the oldest call leave, again and again; return who came in."""
        before = len(self.order)
        for _ in range(count):
            self.leave(next(iter(self.inside)))
        return self.order[before:]


NAMES = st.tuples(st.sampled_from("st"), st.sampled_from("abc"), st.sampled_from("xyz"))


class Gate(RuleBasedStateMachine):
    """Whatever comes and goes: places are kept to, none stays empty, no party waits longer than its like."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room((4, 3, 2, 1))
        self.room.admitted = self._count  # type: ignore[method-assign]
        self.overtaken: dict[Any, Counter[Any]] = {}
        """Of each party that could run a call: how often each of its like went before."""

    @initialize()
    def fill(self) -> None:
        for tenant, tree in ("sa", "sb", "ta", "tb"):
            self.room.come((tenant, tree, "x"))

    @rule(name=NAMES)
    def come(self, name: Name) -> None:
        self.room.come(name)
        self._look()

    @rule(number=st.integers(0, 99))
    def leave(self, number: int) -> None:
        if self.room.inside:
            self.room.leave(list(self.room.inside)[number % len(self.room.inside)])
            self._look()

    @rule(number=st.integers(0, 99))
    def give_up(self, number: int) -> None:
        if self.room.line:
            self.room.give_up(list(self.room.line)[number % len(self.room.line)])
            self._look()

    def _count(self, name: Name) -> None:
        for at in range(3):
            mine = name[: at + 1]
            self.overtaken.pop(mine, None)
            for other, seen in self.overtaken.items():
                if len(other) == at + 1 and other[:-1] == mine[:-1]:
                    seen[mine] += 1
        self._look()

    def _look(self) -> None:
        """Begin to count for who could run a call by now; forget who could not, or waits no more."""
        ready = set()
        for tenant in self.room.turns.root.children.values():
            parties = [tenant, *tenant.children.values()]
            parties += [agent for tree in tenant.children.values() for agent in tree.children.values()]
            ready |= {_name(party) for party in parties if party.queued}
        self.overtaken = {name: self.overtaken.get(name, Counter()) for name in ready}

    @invariant()
    def nobody_is_overtaken_twice_by_one_of_its_like(self) -> None:
        assert all(max(seen.values(), default=0) <= 1 for seen in self.overtaken.values())

    @invariant()
    def places_are_kept_to_and_none_stays_empty(self) -> None:
        room = self.room
        inside = [name for name, _ in room.inside.values()]
        counts = [Counter(name[:depth] for name in inside) for depth in range(4)]
        assert all(
            max(count.values(), default=0) <= most for count, most in zip(counts, (4, 3, 2, 1), strict=True)
        )
        assert (room.turns.running, room.turns.waiting) == (len(inside), len(room.line))
        for name, _ in room.line.values():
            assert any(counts[at][name[:at]] >= most for at, most in enumerate((4, 3, 2, 1)))

    def teardown(self) -> None:
        for number in list(self.room.line):
            self.room.give_up(number)
        for number in list(self.room.inside):
            self.room.leave(number)
        root = self.room.turns.root
        assert (root.running, root.waiting, root.ready, root.children, root.heap) == (0, 0, 0, {}, [])


def _name(party: Party[int]) -> tuple[str, ...]:
    key: Any = party.key
    return (key,) if isinstance(key, str) else key


TestGate = Gate.TestCase
TestGate.settings = settings(max_examples=examples(40), stateful_step_count=30, deadline=None)


def test_a_tree_of_two_hundred_children_has_one_trees_turns() -> None:
    room = Room((1, 1, 1, 1))
    room.come(("t", "first", "first"))
    for child in range(200):
        room.come(("t", "crowd", f"child{child}"))
    for tree in "ab":
        for _ in range(20):
            room.come(("t", tree, tree))
    turns = Counter(name[1] for name in room.serve(30))

    assert set(turns.values()) == {10}


def test_a_tenant_of_many_trees_has_one_tenants_turns() -> None:
    room = Room((1, 1, 1, 1))
    room.come(("first", "f", "f"))
    for tree in range(50):
        room.come(("crowd", f"tree{tree}", "a"))
    for _ in range(20):
        room.come(("quiet", "q", "q"))
    turns = Counter(name[0] for name in room.serve(30))

    assert turns == {"crowd": 15, "quiet": 15}


def test_to_have_been_at_ones_own_limit_is_not_caught_up_on() -> None:
    room = Room((3, 3, 2, 2))
    held = [room.come(("t", "full", "x")) for _ in range(2)]
    for tree in ("full", "a", "b"):
        for _ in range(40):
            room.come(("t", tree, tree))
    for _ in range(20):
        room.leave(next(number for number in room.inside if number not in held))
    for number in held:
        room.leave(number)
    turns = Counter(name[1] for name in room.serve(15))

    assert max(turns.values()) <= 6


def test_children_hold_no_more_places_than_their_tree_may() -> None:
    room = Room((256, 192, 64, 32))
    for child in range(13):
        for _ in range(32):
            room.come(("t", "root", f"child{child}"))
    held = len(room.inside)
    other = room.come(("t", "other", "other"))
    foreign = room.come(("u", "other", "other"))

    assert held == 64
    assert {other, foreign} <= set(room.inside)


@pytest.mark.parametrize(
    ("waiting", "level"),
    [((9, 9, 9, 2), "agent"), ((9, 9, 2, 9), "tree"), ((9, 2, 9, 9), "tenant"), ((2, 9, 9, 9), "gateway")],
)
def test_a_full_line_names_the_party_that_filled_it(waiting: tuple[int, ...], level: str) -> None:
    room = Room((1, 1, 1, 1), waiting)
    for _ in range(3):
        room.come(("t", "a", "x"))
    with pytest.raises(Crowded) as crowded:
        room.come(("t", "a", "x"))

    assert crowded.value.level.name == level
    assert len(room.line) == 2


@settings(max_examples=examples(30), deadline=None)
@given(weights=st.lists(st.integers(1, 9), min_size=2, max_size=5), rounds=st.integers(5, 60))
def test_trees_that_wait_all_the_time_are_served_by_their_weights(weights: list[int], rounds: int) -> None:
    room = Room((1, 1, 1, 1))
    room.come(("t", "first", "first"))
    for tree, weight in enumerate(weights):
        for _ in range(rounds):
            room.come(("t", str(tree), "x"), weights=(1.0, float(weight), 1.0))
    turns = Counter(int(name[1]) for name in room.serve(rounds))

    for one, mine in enumerate(weights):
        for other, theirs in enumerate(weights):
            lead = turns[one] / mine - turns[other] / theirs
            assert lead <= 1 / mine + 1 / theirs + 1e-9


def test_under_a_flood_a_quiet_tree_waits_no_longer_and_trees_are_served_alike() -> None:
    """An open loop: of ten calls nine come from the 60 agents of one tree, one from nine other trees."""
    room = Room((8, 8, 8, 8), (10**6, 10**6, 400, 40))
    came: dict[Name, int] = {}
    waited: list[int] = []
    refused: Counter[str] = Counter()

    def admitted(name: Name) -> None:
        if name in came:
            waited.append(len(room.order) - came.pop(name))

    room.admitted = admitted  # type: ignore[method-assign]
    for step in range(3000):
        if step % 3 == 0 and room.inside:  # three times as much comes as can be served
            room.leave(next(iter(room.inside)))
        quiet = ("t", f"quiet{step // 10 % 9}", "x")
        name = ("t", "flood", f"agent{step % 60}") if step % 10 else quiet
        try:
            number = room.come(name)
        except Crowded:
            refused[name[1]] += 1
        else:
            if name == quiet and number in room.line:
                came[name] = len(room.order)

    assert len(waited) > 200
    assert max(waited) <= 2
    assert set(refused) == {"flood"}


def test_trees_that_all_ask_for_too_much_are_served_alike_however_many_agents_each_has() -> None:
    """Jain's index of what each of ten trees got, one of them of 60 agents that send nine calls of ten."""
    room = Room((8, 8, 8, 8), (10**6, 10**6, 400, 40))
    for step in range(6000):
        if step % 10 == 0 and room.inside:
            room.leave(next(iter(room.inside)))
        tree = "flood" if step % 10 else f"quiet{step // 10 % 9}"
        try:
            room.come(("t", tree, f"agent{step % 60}" if step % 10 else "x"))
            room.come(("t", tree, "x"))
        except Crowded:
            continue
    got = list(Counter(name[1] for name in room.order).values())

    assert len(got) == 10
    assert sum(got) ** 2 / (len(got) * sum(each * each for each in got)) >= 0.95
