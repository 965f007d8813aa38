"""Windows in a whole kernel: summaries and notes come through the gateway in the agent's own name."""

import pytest

from aios.types.llm import Message
from tests.system.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="package")]


async def test_an_agent_s_window_is_summarised_and_recalls_its_notes(kernel: Cluster) -> None:
    async with kernel.admin() as admin:
        agent = await kernel.agent(admin, "traveller")
        await agent.memory.put("budget", "The budget of the trip to Rome is 300 euros.")
        said = [Message(role="user", content=f"The trip to Rome, part {number}.") for number in range(60)]
        await agent.contexts.create("trip", said, token_budget=400, reserve_tokens=40)
        summarized = await agent.contexts.window("trip", strategy="summarize")
        kernel.kill("context")
        await kernel.restarted("context")
        again = await agent.contexts.window("trip", strategy="summarize")
        recalled = await agent.contexts.window("trip", strategy="recall", token_budget=1_000)

    for window in (summarized, again, recalled):
        assert (window.fallback_reason, window.exact_count) == ("", True)
        assert window.token_count <= window.token_budget - 40
        assert window.messages[-1].position == 60
        assert window.messages[window.added[0].index].position == 0
    assert summarized.added[0].summary is not None
    assert again.added == summarized.added
    assert {run.reason for run in summarized.dropped} == {"summarized"}
    assert recalled.recalled_notes == ("agents/traveller/notes/budget",)
    assert "300 euros" in recalled.messages[recalled.added[0].index].message.content
