"""Turns at a tool: never too many inside, agents in turn, no place lost."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.identity import Scope
from services.tool.core.turns import Turns
from services.tool.errors import ToolBusy

AGENTS = [Scope("acme", name) for name in ("a", "b", "c")]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@given(
    places=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(["enter", "leave", "crash", "give up"]), st.integers(0, 9)), max_size=40
    ),
)
async def test_no_step_loses_a_place_or_lets_too_many_in(places: int, steps: list[tuple[str, int]]) -> None:
    turns, tasks = Turns(places), list[asyncio.Task[None]]()
    inside: dict[asyncio.Task[None], asyncio.Event] = {}

    async def visit(scope: Scope) -> None:
        me = asyncio.current_task()
        assert me is not None
        async with turns.turn(scope, None):
            inside[me] = asyncio.Event()
            try:
                await inside[me].wait()
            finally:
                del inside[me]

    for action, number in steps:
        if action == "enter":
            tasks.append(asyncio.create_task(visit(AGENTS[number % 3])))
        elif action == "leave" and inside:
            list(inside.values())[number % len(inside)].set()
        elif action == "crash" and inside:
            list(inside)[number % len(inside)].cancel()
        elif action == "give up" and tasks:
            tasks[number % len(tasks)].cancel()
        await settle()
        waiting = [task for task in tasks if not task.done() and task not in inside]
        assert len(inside) <= places
        assert len(inside) == places or not waiting
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert turns.idle


async def test_agents_are_served_in_turn_and_the_calls_of_one_in_order() -> None:
    turns, order = Turns(1), list[str]()

    async def visit(scope: Scope, label: str) -> None:
        async with turns.turn(scope, None):
            order.append(label)

    async with turns.turn(AGENTS[0], None):
        wanted = [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("c", 1)]
        tasks = [
            asyncio.create_task(visit(Scope("acme", agent), f"{agent}{number}")) for agent, number in wanted
        ]
        await settle()
    await asyncio.gather(*tasks)

    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_who_waits_too_long_is_told_and_forgotten() -> None:
    turns = Turns(1)
    async with turns.turn(AGENTS[0], None):
        with pytest.raises(ToolBusy) as refusal:
            async with turns.turn(AGENTS[1], 0.0):
                pass

    assert refusal.value.retry_after
    assert turns.idle


async def test_an_agent_has_a_bounded_number_of_calls_waiting() -> None:
    turns = Turns(1)

    async def visit() -> None:
        async with turns.turn(AGENTS[0], None):
            pass

    async with turns.turn(AGENTS[1], None):
        flood = [asyncio.create_task(visit()) for _ in range(300)]
        await settle()
        refused = [task for task in flood if task.done()]
    await asyncio.gather(*flood, return_exceptions=True)

    assert len(refused) == 300 - 256
    assert turns.idle


async def test_more_places_let_those_in_who_wait() -> None:
    turns, entered = Turns(1), asyncio.Event()

    async def visit() -> None:
        async with turns.turn(AGENTS[1], None):
            entered.set()

    async with turns.turn(AGENTS[0], None):
        task = asyncio.create_task(visit())
        await settle()
        turns.resize(2)
        await entered.wait()
        await task

    assert turns.idle
