"""A tool-calling agent of smolagents."""

import os
import sys

from smolagents import OpenAIModel, ToolCallingAgent, tool


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers.

    Args:
        a: The first number.
        b: The second number.

    """
    return a * b


def main(question: str) -> None:
    """Answer a question."""
    model = OpenAIModel("aios", api_base=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"])
    agent = ToolCallingAgent(tools=[multiply], model=model, max_steps=4, verbosity_level=0)
    print(agent.run(question))


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "What is 1234 times 5678?")
