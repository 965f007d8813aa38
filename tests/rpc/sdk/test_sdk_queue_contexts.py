"""Queue, contexts and records against a fake kernel."""

import pytest

import aios
from aios import errors
from aios.kernel import Kernel
from aios.testing import FakeKernel
from aios.types.files import Filter, Record
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


async def test_a_watch_begins_with_what_waits_and_the_first_waits_are_explained(fake: FakeKernel) -> None:
    fake.add_waiting_call("planner", "c1", wait=1.5, summary="One call is ahead.")
    async with fake.connect() as admin:
        waits = await admin.queue.explain_first(5)
        kinds = []
        async for event in admin.queue.watch(initial=True, timeout=10):
            kinds.append((event.kind, event.syscall.name if event.syscall else ""))
            if event.kind == "known_ended":
                break

    assert [one.summary for one in waits.waits] == ["One call is ahead."]
    assert kinds == [("known_started", ""), ("known", "agents/planner/calls/c1"), ("known_ended", "")]


async def test_what_ended_is_listed_and_added_up(fake: FakeKernel, agent: Kernel) -> None:
    me = (await agent.access.who_am_i()).principal.agent.removeprefix("agents/")
    fake.add_past_call(me, "a", outcome="failed", prompt_tokens=10)
    fake.add_past_call(me, "b", prompt_tokens=5, new_tokens=2)
    fake.add_past_call("stranger", "c")
    past, failed = await agent.queue.past(), await agent.queue.past(failed_only=True)
    (usage,) = await agent.queue.usage(agent="me")
    async with fake.connect() as admin:
        counted = await admin.queue.usage()

    assert [one.name.rpartition("/")[2] for one in past] == ["b", "a"]
    assert [one.outcome for one in failed] == ["failed"]
    assert (usage.own.call_count, usage.tree.prompt_tokens, usage.tree.new_tokens) == (2, 15, 2)
    assert len(counted) == 2


async def test_a_caller_learns_who_it_is_and_what_it_may_do(fake: FakeKernel, agent: Kernel) -> None:
    async with fake.connect() as admin:
        boss, own = await admin.access.who_am_i(), await agent.access.who_am_i()
    mine = await agent.access.may("memory.read", "agents/me/notes/n")
    others, _ = await agent.access.review([("memory.read", "agents/x/notes/n"), ("tool.call", "tools/t")])

    assert (boss.principal.kind, boss.administers_tenant) == ("admin", True)
    assert (own.principal.kind, own.administers_tenant) == ("agent", False)
    assert mine.allowed
    assert (others.allowed, others.reason) == (False, "not_permitted")


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
    with pytest.raises(errors.Unimplemented, match="ShareFile"):
        await agent.files.share("x", "critic")


async def test_records_are_found_by_key_field_and_words(agent: Kernel) -> None:
    people = [
        Record(key="ada", fields={"age": 36, "home": {"city": "London"}}, text="mathematics and engines"),
        Record(key="alan", fields={"age": 41}, text="machines and ciphers"),
    ]
    etags = await agent.records.put("people", people)

    async def keys(*filters: Filter, query: str = "") -> list[str]:
        return [hit.record.key for hit in await agent.records.query("people", query, filters=filters)]

    assert etags == ["1", "1"]
    assert await keys() == ["ada", "alan"]
    assert await keys(Filter("age", "greater", 40)) == ["alan"]
    assert await keys(Filter("home.city", "equal", "London")) == ["ada"]
    assert await keys(Filter("age", "in", [36, 41]), query="engines") == ["ada"]
    (hit,) = await agent.records.query("people", keys=["ada"])
    assert hit.record.fields == {"age": 36, "home": {"city": "London"}}
    assert await agent.records.collections() == ["people"]
    assert await agent.records.delete("people", filters=[Filter("age", "less", 40)]) == 1
    assert await agent.records.delete("people", everything=True) == 1


async def test_grants_approvals_policies_and_the_audit(fake: FakeKernel, agent: Kernel) -> None:
    async with fake.agent("critic") as critic, fake.connect() as admin:
        await critic.memory.put("k", "v")
        grant = await critic.access.grant("planner", "agents/me/notes/", ["memory.read"], prefix=True)
        assert (await agent.memory.get("k", agent="critic")).content == "v"
        assert [one.name for one in await admin.access.grants(grantee="planner")] == [grant.name]
        await critic.access.revoke(grant.name)
        with pytest.raises(errors.PermissionDenied):
            await agent.memory.get("k", agent="critic")

        name = fake.add_approval("planner", "send-mail", '{"to": "x"}')
        (pending,) = await admin.access.approvals()
        decided = await admin.access.decide(name, approve=True, comment="fine")
        policy = await admin.access.put_policy("policies/team", "permit(principal, action, resource);")
        entries = await admin.access.audit(limit=10)
        check = await admin.access.verify_audit()

        assert await admin.access.approvals() == []
        with pytest.raises(errors.PreconditionFailed):
            await admin.access.decide(name, approve=False)
        assert [one.name for one in await admin.access.policies()] == ["policies/team"]

    assert grant.actions == ("memory.read",)
    assert pending.arguments_preview == '{"to": "x"}'
    assert decided.state == "approved"
    assert policy.version == 1
    assert [entry.action for entry in entries] == ["access.revoke", "access.grant"]
    assert check.intact


async def test_no_agent_of_the_fake_kernel_decides_an_approval_of_its_own_tree(fake: FakeKernel) -> None:
    async with fake.connect() as admin, fake.agent("mal") as mal, fake.agent("critic") as critic:
        await mal.agents.register("child")
        name = fake.add_approval("child", "send-mail")
        await mal.agents.register("late")
        for who in ("mal", "late", "critic"):
            rule = f'permit(principal == Agent::"{who}", action == Action::"access.approve", resource);'
            await admin.access.put_policy(f"policies/{who}", f'@id("{who}") {rule}')

        with pytest.raises(errors.PermissionDenied):
            await mal.access.decide(name, approve=True)
        assert [one.name for one in await admin.access.approvals()] == [name]
        assert (await critic.access.decide(name, approve=True)).state == "approved"

        other = fake.add_approval("critic", "send-mail")
        with pytest.raises(errors.PermissionDenied):
            await critic.access.decide(other, approve=True)


async def test_an_agent_that_no_policy_names_decides_no_approval_of_the_fake_kernel(fake: FakeKernel) -> None:
    async with fake.agent("critic") as critic, fake.agent("mal"):
        name = fake.add_approval("mal", "send-mail")
        with pytest.raises(errors.PermissionDenied):
            await critic.access.decide(name, approve=True)


async def test_an_agent_puts_no_policy_in_the_fake_kernel(agent: Kernel) -> None:
    with pytest.raises(errors.PermissionDenied):
        await agent.access.put_policy("policies/mine", "permit(principal, action, resource);")


async def test_a_person_decides_what_waits_in_the_fake_kernel(fake: FakeKernel) -> None:
    name = fake.add_approval("planner", "send-mail", '{"to":"x"}')
    async with fake.connect() as admin:
        made = await admin.access.create_person("amy", display_name="Amy")
        amy = admin.as_person(made.person_key)
        assert await amy.access.arguments(name) == b'{"to":"x"}'
        decided = await amy.access.decide(name, approve=True)
        await admin.access.put_approval_rule("pay", 2, resource="tools/pay")
        assert [rule.deciders for rule in await admin.access.approval_rules()] == [2]
        await admin.access.delete_approval_rule("pay")
        with pytest.raises(errors.PermissionDenied):
            await amy.access.persons()
        other = await admin.access.issue_person_key("amy")
        assert other.person_key not in repr(other)
        assert not (await admin.access.revoke_person_key("amy")).has_key
        assert (await admin.access.disable_person("amy")).state == "disabled"
        assert (await admin.access.enable_person("amy")).state == "active"
        assert [one.name for one in await admin.access.persons()] == ["persons/amy"]

    assert [(vote.decider, vote.kind) for vote in decided.votes] == [("agents/amy", "person")]
