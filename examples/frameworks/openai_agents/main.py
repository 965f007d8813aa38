"""OpenAI's Agents SDK: a receptionist hands over to a mathematician, who has a tool."""

import sys

from agents import Agent, Runner, function_tool, set_tracing_disabled


@function_tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def main(question: str) -> None:
    """Answer a question."""
    set_tracing_disabled(disabled=True)  # traces would be sent to OpenAI
    mathematician = Agent(
        name="mathematician", model="aios", instructions="Calculate with the tool only.", tools=[multiply]
    )
    receptionist = Agent(
        name="receptionist", model="aios", instructions="Hand over what is to be calculated.",
        handoffs=[mathematician],
    )  # fmt: skip
    result = Runner.run_sync(receptionist, question)
    print(f"{result.last_agent.name}: {result.final_output}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "What is 1234 times 5678?")
