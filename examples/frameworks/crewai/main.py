"""A crew of CrewAI: a calculator with a tool, and a writer who puts its result into a sentence."""

import os
import sys

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool


@tool("multiply")
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def main(question: str) -> None:
    """Answer a question."""
    key, url = os.environ["OPENAI_API_KEY"], os.environ["OPENAI_BASE_URL"]
    llm = LLM(model="openai/aios", base_url=url, api_key=key)
    calculator = Agent(
        role="calculator",
        goal="Calculate with the tool only.",
        backstory="Careful.",
        tools=[multiply],
        llm=llm,
    )
    writer = Agent(role="writer", goal="Write one plain sentence.", backstory="Brief.", llm=llm)
    sums = Task(description=question, expected_output="A number.", agent=calculator)
    sentence = Task(description="Say it in a sentence.", expected_output="A sentence.", agent=writer)
    print(Crew(agents=[calculator, writer], tasks=[sums, sentence]).kickoff().raw)


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "What is 1234 times 5678?")
