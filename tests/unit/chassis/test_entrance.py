"""What comes in is let in a few at a time, by turns of those it is for."""

import asyncio
from collections import Counter

from services.chassis.entrance import Entrance
from tests.fakes.waiting import until


async def turn_of_the_loop() -> None:
    """Let everything that is ready have its step."""
    await asyncio.sleep(0)


def come(
    entrance: Entrance, inside: list[str], name: str, *, tree: str = "", tenant: str = "acme"
) -> "asyncio.Task[None]":
    """Have somebody come in."""

    async def enter() -> None:
        await entrance.enter(tenant, tree or name, name)
        inside.append(name)

    return asyncio.create_task(enter())


async def test_nobody_waits_while_few_come() -> None:
    entrance, inside = Entrance(2), list[str]()
    for n in range(10):
        await come(entrance, inside, f"a{n}")
        await turn_of_the_loop()

    assert len(inside) == 10
    assert entrance.waiting == 0


async def test_of_a_burst_a_few_are_let_in_each_turn() -> None:
    entrance, inside = Entrance(2), list[str]()
    for _ in range(100):
        come(entrance, inside, "flood")
    await turn_of_the_loop()
    at_first = len(inside)
    seen = []
    while entrance.waiting:
        before = len(inside)
        await turn_of_the_loop()
        seen.append(len(inside) - before)
    await until(lambda: len(inside) == 100)

    assert at_first == 2
    assert max(seen) <= 2


async def test_one_that_comes_into_a_burst_of_another_is_let_in_next() -> None:
    entrance, inside = Entrance(1), list[str]()
    for _ in range(500):
        come(entrance, inside, "flood")
    await turn_of_the_loop()
    await come(entrance, inside, "other")

    assert Counter(inside)["flood"] <= 5
    await until(lambda: len(inside) == 501)


async def test_children_earn_a_tree_no_turns() -> None:
    entrance, inside = Entrance(1), list[str]()
    for n in range(100):
        come(entrance, inside, f"child{n}", tree="flood")
    await turn_of_the_loop()
    await asyncio.gather(*(come(entrance, inside, "other") for _ in range(10)))

    assert sum(name.startswith("child") for name in inside) <= 15
    await until(lambda: len(inside) == 110)


async def test_who_leaves_while_it_waits_takes_no_turn() -> None:
    entrance, inside = Entrance(1), list[str]()
    tasks = [come(entrance, inside, "a") for _ in range(10)]
    await turn_of_the_loop()
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await come(entrance, inside, "b")

    assert (inside, entrance.waiting) == (["a", "b"], 0)
