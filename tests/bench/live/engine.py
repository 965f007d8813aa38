"""The same comparison on a real engine: tgi-local with the demo model, small."""

from collections.abc import Sequence
from typing import Any, Final

from tests.bench.live.clients import DirectAgents, KernelAgents, Wording, play
from tests.bench.live.plays import summary
from tests.bench.live.policies import Choice
from tests.bench.live.world import agents_of
from tests.bench.overhead.world import Kernel, kernel
from tests.bench.sched.prefix_cache import Block
from tests.bench.sched.workloads import Program, Step

STEPS: Final = 3
SHORT, LONG = 24, 400
"""Answers of most agents and of every fourth. Unit: tokens."""

_SENTENCE: Final = "Agent {name} asks: what is {first} plus {second}, and which files hold it? "


def _prompt(step: Step) -> list[str]:
    name = step.blocks[0].key
    number = sum(map(ord, name))
    return [_SENTENCE.format(name=name, first=number % 97, second=number % 89) * 2]


WORDING: Final = Wording(_prompt, lambda step: step.output, chat=False)


def agents(count: int) -> list[Program]:
    """Return agents that start at once: three of four ask for short answers, the fourth for long ones."""
    return [
        Program(
            f"agent-{number}",
            0.0,
            tuple(
                Step((Block(f"{number}-{index}", 1),), LONG if number % 4 == 0 else SHORT)
                for index in range(STEPS)
            ),
            "long" if number % 4 == 0 else "short",
        )
        for number in range(count)
    ]


async def compare_on_engine(count: int, choices: Sequence[Choice]) -> dict[str, Any]:
    """Play the agents straight at the engine and under every policy."""
    rows: list[dict[str, Any]] = []
    for choice in choices:
        async with kernel() as running:
            if not rows:
                rows.append({"name": "direct", "live": await _direct(running, count)})
            async with agents_of(running, WORDING) as connected:
                rows.append({"name": choice.name, "live": await _through(connected, count, choice)})
    return {"programs": count, "rows": rows}


async def _direct(running: Kernel, count: int) -> dict[str, float]:
    (backend,) = [plan for plan in running.plan.processes() if plan.name == "tgi-local"]
    port = next(iter(backend.ports))
    direct = DirectAgents(f"http://127.0.0.1:{port}", WORDING)
    await play(agents(2), direct)  # warms the engine up
    found = summary(await play(agents(count), direct), 1.0)
    await direct.close()
    return found


async def _through(connected: KernelAgents, count: int, choice: Choice) -> dict[str, float]:
    await connected.use(choice.policy, choice.params)
    programs = agents(count)
    await connected.register(programs)
    await play(programs[:2], connected)
    return summary(await play(programs, connected), 1.0)
