"""Lists, look-ups and explanations tell what a walk through the whole queue would tell, without the walk."""

import contextlib
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.dispatch.scheduling import Completion
from services.scheduler.core import explain
from services.scheduler.core.events import (
    BackendUp,
    Cancelled,
    Finished,
    GatewayLost,
    Progress,
    Submit,
    Tick,
    Yielded,
)
from services.scheduler.core.policies import PolicyRegistry
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.errors import SyscallNotFound
from services.scheduler.model import Call, CallState
from services.scheduler.service.listing import CallListing, Place
from services.scheduler.service.scheduling import SchedulerService
from services.scheduler.service.watching import Viewer
from tests.fakes.clock import FakeClock
from tests.fakes.examples import examples
from tests.fakes.meters import RecordingMeter
from tests.fakes.scheduling import MODEL, call
from tests.fakes.scheduling import settings as core_settings

TREE = {"root": (), "child": ("root",), "leaf": ("root", "child"), "other": ()}
VIEWERS = [Viewer(t, a) for t in ("acme", "globex") for a in ("", *(f"{t}/{name}" for name in TREE))]


class World:
    """A scheduler and the naive answers to the same questions."""

    def __init__(self, policy: str) -> None:
        self.clock = FakeClock()
        self.core = SchedulerCore(core_settings(policy))
        self.service = SchedulerService(self.core, self.clock, RecordingMeter())
        self.service.take(BackendUp("r0", MODEL, 2, 100_000))
        self.submitted: dict[str, Call] = {}

    def submit(self, number: int, tenant: str, agent: str, **fields: Any) -> None:
        """Submit a call that arrived a little while ago."""
        made = call(
            f"{tenant}/{agent}/c{number}",
            tenant=tenant,
            agent=f"{tenant}/{agent}",
            agent_path=tuple(f"{tenant}/{each}" for each in TREE[agent]),
            **fields,
        )
        self.submitted[made.id] = made
        self.service.take(Submit(made))

    def known(self) -> list[explain.QueueEntry]:
        """Return every call by walking the whole queue."""
        return self.core.snapshot_queue(self.clock.monotonic())

    def naive(self, viewer: Viewer) -> list[str]:
        """Return what a viewer sees, by looking at every call."""
        seen = [self.submitted[entry.call_id] for entry in self.known()]
        seen = [each for each in seen if viewer.sees(each)]
        return [each.id for each in sorted(seen, key=lambda each: (each.arrived_at, each.id))]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["submit", "submit", "submit", "finish", "yield", "cancel", "progress", "tick", "lost"]
        ),
        st.integers(0, 50),
        st.sampled_from(["acme", "globex"]),
        st.sampled_from(list(TREE)),
    ),
    max_size=50,
)


def play(world: World, steps: list[tuple[str, int, str, str]]) -> None:
    """Let things happen."""
    for number, (what, amount, tenant, agent) in enumerate(steps):
        held = sorted(entry.call_id for entry in world.known() if entry.state is not CallState.WAITING)
        everybody = sorted(entry.call_id for entry in world.known())
        world.clock.advance(amount / 10)
        if what == "submit":
            world.submit(
                number,
                tenant,
                agent,
                arrived_at=world.clock.monotonic() - amount % 7,
                priority=amount % 5 - 2,
                prompt_tokens=1 + amount * 10,
                policy=("", "sjf", "fifo")[amount % 3],
                gang=f"g{amount % 2}" if amount % 11 == 0 else "",
                gang_size=2 if amount % 11 == 0 else 0,
                gateway=f"gw{amount % 2}",
            )
        elif what == "finish" and held:
            world.service.take(Finished(held[amount % len(held)], Completion.COMPLETED))
        elif what == "yield" and held:
            world.service.take(Yielded(held[amount % len(held)], 5))
        elif what == "progress" and held:
            world.service.take(Progress(held[amount % len(held)], 5))
        elif what == "cancel" and everybody:
            world.service.take(Cancelled(everybody[amount % len(everybody)]))
        elif what == "lost":
            world.service.take(GatewayLost(f"gw{amount % 2}"))
        elif what == "tick":
            world.service.take(Tick())


@pytest.mark.parametrize("policy", PolicyRegistry().names)
@given(steps=STEPS, size=st.integers(1, 4))
@settings(max_examples=examples(15))
async def test_answers_are_those_of_a_walk_through_the_whole_queue(
    policy: str, steps: list[tuple[str, int, str, str]], size: int
) -> None:
    world = World(policy)
    play(world, steps)
    entries = {entry.call_id: entry for entry in world.known()}
    for viewer in VIEWERS:
        expected = world.naive(viewer)
        assert [each.id for _, each in world.service.queue(viewer)] == expected
        assert paged(world.service, viewer, size) == expected
        assert world.service.count(viewer, "", 100) == naive_counts(world, expected)
        for call_id in world.submitted:
            if call_id in expected:
                found, _ = world.service.entry(call_id, viewer)
                assert (found.state, found.replica) == (entries[call_id].state, entries[call_id].replica)
            else:
                with pytest.raises(SyscallNotFound):
                    world.service.entry(call_id, viewer)
    world.service.close()


def naive_counts(world: World, seen: list[str]) -> list[tuple[str, int, int]]:
    """Count each agent's calls by looking at every one."""
    found: dict[str, list[int]] = {}
    for entry in world.known():
        if entry.call_id in seen:
            found.setdefault(entry.agent, [0, 0])[entry.state is not CallState.WAITING] += 1
    return [(agent, *found[agent]) for agent in sorted(found)]  # type: ignore[misc]


@pytest.mark.parametrize("policy", PolicyRegistry().names)
@given(steps=STEPS, counted=st.integers(1, 6))
@settings(max_examples=examples(15))
async def test_a_position_is_exact_or_a_bound_that_holds(
    policy: str, steps: list[tuple[str, int, str, str]], counted: int
) -> None:
    world = World(policy)
    play(world, steps)
    order = [entry.call_id for entry in sorted(world.known(), key=lambda each: each.position)]
    places = {entry.call_id: entry.position for entry in world.known() if entry.position >= 0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain, "COUNTED", counted)
        for call_id, place in places.items():
            told = world.core.explain(call_id, world.clock.monotonic())
            ahead = [each for each in order if 0 <= places.get(each, -1) < told.position]

            assert told.position_is_bound == (place >= counted)
            assert told.position == min(place, counted)
            assert told.waiting == len(places) > told.position
            assert [each.call_id for each in told.ahead] == ahead[:10]
    world.service.close()


def paged(service: SchedulerService, viewer: Viewer, size: int) -> list[str]:
    """Read a list page by page."""
    found: list[str] = []
    after: Place | None = None
    while rows := service.queue(viewer, after, size):
        found += [each.id for _, each in rows]
        after = (rows[-1][1].arrived_at, rows[-1][1].id)
    return found


def steps_of(work: Callable[[], object]) -> int:
    """Count the lines of Python that run, and every turn of a loop as one."""
    count = 0

    def trace(_frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("policy", PolicyRegistry().names)
async def test_cancelling_and_looking_up_cost_no_more_beside_a_long_queue(policy: str) -> None:
    taken = []
    for waiting in (60, 960):
        world = World(policy)
        for number in range(waiting):
            world.submit(number, "acme", "root", arrived_at=world.clock.monotonic())
        viewer, chosen = Viewer("acme", ""), f"acme/root/c{waiting // 2}"

        def ask(at: World = world, viewer: Viewer = viewer, chosen: str = chosen) -> None:
            at.service.queue(viewer, None, 10)
            at.service.entry(chosen, viewer)
            with contextlib.suppress(SyscallNotFound):
                at.service.cancel("acme/root/none", viewer)
            at.service.cancel(chosen, viewer)

        taken.append(steps_of(ask))
        world.service.close()

    assert taken[1] < 2 * taken[0]


async def test_pages_skip_and_repeat_no_call_that_stays_while_others_come_and_go() -> None:
    world = World("fifo")
    now = world.clock.monotonic()
    for number in range(40):
        world.submit(number, "acme", "other", arrived_at=now - 10 + number // 4)
    seen: list[str] = []
    after: Place | None = None
    gone, viewer = set(), Viewer("acme", "")
    for number in range(40, 70):
        rows = world.service.queue(viewer, after, 2)
        if not rows:
            break
        seen += [each.id for _, each in rows]
        after = (rows[-1][1].arrived_at, rows[-1][1].id)
        leaving = seen[-1] if number % 2 else f"acme/other/c{(number * 7) % 40}"
        gone.add(leaving)
        world.service.take(Cancelled(leaving))
        world.submit(number, "acme", "other", arrived_at=now - 10 + number % 10)
    stayed = {f"acme/other/c{number}" for number in range(40)} - gone

    assert len(seen) == len(set(seen))
    assert stayed <= set(seen)
    world.service.close()


async def test_a_call_that_is_submitted_again_keeps_its_place() -> None:
    world = World("fifo")
    now = world.clock.monotonic()
    for number in range(3):
        world.submit(number, "acme", "other", arrived_at=now - 5 + number)
    world.submit(0, "acme", "other", arrived_at=now)

    assert paged(world.service, Viewer("acme", ""), 1) == [f"acme/other/c{number}" for number in range(3)]
    world.service.close()


def test_what_has_left_leaves_nothing_behind_in_the_lists() -> None:
    listing = CallListing()
    made = [call(f"c{n}", tenant="acme", agent=f"a{n % 7}", agent_path=("root",)) for n in range(50)]
    for each in made:
        listing.add(each)
    for each in made:
        listing.discard(each.id)
        listing.discard(each.id)

    assert (len(listing), listing._orders, listing._agents) == (0, {}, {})


def test_a_scope_sees_its_own_tenant_only_though_agents_have_the_same_name() -> None:
    listing = CallListing()
    for tenant in ("acme", "globex"):
        listing.add(call(f"{tenant}/c", tenant=tenant, agent="planner"))

    assert [each.id for each in listing.page(("acme", "planner"), None, None)] == ["acme/c"]
    assert [each.id for each in listing.page(("globex", ""), None, None)] == ["globex/c"]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=200),
    st.integers(0, 60),
)
def test_a_listing_is_in_the_order_of_arrival_whatever_came_and_went(
    steps: list[tuple[bool, int]], mark: int
) -> None:
    listing, shown = CallListing(), dict[str, float]()
    for adds, number in steps:
        if adds:
            listing.add(call(f"c{number}", tenant="acme", agent="planner", arrived_at=float(number % 7)))
            shown.setdefault(f"c{number}", float(number % 7))
        else:
            listing.discard(f"c{number}")
            shown.pop(f"c{number}", None)
    order = sorted((at, name) for name, at in shown.items())
    beyond = (float(mark % 7), f"c{mark}")

    assert [each.id for each in listing.page(("acme", ""), None, None)] == [name for _, name in order]
    assert [each.id for each in listing.page(("acme", "planner"), beyond, 5)] == [
        name for at, name in order if (at, name) > beyond
    ][:5]
    assert len(listing) == len(shown)
