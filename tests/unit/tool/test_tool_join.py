"""A request that is sent again at any moment of the first one's life."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.joinable import RunRegistry
from services.chassis.rpc.errors import ServiceUnavailable
from services.chassis.runtime.clock import SystemClock
from services.tool.model import Accepted, CallState, Driver, DriverKind, Effect, Progress, Tool, ToolCall
from services.tool.ports import Transaction
from services.tool.service.call_run import CallRun, Stop
from tests.fakes.stores.tool import InMemoryStore
from tests.fakes.tool import ScriptedBuiltins, tool_service
from tests.unit.tool.test_tool_queue import PLANNER, World

T = TypeVar("T")

REPEATABLE = [effect for effect in Effect if effect.repeatable]


async def turns(count: int) -> None:
    """Let everything else take some steps."""
    for _ in range(count):
        await asyncio.sleep(0)


class SlowStore(InMemoryStore):
    """A ledger whose writes take some turns of the loop to be told, as those on a disk do."""

    def __init__(self, pause: int) -> None:
        super().__init__()
        self.pause = pause

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Write, and tell so after a while."""
        done = await super().write(scope, work)
        await turns(self.pause)
        return done


class SteppingTool:
    """A built-in function that takes some turns of the loop; counts how often it ran to its end."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.begun = self.ended = self.inside = self.most_inside = 0

    async def __call__(self, _arguments: Mapping[str, Any]) -> Any:
        """Run."""
        self.begun += 1
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await turns(self.steps)
        finally:
            self.inside -= 1
        self.ended += 1
        return {"result": self.ended}


async def stepping_world(effect: Effect, *, pause: int, steps: int) -> tuple[World, SteppingTool]:
    world, work = World(), SteppingTool(steps)
    world.service = tool_service(
        clock=SystemClock(),
        store=SlowStore(pause),
        queue=world.queue,
        builtins=ScriptedBuiltins(SystemClock(), slow=work),
    )
    tool = Tool(
        id="write",
        description="x",
        parameters_schema='{"type": "object"}',
        effect=effect,
        driver=Driver(DriverKind.BUILTIN, "slow"),
    )
    await world.service.registry.register(PLANNER, RequestIdentity("planner", "RegisterTool"), tool, "")
    return world, work


@pytest.mark.parametrize("effect", REPEATABLE)
@pytest.mark.parametrize("pause", [0, 1, 5, 100])
async def test_a_request_that_comes_again_after_its_caller_left_is_run_again(
    effect: Effect, pause: int
) -> None:
    world, work = await stepping_world(effect, pause=30, steps=20)
    first = world.start("c1")
    while not work.begun:  # noqa: ASYNC110 - the steps of the loop are what is counted here
        await asyncio.sleep(0)
    first.cancel()  # the connection broke: the only listener leaves
    await asyncio.wait({first})
    await turns(pause)
    again = await world.call("c1")  # the caller sends the same request again

    assert again.state is CallState.SUCCEEDED
    assert (work.ended, work.most_inside) == (1, 1)


async def test_a_call_with_an_effect_that_was_left_while_it_ran_is_not_run_again() -> None:
    world, work = await stepping_world(Effect.REVERSIBLE, pause=30, steps=20)
    first = world.start("c1")
    while not work.begun:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    again = await world.call("c1")

    assert (again.state, again.attempts) == (CallState.UNKNOWN, 1)
    assert work.begun == 1


async def test_who_comes_while_another_listens_joins_the_run_although_the_first_left() -> None:
    world, work = await stepping_world(Effect.REVERSIBLE, pause=30, steps=20)
    first, second = world.start("c1"), world.start("c1")
    while not work.begun:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    first.cancel()
    third = world.start("c1")
    ended = await asyncio.gather(second, third)

    assert [call.state for call in ended] == [CallState.SUCCEEDED] * 2
    assert work.begun == 1


async def test_a_call_that_is_stopped_before_its_first_step_leaves_nobody_waiting() -> None:
    registry: RunRegistry[CallRun] = RunRegistry()
    call = ToolCall(
        id="c1", tool="write", arguments_sha256="", effect=Effect.PURE, created_at=SystemClock().now()
    )
    run = CallRun(PLANNER, Tool(id="write"), call, "{}")
    registry.begin(run, turns(1), "call c1")
    run.stop(Stop.SHUTDOWN)
    with pytest.raises(ServiceUnavailable):
        await run.ended()


async def _repeats(world: World, leaves: list[int]) -> list[ToolCall | None]:
    """Send one request again and again, each time leaving after some turns; the last one stays.

    Returns what those who did not leave in time were answered.
    """
    answers: list[ToolCall | None] = []
    for after in leaves:
        asked = world.start("c1")
        await turns(after)
        asked.cancel()
        (answer,) = await asyncio.gather(asked, return_exceptions=True)
        answers.append(answer if isinstance(answer, ToolCall) else None)
    answers.append(await world.call("c1"))
    return answers


@settings(max_examples=150, deadline=None)
@given(
    effect=st.sampled_from(list(Effect)),
    pause=st.integers(0, 30),
    steps=st.integers(0, 12),
    leaves=st.lists(st.integers(0, 120), min_size=1, max_size=6),
)
async def test_at_any_moment_a_repeat_joins_gets_the_same_answer_or_runs_anew(
    effect: Effect, pause: int, steps: int, leaves: list[int]
) -> None:
    if effect is Effect.IRREVERSIBLE:
        effect = Effect.REVERSIBLE  # the same to the ledger, without an approval
    world, work = await stepping_world(effect, pause=pause, steps=steps)
    answers = await _repeats(world, leaves)
    last = answers[-1]
    assert last is not None
    await world.service.calls.stop()
    await world.queue.close()

    assert work.most_inside <= 1
    assert {answer.result_json for answer in answers if answer is not None} == {last.result_json}
    if effect.repeatable:
        assert last.state is CallState.SUCCEEDED
    else:
        assert work.begun <= 1
        assert last.state is CallState.SUCCEEDED or (last.state, last.attempts) == (CallState.UNKNOWN, 1)
    assert world.service.calls.under_way(PLANNER) == 0


async def test_what_is_told_while_a_listener_takes_the_event_before_is_heard_too() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    asked = ToolCall(id="c", tool="job", arguments_sha256="", effect=Effect.PURE, created_at=now)
    run = CallRun(Scope("acme", "planner"), Tool(id="job"), asked, "{}")
    run.accept(joined=False)
    run.publish(Progress(message="first"))
    heard = run.follow(joined=False)
    assert isinstance(await anext(heard), Accepted)
    assert await anext(heard) == Progress(message="first")
    run.publish(Progress(message="second"))
    assert await anext(heard) == Progress(message="second")
    run.publish(Progress(message="last"))
    run.finish(asked)

    assert [event async for event in heard] == [Progress(message="last"), asked]
