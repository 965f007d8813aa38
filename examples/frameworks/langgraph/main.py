"""A LangGraph agent with two tools that remembers what was said in its thread."""

import sys

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def main(question: str) -> None:
    """Answer a question, and another on the same thread."""
    agent = create_agent(
        ChatOpenAI(model="aios"),
        [multiply, add],
        system_prompt="Calculate with the tools only.",
        checkpointer=InMemorySaver(),
    )
    thread = {"configurable": {"thread_id": "1"}}
    for text in (question, "And what did I ask you?"):
        print(agent.invoke({"messages": [("user", text)]}, thread)["messages"][-1].text)


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "What is 1234 times 5678?")
