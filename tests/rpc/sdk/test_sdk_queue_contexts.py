"""Queue, contexts and records against a fake kernel."""

import pytest

import aios
from aios import errors
from aios.kernel import Kernel
from aios.testing import FakeKernel
from aios.types.llm import Message


async def test_the_queue_shows_and_explains_what_waits(fake: FakeKernel) -> None:
    fake.add_waiting_call("planner", "c1", wait=1.5, summary="One call is ahead.")
    async with fake.connect() as admin:
        state = await admin.queue.state()
        (call,) = await admin.queue.list()
        why = await admin.queue.explain("agents/planner/generations/c1")
        cancelled = await admin.queue.cancel(call.name)

        with pytest.raises(errors.NotFound):
            await admin.queue.explain(call.name)

    assert state.replicas[0].slots == 8
    assert sum(one.waiting_count for one in state.classes) == 1
    assert call.state == "waiting"
    assert call.wait == 1.5
    assert call.scheduling_class == "normal"
    assert why.summary == "One call is ahead."
    assert why.predicted_wait is None
    assert cancelled


async def test_policies_are_shown_and_set(fake: FakeKernel) -> None:
    async with fake.connect() as admin:
        before = await admin.queue.policies()
        after = await admin.queue.set_policy(
            "rr", parameters={"quantum": 0.5, "n": 3}, scheduling_class="batch"
        )

        with pytest.raises(errors.InvalidRequest):
            await admin.queue.set_policy("absent")
        with pytest.raises(ValueError, match="realtime, interactive"):
            await admin.queue.set_policy("rr", scheduling_class="slow")  # type: ignore[arg-type]

    assert {one.policy.name for one in before.classes} == {"fifo"}
    assert "rr" in before.available
    (batch,) = [one for one in after if one.scheduling_class == "batch"]
    assert batch.policy.parameters == {"quantum": 0.5, "n": 3}


async def test_a_conversation_is_kept_windowed_and_forked(agent: Kernel) -> None:
    created = await agent.contexts.create("trip", [Message("system", "Be kind.")], token_budget=6)
    await agent.contexts.append("trip", "one two three")
    await agent.contexts.append(
        "trip", [Message("assistant", "four"), Message("user", "five six")], pinned=[1]
    )
    window = await agent.contexts.window("trip")
    fork = await agent.contexts.fork("trip", "trip-b", at_position=2)

    assert created.name == "agents/planner/contexts/trip"
    assert created.id == "trip"
    assert [message.content for message in window.chat] == ["Be kind.", "four", "five six"]
    assert window.dropped[0].reason == "no_room"
    assert window.strategy == "drop_oldest"
    assert [one.position for one in await agent.contexts.messages("trip", newest_first=True)] == [4, 3, 2, 1]
    assert (await agent.contexts.messages("trip"))[3].pinned
    assert fork.message_count == 2
    assert fork.parent == created.name
    assert [context.id for context in await agent.contexts.list()] == ["trip", "trip-b"]
    assert (await agent.contexts.pin("trip", 1)).pinned
    await agent.contexts.delete("trip")
    with pytest.raises(errors.NotFound):
        await agent.contexts.get("trip")


class Talker(aios.Agent):
    system = "Remember what was said."


async def test_an_agent_continues_a_kept_conversation(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("Hello Ada.")
    fake.reply("You are Ada.")

    await Talker(agent).run("I am Ada.", context="talk")
    await Talker(agent).run("Who am I?", context="talk")

    sent = [call.request for call in fake.calls if call.method == "Generate"][-1]
    assert [message["content"] for message in sent["messages"]] == [
        "Remember what was said.",
        "I am Ada.",
        "Hello Ada.",
        "Who am I?",
    ]


async def test_a_method_the_fake_lacks_says_so(agent: Kernel) -> None:
    with pytest.raises(errors.Unimplemented, match="QueryRecords"):
        await agent.records.query("people")
