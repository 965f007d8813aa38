"""A LlamaIndex agent with a tool, whose steps are read as they happen."""

import asyncio
import os
import sys

from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.llms.openai_like import OpenAILike


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


async def main(question: str) -> None:
    """Answer a question."""
    llm = OpenAILike(
        model="aios",
        api_base=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ["OPENAI_API_KEY"],
        is_chat_model=True,
        is_function_calling_model=True,
    )
    agent = FunctionAgent(tools=[multiply], llm=llm, system_prompt="Calculate with the tool only.")
    run = agent.run(question)
    async for event in run.stream_events():
        if isinstance(event, ToolCallResult):
            print(f"{event.tool_name}{event.tool_kwargs} = {event.tool_output}")
    print(await run)


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "What is 1234 times 5678?"))
