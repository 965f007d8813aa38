"""A greedy generation is the same, token for token, however often it is interrupted."""

import asyncio
from typing import Any

import pytest

from aios.kernel import Kernel
from aios.types.llm import Answer
from tests.system.cluster import Cluster, cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

TOKENS = 90
WORDS = ["lugame", "piro", "sotevu", "kazido", "mefiba", "noraga", "tepilu", "dovuso", "gakara"]
PROMPTS = [f"Repeat: {' '.join(WORDS[start:] + WORDS[:start])}" for start in (0, 1, 2, 5)]


async def answers(agents: list[Kernel]) -> list[Answer]:
    """Let every agent ask its question at the same time."""
    return await asyncio.gather(
        *(agent.llm.chat(text, max_tokens=TOKENS) for agent, text in zip(agents, PROMPTS, strict=True))
    )


async def test_preempted_generations_equal_the_uninterrupted_ones() -> None:
    extra = {
        "AIOS_TGI_LOCAL_SLOTS": "2",
        "AIOS_SCHEDULER_POLICY": "rr",
        "AIOS_SCHEDULER_QUANTUM_TOKENS": "16",
    }
    async with cluster(extra=extra) as kernel, kernel.admin() as admin:
        agents = [await kernel.agent(admin, f"a{number}") for number in range(len(PROMPTS))]
        whole = [
            await agent.llm.chat(text, max_tokens=TOKENS) for agent, text in zip(agents, PROMPTS, strict=True)
        ]
        preempted = 0
        for _ in range(4):
            again = await answers(agents)
            preempted += sum(answer.timings.preemption_count for answer in again)

            assert [answer.text for answer in again] == [answer.text for answer in whole]
            assert [answer.usage for answer in again] == [answer.usage for answer in whole]
        assert preempted > 0


async def test_a_crash_at_any_point_leaves_the_answer_as_it_was() -> None:
    async with cluster(extra={"AIOS_TGI_LOCAL_SLOTS": "2"}) as kernel, kernel.admin() as admin:
        agent = await kernel.agent(admin, "reader")
        whole = await agent.llm.chat(PROMPTS[0], max_tokens=TOKENS)
        length = whole.usage.completion_tokens
        cuts = {"gateway": (1, length // 4, length // 2, length - 5), "scheduler": (2, length // 2)}
        for victim, moments in {**cuts, "tgi-local": (1, length // 3)}.items():
            for times, cut in enumerate(moments, start=1):
                text, sequence = await _interrupted(kernel, agent, victim, cut)

                assert text == whole.text, f"{victim} killed after {cut} tokens"
                assert sequence == length
                await kernel.restarted(victim, times)


async def _interrupted(kernel: Cluster, agent: Kernel, victim: str, cut: int) -> tuple[str, int]:
    """Stream an answer and kill a process once `cut` tokens have come; returns the text and its length."""
    killed, text, sequence = False, "", 0
    async with agent.llm.stream(PROMPTS[0], max_tokens=TOKENS) as stream:
        async for event in stream:
            text += event.text
            sequence = event.sequence
            if sequence >= cut and not killed:
                kernel.kill(victim)
                killed = True
    answer: Any = await stream.answer()
    assert answer.text == text
    return text, sequence
