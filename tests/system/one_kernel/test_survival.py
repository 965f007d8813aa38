"""Any process may be killed while agents work: nothing acknowledged is lost, and the agents finish."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from aios.kernel import Kernel
from aios.types.llm import Message
from tests.system.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="package")]

VICTIMS = ["memory", "storage", "context", "tool", "access", "scheduler", "tgi-local", "gateway"]
AGENTS = 4
ROUNDS = 4


@dataclass
class Journal:
    """What one agent was told is done."""

    notes: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    messages: int = 0
    answers: int = 0
    sums: int = 0


async def work(agent: Kernel, journal: Journal, label: str) -> None:
    """Do some of everything, keeping track of what was acknowledged."""
    context = f"talk-{label}"
    await agent.contexts.create(context)
    for number in range(ROUNDS):
        key, value = f"{label}-{number}", f"value {label} {number}"
        await agent.memory.put(key, value)
        journal.notes[key] = value
        await agent.files.write(f"{label}/{number}.txt", value)
        journal.files[f"{label}/{number}.txt"] = value
        await agent.contexts.append(context, [_said(value)])
        journal.messages += 1
        result = await agent.tools.call("calculator", {"expression": f"{number}+40"})
        journal.sums += int(result.value["result"] == number + 40)
        answer = await agent.llm.chat(value, max_tokens=12)
        journal.answers += int(answer.finish_reason in {"length", "stop"})


async def test_every_process_can_be_killed_while_agents_work(kernel: Cluster) -> None:
    rng = random.Random(1)  # noqa: S311 - reproducible times
    async with kernel.admin() as admin:
        agents = [await kernel.agent(admin, f"survivor{number}") for number in range(AGENTS)]
        for victim in VICTIMS:
            await _survives(kernel, agents, victim, rng.uniform(0.1, 0.4))


async def _survives(kernel: Cluster, agents: list[Kernel], victim: str, moment: float) -> None:
    journals = [Journal() for _ in agents]
    working = [
        asyncio.create_task(work(agent, journal, victim))
        for agent, journal in zip(agents, journals, strict=True)
    ]
    await asyncio.sleep(moment)
    kernel.kill(victim)
    await asyncio.gather(*working)
    await kernel.restarted(victim)

    for agent, journal in zip(agents, journals, strict=True):
        assert (journal.answers, journal.sums) == (ROUNDS, ROUNDS), victim
        notes = {key: (await agent.memory.get(key)).content for key in journal.notes}
        assert notes == journal.notes, victim
        files = {path: await agent.files.read_text(path) for path in journal.files}
        assert files == journal.files, victim
        messages = await agent.contexts.messages(f"talk-{victim}")
        assert len(messages) == journal.messages, victim


def _said(text: str) -> Message:
    return Message("user", text)
