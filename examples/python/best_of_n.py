"""Best of n, and planning over branches: both keep the way on that a scorer likes best.

Run it beside `aios up`: `python examples/python/best_of_n.py`.
"""

import asyncio
from collections.abc import Sequence

import aios
from aios.types.llm import Message


def brevity(answer: aios.Answer) -> float:
    """Like short answers, but not empty ones."""
    words = len(answer.text.split())
    return -words if words else float("-inf")


def progress(answers: Sequence[aios.Answer]) -> float:
    """Like plans whose steps differ from one another."""
    return len({answer.text for answer in answers})


async def main() -> None:
    """Ask once in four ways, then plan three steps ahead."""
    async with aios.connect() as kernel:
        agent = kernel.as_agent(await kernel.agents.register(kind="example"))
        question = [Message("user", "What is the capital of France?")]
        await agent.contexts.create("question", question)

        best = await agent.branches.best_of("question", 4, brevity, max_tokens=32)
        print("best of 4:", best.answer.text)

        path = await agent.branches.plan("question", progress, breadth=2, beam=2, depth=3, max_tokens=24)
        print("plan of", len(path.answers), "steps, kept as", path.context)
        for step in path.answers:
            print("-", step.text)


if __name__ == "__main__":
    asyncio.run(main())
