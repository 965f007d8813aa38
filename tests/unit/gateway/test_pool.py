"""Which replicas are up, and who is asked to render a prompt."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import BackendFailed, BackendRefused, ModelNotFound
from gateway.inference.core.circuit import CircuitConfig, CircuitState
from gateway.inference.core.culprits import Work
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendStalled,
    BackendUnavailable,
    BackendUnreachable,
)
from gateway.inference.model import ReplicaInfo
from gateway.inference.service.replicas import PoolConfig, ReplicaPool
from services.chassis.chat import ChatMessage, Role
from services.chassis.dispatch.errors import NoBackend
from services.chassis.runtime.clock import SystemClock
from tests.fakes.backend import PLAIN, FakeBackend
from tests.fakes.waiting import until

QUICK = PoolConfig(healthy_interval=0.01, first_retry=0.005, longest_retry=0.02, probe_timeout=5.0)
HELLO = [ChatMessage(Role.USER, "hello")]
WORK = Work(b"", "tree")


class Watched:
    """A pool whose replicas are watched, and what it announced."""

    def __init__(self, *backends: FakeBackend, config: PoolConfig = QUICK) -> None:
        self.announced: list[tuple[str, bool]] = []
        self.slots: list[int] = []
        self.queues: list[int | None] = []
        self.infos: list[ReplicaInfo] = []
        self._backends = backends
        self.pool = ReplicaPool(backends, self._announce, config, SystemClock())

    def probes(self) -> int:
        """How often the first replica was probed."""
        return self._backends[0].probes

    def _announce(self, name: str, info: ReplicaInfo, up: bool, queue: int | None) -> None:  # noqa: FBT001 - the pool's signature
        assert info.model
        self.announced.append((name, up))
        self.slots.append(info.slots)
        self.queues.append(queue)
        self.infos.append(info)


@asynccontextmanager
async def watched(*backends: FakeBackend, config: PoolConfig = QUICK) -> AsyncIterator[Watched]:
    """Watch replicas for the length of a block."""
    made = Watched(*backends, config=config)
    tasks = [asyncio.create_task(made.pool.watch(name)) for name in made.pool.names]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_replica_is_announced_as_it_comes_and_goes() -> None:
    backend = FakeBackend()
    async with watched(backend) as made:
        await until(lambda: made.announced == [("r0", True)])
        backend.up = False
        await until(lambda: made.announced[-1] == ("r0", False))
        gone = made.pool.live()
        backend.up = True
        await until(lambda: made.announced == [("r0", True), ("r0", False), ("r0", True)])

        assert gone == []
        assert [each.backend.name for each in made.pool.live()] == ["r0"]


async def test_a_replica_that_never_answered_is_not_announced() -> None:
    backend = FakeBackend()
    backend.broken = BackendUnavailable("refused")
    async with watched(backend) as made:
        await until(lambda: made.pool.failures() == {"r0": "refused"})

        assert made.announced == []


async def test_what_a_replica_holds_is_read_again_when_it_comes_back() -> None:
    backend = FakeBackend()
    async with watched(backend) as made:
        await until(lambda: bool(made.pool.live()))
        backend.up = False
        await until(lambda: not made.pool.live())
        backend.details = replace(PLAIN, slots=9)
        backend.up = True
        await until(lambda: bool(made.pool.live()))

        assert made.pool.live()[0].info.slots == 9


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"max_total_tokens": 250}, {"slots": 9}, {"revision": "2"}]
)
async def test_a_server_that_restarts_between_two_probes_as_another_is_noticed(
    change: dict[str, Any],
) -> None:
    backend = FakeBackend()
    async with watched(backend) as made:
        await until(lambda: bool(made.pool.live()))
        backend.details = replace(PLAIN, **change)
        told, probes = len(made.announced), backend.probes
        await until(lambda: backend.probes >= probes + 2)

        assert made.pool.info("r0") == backend.details
        assert made.announced[told:] == [("r0", True)]
        assert made.infos[-1] == backend.details


async def test_a_model_that_is_no_longer_served_is_unknown_and_the_new_one_is_found() -> None:
    backend = FakeBackend()
    async with watched(backend) as made:
        await until(lambda: bool(made.pool.live()))
        backend.details = replace(PLAIN, model="other")
        await until(lambda: made.infos[-1].model == "other")

        assert (await made.pool.ready("", 1.0)).info.model == "other"
        with pytest.raises(ModelNotFound):
            await made.pool.ready("m", 1.0)


async def test_a_replica_that_is_asked_anew_tells_of_a_change_at_once() -> None:
    backend = FakeBackend()
    async with watched(backend, config=replace(QUICK, healthy_interval=60.0)) as made:
        await until(lambda: bool(made.pool.live()))
        waiting = asyncio.create_task(made.pool.replaced("r0", PLAIN))
        backend.details = replace(PLAIN, model="other")
        told = await made.pool.identify("r0")
        await waiting
        backend.broken = BackendUnavailable("gone")

        assert told == backend.details
        assert [info.model for info in made.infos] == ["m", "other"]
        assert await made.pool.identify("r0") is None


async def test_a_suspect_is_out_at_once_and_back_after_a_good_probe() -> None:
    backend, other = FakeBackend(), FakeBackend("r1")
    async with watched(backend, other, config=replace(QUICK, healthy_interval=60.0)) as made:
        await until(lambda: len(made.pool.live()) == 2)
        probes, told = backend.probes, len(made.announced)
        made.pool.failed("r0", BackendUnavailable("it broke off"), "tree")
        out = made.pool.live()
        await until(lambda: len(made.pool.live()) == 2)

        assert [each.backend.name for each in out] == ["r1"]
        assert backend.probes == probes + 1
        assert made.announced[told:] == [("r0", False), ("r0", True)]


async def test_the_only_replica_of_a_model_is_probed_before_a_failure_takes_it_from_others() -> None:
    backend, other = FakeBackend(), FakeBackend("r1", info=replace(PLAIN, model="other"))
    async with watched(backend, other, config=replace(QUICK, healthy_interval=60.0)) as made:
        await until(lambda: len(made.pool.live()) == 2)
        probes, told = backend.probes, len(made.announced)
        made.pool.failed("r0", BackendUnavailable("it broke off"), "tree")
        await until(lambda: backend.probes == probes + 1)
        well = made.announced[told:]
        backend.up = False
        made.pool.failed("r0", BackendUnavailable("it broke off"), "tree")
        await until(lambda: len(made.pool.live()) == 1)

        assert well == []
        assert made.announced[told:] == [("r0", False)]


async def test_a_replica_that_does_not_answer_in_time_is_down() -> None:
    class Silent(FakeBackend):
        async def healthy(self) -> bool:
            self.probes += 1
            await asyncio.sleep(60)
            return True

    backend = Silent()
    async with watched(backend, config=replace(QUICK, probe_timeout=0.01)) as made:
        await until(lambda: backend.probes >= 2)

        assert made.pool.failures() == {"r0": "no answer in time"}


async def test_a_call_waits_for_a_replica_to_come_up() -> None:
    backend = FakeBackend()
    backend.up = False
    async with watched(backend) as made:
        waiting = asyncio.create_task(made.pool.ready("m", 10.0))
        await until(lambda: backend.probes >= 2)
        early = waiting.done()
        backend.up = True

        assert (await waiting).info.model == "m"
        assert not early


@pytest.mark.parametrize("model", ["", "m"])
async def test_a_call_that_waits_too_long_is_told_that_no_backend_is_up(model: str) -> None:
    made = Watched(FakeBackend())
    with pytest.raises(NoBackend) as failure:
        await made.pool.ready(model, 0.01)

    assert failure.value.retry_after


async def test_a_known_model_whose_replicas_are_all_down_is_no_unknown_model() -> None:
    backend = FakeBackend()
    async with watched(backend) as made:
        await until(lambda: bool(made.pool.live()))
        backend.up = False
        await until(lambda: not made.pool.live())
        with pytest.raises(NoBackend):
            await made.pool.ready("m", 0.01)
        with pytest.raises(ModelNotFound, match="served: m"):
            await made.pool.ready("other", 0.01)
        assert made.pool.known_models() == {"m"}


async def test_calls_are_spread_over_the_replicas_of_a_model() -> None:
    other = FakeBackend("r2", info=replace(PLAIN, model="other"))
    async with watched(FakeBackend("r0"), FakeBackend("r1"), other) as made:
        await until(lambda: len(made.pool.live()) == 3)
        names = [(await made.pool.ready("m", 1.0)).backend.name for _ in range(6)]

        assert sorted(names) == ["r0"] * 3 + ["r1"] * 3
        assert made.pool.default_model() == "m"


async def test_another_replica_renders_when_the_first_one_fails() -> None:
    first, second = FakeBackend("r0"), FakeBackend("r1")
    async with watched(first, second, config=replace(QUICK, healthy_interval=60.0)) as made:
        await until(lambda: len(made.pool.live()) == 2)
        live = next(each for each in made.pool.live() if each.backend.name == "r0")
        first.broken = BackendStalled("nothing came")
        prompt = await made.pool.render(live, HELLO, work=WORK)

        assert prompt.token_count == 2
        assert [each.backend.name for each in made.pool.live()] == ["r1"]
        assert made.pool.failures() == {"r0": "nothing came"}


async def test_a_prompt_that_no_replica_can_read_is_a_failure_of_the_backend() -> None:
    first, second = FakeBackend("r0"), FakeBackend("r1")
    async with watched(first, second) as made:
        await until(lambda: len(made.pool.live()) == 2)
        live = made.pool.live()[0]
        first.broken = second.broken = BackendUnavailable("gone")
        with pytest.raises(BackendFailed):
            await made.pool.measure(live, "text", work=WORK)


async def test_a_prompt_that_the_backend_refuses_is_not_tried_elsewhere() -> None:
    first, second = FakeBackend("r0"), FakeBackend("r1")
    async with watched(first, second, config=replace(QUICK, healthy_interval=60.0)) as made:
        await until(lambda: len(made.pool.live()) == 2)
        live = next(each for each in made.pool.live() if each.backend.name == "r0")
        first.broken = BackendInvalid("bad roles")
        with pytest.raises(BackendRefused, match="bad roles"):
            await made.pool.render(live, HELLO, work=WORK)

        assert len(made.pool.live()) == 2


async def test_closing_the_pool_closes_every_backend() -> None:
    backends = [FakeBackend("r0"), FakeBackend("r1")]
    await Watched(*backends).pool.close()

    assert all(backend.closed for backend in backends)


async def back(made: Watched, error: BackendError, source: str) -> bool:
    """Let the replica fail a call of a tree; tells whether the next probes bring it back."""
    probes = made.probes()
    made.pool.failed("r0", error, source)
    await until(lambda: made.probes() >= probes + 2)
    return bool(made.pool.live())


SLOW_CIRCUIT = replace(QUICK, circuit=CircuitConfig(first_pause=60.0, quarantine=60.0))
FAST_CIRCUIT = replace(QUICK, circuit=CircuitConfig(first_pause=0.01, longest_pause=0.05, quarantine=0.01))


async def test_a_replica_that_probes_well_but_fails_every_call_stays_out() -> None:
    async with watched(FakeBackend(), config=SLOW_CIRCUIT) as made:
        await until(lambda: bool(made.pool.live()))
        returns = [await back(made, BackendUnavailable("broke off"), source) for source in "abab"]

        assert returns == [True, True, True, False]
        assert made.pool.circuit("r0") is CircuitState.OPEN
        assert made.pool.failures() == {"r0": "broke off"}


async def test_odd_answers_to_several_trees_quarantine_a_replica() -> None:
    async with watched(FakeBackend(), config=SLOW_CIRCUIT) as made:
        await until(lambda: bool(made.pool.live()))
        returns = [await back(made, BackendBroken("no JSON"), source) for source in "abab"]

        assert returns == [True, True, True, False]


@pytest.mark.parametrize("error", [BackendBroken("no JSON"), BackendInvalid("no")])
async def test_odd_answers_and_refusals_to_one_tree_never_take_a_replica_out(error: BackendError) -> None:
    async with watched(FakeBackend(), FakeBackend("r1"), config=SLOW_CIRCUIT) as made:
        await until(lambda: len(made.pool.live()) == 2)
        for _ in range(50):
            made.pool.failed("r0", error, "hostile")

        assert sorted(made.announced) == [("r0", True), ("r1", True)]
        assert made.pool.circuit("r0") is CircuitState.CLOSED


async def test_one_tree_takes_a_replica_out_for_a_probe_once_in_a_while_and_nobody_listening_always() -> None:
    seldom = replace(QUICK, healthy_interval=60.0, circuit=CircuitConfig(doubt_interval=3600.0))
    async with watched(FakeBackend(), FakeBackend("r1"), config=seldom) as made:
        await until(lambda: len(made.pool.live()) == 2)
        for _ in range(20):
            probes = made.probes()
            made.pool.failed("r0", BackendUnavailable("status 500"), "hostile")
            await until(lambda: made.probes() > probes)  # noqa: B023 - awaited at once
            await until(lambda: len(made.pool.live()) == 2)
        told = list(made.announced)
        made.pool.failed("r0", BackendUnreachable("refused"), "hostile")

        assert told.count(("r0", False)) == 1
        assert [each.backend.name for each in made.pool.live()] == ["r1"]
        assert made.pool.circuit("r0") is CircuitState.CLOSED


async def test_a_replica_that_is_asked_anew_and_answers_badly_is_out_at_once() -> None:
    backend = FakeBackend()
    async with watched(backend, config=replace(QUICK, healthy_interval=60.0)) as made:
        await until(lambda: bool(made.pool.live()))
        backend.broken = BackendBroken("status 401")

        assert await made.pool.identify("r0") is None
        assert made.pool.live() == []
        assert made.pool.failures() == {"r0": "status 401"}


async def test_calls_that_break_together_are_one_failure() -> None:
    async with watched(FakeBackend(), config=SLOW_CIRCUIT) as made:
        await until(lambda: bool(made.pool.live()))
        for _ in range(64):
            made.pool.failed("r0", BackendUnavailable("broke off"), "ab"[_ % 2])
        await until(lambda: bool(made.pool.live()))

        assert made.pool.circuit("r0") is CircuitState.CLOSED


async def test_a_replica_on_trial_gets_one_call_at_a_time_until_one_succeeds() -> None:
    async with watched(FakeBackend(), config=FAST_CIRCUIT) as made:
        await until(lambda: bool(made.pool.live()))
        for source in "abab":
            made.pool.failed("r0", BackendBroken("no JSON"), source)
        await until(lambda: bool(made.pool.live()))
        trial = (made.pool.circuit("r0"), made.slots[-1])
        made.pool.succeeded("r0", "tree")

        assert trial == (CircuitState.HALF_OPEN, 1)
        assert (made.pool.circuit("r0"), made.slots[-1]) == (CircuitState.CLOSED, PLAIN.slots)
        assert made.announced[-1] == ("r0", True)


async def test_a_success_of_a_replica_in_good_standing_announces_nothing() -> None:
    async with watched(FakeBackend(), config=replace(QUICK, healthy_interval=60.0)) as made:
        await until(lambda: bool(made.pool.live()))
        made.pool.succeeded("r0", "tree")

        assert made.announced == [("r0", True)]


async def test_the_backends_own_queue_is_told_while_there_is_one_and_once_when_it_is_gone() -> None:
    backend = FakeBackend()
    backend.waiting = 3
    async with watched(backend) as made:
        await until(lambda: len(made.queues) >= 3)
        backend.waiting = 0
        await until(lambda: made.queues[-1] == 0)
        told, probes = len(made.queues), backend.probes
        await until(lambda: backend.probes >= probes + 3)

        assert made.queues[:3] == [3, 3, 3]
        assert len(made.queues) == told


async def test_a_backend_that_tells_no_queue_is_announced_once() -> None:
    backend = FakeBackend()
    async with watched(backend) as made:
        await until(lambda: backend.probes >= 4)

        assert made.queues == [None]
