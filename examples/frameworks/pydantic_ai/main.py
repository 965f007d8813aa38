"""A Pydantic AI agent with a tool and a typed answer, through Anthropic's protocol."""

import sys

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel


class Product(BaseModel):
    """The answer."""

    value: int
    explanation: str


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def main(question: str) -> None:
    """Answer a question."""
    agent = Agent(
        AnthropicModel("aios"),
        output_type=Product,
        system_prompt="Calculate with the tool only.",
        tools=[multiply],
    )
    answer = agent.run_sync(question).output
    print(f"{answer.value}: {answer.explanation}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "What is 1234 times 5678?")
