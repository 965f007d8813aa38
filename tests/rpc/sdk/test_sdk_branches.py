"""Branches and gangs against a fake kernel: what is asked for, what is kept, what is cleared away."""

from collections.abc import Sequence

import pytest

import aios
from aios import errors
from aios.kernel import Kernel
from aios.testing import FakeKernel


async def contexts(agent: Kernel) -> list[str]:
    return [context.id for context in await agent.contexts.list()]


async def test_calls_that_are_gathered_are_one_gang(fake: FakeKernel, agent: Kernel) -> None:
    with fake.intercept() as calls:
        answers = await agent.llm.gather(["a", "b", "c"], seeds=[7, 8, 9], temperature=0.5)

    assert [answer.text for answer in answers] == ["echo: a", "echo: b", "echo: c"]
    sent = calls.requests("Generate")
    assert {one["gang"]["size"] for one in sent} == {3}
    assert len({one["gang"]["id"] for one in sent}) == 1
    assert sorted(int(one["sampling"]["seed"]) for one in sent) == [7, 8, 9]


@pytest.mark.parametrize(("texts", "together"), [(["a", "b"], False), (["a"], True)])
async def test_a_gang_needs_two_who_want_it(
    fake: FakeKernel,
    agent: Kernel,
    texts: list[str],
    together: bool,  # noqa: FBT001 - parametrized
) -> None:
    with fake.intercept() as calls:
        await agent.llm.gather(texts, together=together)

    assert not any(one.get("gang", {}).get("size") for one in calls.requests("Generate"))


async def test_seeds_come_one_for_each(agent: Kernel) -> None:
    with pytest.raises(ValueError, match="2 conversations but 1 seeds"):
        await agent.llm.gather(["a", "b"], seeds=[1])


async def test_the_best_answer_is_kept_and_the_others_are_deleted(fake: FakeKernel, agent: Kernel) -> None:
    for text in ("good", "better", "bad"):
        fake.reply(text)
    await agent.contexts.create("trip", "Which way?")
    marks = {"good": 1.0, "better": 2.0, "bad": 0.0}

    best = await agent.branches.best_of("trip", 3, lambda answer: marks[answer.text])

    assert (best.answer.text, best.score) == ("better", 2.0)
    assert await contexts(agent) == ["trip", best.context]
    kept = await agent.contexts.messages(best.context)
    assert [message.message.content for message in kept] == ["Which way?", "better"]
    assert len(await agent.contexts.messages("trip")) == 1


async def test_a_scorer_may_be_a_coroutine(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("x")
    fake.reply("yy")
    await agent.contexts.create("trip", "?")

    async def length(answer: aios.Answer) -> float:
        return len(answer.text)

    assert (await agent.branches.best_of("trip", 2, length)).answer.text == "yy"


async def test_a_plan_goes_on_from_its_best_branches(fake: FakeKernel, agent: Kernel) -> None:
    for text in ("1", "5", "3", "0", "2", "9"):
        fake.reply(text)
    await agent.contexts.create("trip", "?")

    def total(path: Sequence[aios.Answer]) -> float:
        return sum(int(answer.text) for answer in path)

    with fake.intercept() as calls:
        best = await agent.branches.plan("trip", total, breadth=3, beam=1, depth=2, ask="And then?")
        assert calls.count("ForkContext") == 6

    assert [answer.text for answer in best.answers] == ["5", "9"]
    assert await contexts(agent) == ["trip", best.context]
    said = [message.message.content for message in await agent.contexts.messages(best.context)]
    assert said == ["?", "5", "And then?", "9"]


async def test_a_plan_ends_when_its_best_path_is_done(fake: FakeKernel, agent: Kernel) -> None:
    fake.reply("done")
    fake.reply("no")
    await agent.contexts.create("trip", "?")

    best = await agent.branches.plan(
        "trip",
        lambda path: float(path[-1].text == "done"),
        breadth=2,
        depth=5,
        done=lambda path: path[-1].text == "done",
    )

    assert [answer.text for answer in best.answers] == ["done"]


async def test_a_search_that_fails_leaves_nothing_behind(fake: FakeKernel, agent: Kernel) -> None:
    await agent.contexts.create("trip", "?")
    with fake.intercept() as calls:
        calls.fail_next("Generate", errors.PermissionDenied("no"))
        with pytest.raises(errors.PermissionDenied):
            await agent.branches.best_of("trip", 4, lambda _: 0.0)

    assert await contexts(agent) == ["trip"]


@pytest.mark.parametrize(("breadth", "beam", "depth"), [(0, 1, 1), (33, 2, 1), (1, 1, 0)])
async def test_a_search_has_bounds(agent: Kernel, breadth: int, beam: int, depth: int) -> None:
    with pytest.raises(ValueError, match="at most 64"):
        await agent.branches.plan("trip", lambda _: 0.0, breadth=breadth, beam=beam, depth=depth)


async def test_caps_and_hints_travel(fake: FakeKernel) -> None:
    caps = aios.Caps(highest_weight=4, policies=("edf",), shortest_deadline=0.5)
    hints = aios.Hints(weight=2, deadline=1.5, policy="edf")
    async with fake.connect() as admin:
        made = await admin.agents.register("capped", hints=hints, caps=caps)
        assert made.agent.caps == caps
        assert (made.agent.hints.deadline, made.agent.hints.policy) == (1.5, "edf")
        lowered = await admin.agents.update("capped", caps=aios.Caps(policies=()))

    assert lowered.caps.policies == ()
