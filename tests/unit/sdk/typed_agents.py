"""What type checkers make of agents. Nothing here is run: `make check` reads it."""

from dataclasses import dataclass
from typing import TypedDict, assert_type

import aios
from aios.agent import RunEnded
from aios.kernel import Kernel
from aios.sync import SyncKernel


@dataclass
class Bank:
    balance: float


@dataclass
class City:
    name: str
    people: int


class Trip(TypedDict):
    to: str


@aios.tool
def balance(ctx: aios.RunContext[Bank]) -> float:
    """Tell the balance."""
    return assert_type(ctx.deps.balance, float)


class Plain(aios.Agent):
    tools = (balance, "remember")


class Clerk(aios.Agent[Bank, City]):
    tools = (balance,)
    handoffs = (Plain,)


class Planner(aios.Agent[None, list[Trip] | None]):
    pass


async def outputs(kernel: Kernel) -> None:
    assert_type((await Plain(kernel).run("x")).output, str)
    assert_type((await Clerk(kernel).run("x", deps=Bank(1.0))).output, City)
    assert_type((await Planner(kernel).run("x")).output, list[Trip] | None)
    assert_type((await aios.Agent(kernel, system="hello").run("x")).output, str)
    assert_type((await aios.Agent(kernel, output_type=City).run("x")).output, City)
    assert_type((await aios.Agent(kernel, output_type=list[City]).run("x")).output, list[City])
    assert_type((await aios.Agent[Bank, int | None](kernel).run("x", deps=Bank(1.0))).output, int | None)
    history = (await Plain(kernel).run("x")).messages
    assert_type((await Plain(kernel).run("y", history=history)).new_messages, tuple[aios.Message, ...])


async def streams(kernel: Kernel) -> None:
    async with Clerk(kernel).stream("x", deps=Bank(1.0)) as stream:
        async for event in stream:
            if isinstance(event, RunEnded):
                event.result.raise_nothing()  # type: ignore[attr-defined]  # a result has no such method
        assert_type((await stream.result()).output, City)


def without_a_loop(kernel: SyncKernel) -> None:
    assert_type(Clerk(kernel).run_sync("x", deps=Bank(1.0)).output, City)
    assert_type(Plain(kernel).stream_sync("x").result().output, str)


async def refused(kernel: Kernel) -> None:
    await Clerk(kernel).run("x", deps="money")  # type: ignore[arg-type]  # not a Bank
    wrong: int = (await Clerk(kernel).run("x", deps=Bank(1.0))).output  # type: ignore[assignment]  # a City
    assert wrong
    assert (await Clerk(kernel).run("x")).output.postcode  # type: ignore[attr-defined]  # it has none
    aios.Agent(kernel, tools=[7])  # type: ignore[list-item]  # no tool
