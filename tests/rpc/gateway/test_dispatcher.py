"""What the gateway tells the scheduler about generations and replicas."""

from gateway.inference.adapters.dispatcher import InferenceDispatcher
from gateway.inference.model import Capabilities, ReplicaInfo
from services.chassis.dispatch.scheduling import (
    AgentFacts,
    CallKey,
    Gang,
    Hints,
    Prefix,
    SchedulingClass,
    Submission,
)
from services.chassis.runtime.clock import SystemClock
from tests.fakes.dispatch import dispatching, scripted

INFO = ReplicaInfo(
    model="m",
    max_total_tokens=100,
    slots=2,
    max_batch_total_tokens=200,
    capabilities=Capabilities(kv_snapshot=True),
)


async def test_a_replica_is_announced_with_what_it_can_take() -> None:
    scheduler = scripted()
    async with dispatching(scheduler) as client:
        dispatcher = InferenceDispatcher(client)
        dispatcher.announce("r0", INFO, up=True)
        session = await scheduler.session(0)
        (told,) = await session.until("replica")
        dispatcher.announce("r0", INFO, up=True, queue_size=2)
        _, queued = await session.until("replica", 2)

        assert (told.name, told.model, told.up, told.slots) == ("r0", "m", True, 2)
        assert not told.HasField("queue_size")
        assert queued.queue_size == 2
        assert (told.max_batch_total_tokens, told.max_total_tokens, told.kv_snapshot) == (200, 100, True)


async def test_a_generation_is_submitted_with_what_it_needs() -> None:
    scheduler = scripted()
    now = SystemClock().monotonic()
    call = Submission(
        key=CallKey("acme", "planner", "c1"),
        model="m",
        prompt_tokens=10,
        max_new_tokens=20,
        tokens_done=3,
        agent=AgentFacts(
            Hints(SchedulingClass.BATCH, weight=2, priority=-1, max_wait=7.0, deadline=20.0, policy="edf"),
            kind="coder",
            program="root",
            path=("root", "middle"),
            tree_weight=5,
            tenant_weight=3,
        ),
        arrived_at=now,
        deadline=now + 60,
        preemptible=True,
        step=4,
        prefixes=(Prefix("k1", 4), Prefix("k2", 10)),
        gang=Gang("g1", 3),
    )
    async with dispatching(scheduler) as client:
        InferenceDispatcher(client).submit(call)
        (told,) = await (await scheduler.session(0)).until("submit")

        assert (told.tenant, told.agent, told.call) == ("acme", "planner", "c1")
        assert (told.model, told.prompt_tokens, told.max_new_tokens, told.tokens_done) == ("m", 10, 20, 3)
        assert (told.program, told.agent_kind, told.step, told.preemptible) == ("root", "coder", 4, True)
        assert (told.hints.weight, told.hints.priority, told.hints.max_wait.seconds) == (2, -1, 7)
        assert (told.hints.deadline.seconds, told.hints.policy) == (20, "edf")
        assert (list(told.agent_path), told.tree_weight, told.tenant_weight) == (["root", "middle"], 5, 3)
        assert (told.gang, told.gang_size) == ("g1", 3)
        assert [(each.key, each.tokens) for each in told.prefixes] == [("k1", 4), ("k2", 10)]
        assert 0 < told.time_left.seconds <= 60
