"""Two AutoGen agents take turns: one calculates with a tool, the other approves."""

import asyncio
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient

INFO = ModelInfo(
    vision=False, function_calling=True, json_output=True, structured_output=True, family="unknown"
)
"""AutoGen wants to be told what a model that it does not know can do."""


async def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


async def main(question: str) -> None:
    """Answer a question."""
    client = OpenAIChatCompletionClient(model="aios", model_info=INFO)
    calculator = AssistantAgent(
        "calculator",
        client,
        tools=[multiply],
        system_message="Calculate with the tool only.",
        reflect_on_tool_use=True,
    )
    reviewer = AssistantAgent("reviewer", client, system_message="Say APPROVED when the answer is right.")
    approved = TextMentionTermination("APPROVED", ["reviewer"])
    team = RoundRobinGroupChat([calculator, reviewer], termination_condition=approved, max_turns=6)
    for message in (await team.run(task=question)).messages:
        print(f"{message.source}: {message.to_text()}")
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "What is 1234 times 5678?"))
