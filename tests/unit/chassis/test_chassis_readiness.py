"""What a process says of its readiness, and how long it remembers it."""

from services.chassis.runtime.readiness import Readiness
from tests.fakes.clock import FakeClock


class Dependency:
    """Works or not, and counts how often it was looked at."""

    def __init__(self, problem: str | None) -> None:
        self.problem = problem
        self.looks = 0

    async def check(self) -> str | None:
        """Say what is wrong."""
        self.looks += 1
        return self.problem


async def test_that_all_is_well_is_remembered_for_a_second() -> None:
    """However often a probe asks, a dependency is looked at once a second."""
    clock, store = FakeClock(), Dependency(None)
    readiness = Readiness({"store": store.check}, clock)
    for _ in range(20):
        assert await readiness.failing() == {}
        clock.advance(0.04)
    assert store.looks == 1
    store.problem = "gone"
    clock.advance(0.3)
    assert await readiness.failing() == {"store": "gone"}


async def test_who_waits_for_a_start_hears_of_it_at_once() -> None:
    """What fails is looked at again after a twentieth of a second, and not oftener."""
    clock, store = FakeClock(), Dependency("starting")
    readiness = Readiness({"store": store.check}, clock)
    for _ in range(20):
        assert await readiness.failing() == {"store": "starting"}
    assert store.looks == 1
    store.problem = None
    clock.advance(0.05)
    assert await readiness.failing() == {}


async def test_a_process_that_drains_is_not_ready_whatever_it_remembers() -> None:
    """Draining is told at once."""
    readiness = Readiness({"store": Dependency(None).check}, FakeClock())
    assert await readiness.failing() == {}
    readiness.draining = True
    assert await readiness.failing() == {"process": "draining"}
