"""A Microsoft Agent Framework agent with a tool; each of its steps goes on from the response before."""

import asyncio
import sys

from agent_framework import Agent
from agent_framework.openai import OpenAIChatClient


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


async def main(question: str) -> None:
    """Answer a question."""
    agent = Agent(OpenAIChatClient(model="aios"), "Calculate with the tool only.", tools=[multiply])
    print((await agent.run(question)).text)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "What is 1234 times 5678?"))
