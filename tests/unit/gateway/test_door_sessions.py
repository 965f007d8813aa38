"""The agents that sessions become: below the key's own, never elsewhere, and not for ever."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.core.sessions import Session, parent_of, session_of
from gateway.http.model import Exchanged, Identity
from gateway.http.ports import Child
from gateway.http.service.kept_tokens import KeptTokens
from gateway.http.service.sessions import Sessions
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from tests.fakes.clock import FakeClock
from tests.unit.gateway.test_door_keys import Tokens

ROOT = Identity("amy", "acme", "token-of-amy", key_digest=b"k")
CODEX = {"user-agent": "codex_exec/0.171", "thread-id": "t1"}
CHILD = {**CODEX, "thread-id": "t2", "x-codex-parent-thread-id": "t1", "x-openai-subagent": "collab_spawn"}


class Refused(KernelError):
    def __init__(self, reason: str) -> None:
        super().__init__(reason.lower())
        self.reason = reason
        self.code = Code.FAILED_PRECONDITION


@dataclass
class Tree:
    """The Children port in memory: a token is `token-of-ID`."""

    agents: dict[str, Child] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    limit: int = 256
    forgotten: set[str] = field(default_factory=set)
    """Ids whose registration can no longer be repeated."""
    taken: str = "AGENT_EXISTS"
    """How that is refused."""
    registrations: int = 0
    strangers: set[str] = field(default_factory=set)
    """Ids that agents of somebody else have."""
    no_agents: set[str] = field(default_factory=set)
    """Tokens that name nothing which could have children."""

    async def register(
        self, token: str, agent_id: str, *, kind: str, name: str, labels: Mapping[str, str]
    ) -> Exchanged:
        await asyncio.sleep(0)
        assert kind
        assert name
        self.registrations += 1
        if token in self.no_agents:
            raise Refused("AGENT_NOT_FOUND")
        if agent_id in self.strangers:
            raise Refused("AGENT_EXISTS")
        known = self.agents.get(agent_id)
        if known is None:
            if len(self.agents) >= self.limit:
                raise Refused("AGENT_TREE_LIMIT")
            self.agents[agent_id] = Child(agent_id, killed=False, labels=dict(labels))
            self.parents[agent_id] = token.removeprefix("token-of-").partition("#")[0]
        elif agent_id in self.forgotten:
            raise Refused(self.taken)
        elif known.killed:
            raise Refused("AGENT_INACTIVE")
        return Exchanged(agent_id, "acme", f"token-of-{agent_id}", 600.0)

    async def get(self, token: str, agent_id: str) -> Child:
        assert token
        if agent_id in self.strangers:
            raise Refused("PERMISSION_DENIED")
        if agent_id not in self.agents:
            raise Refused("AGENT_NOT_FOUND")
        return self.agents[agent_id]

    async def below(self, token: str, agent_id: str = "") -> list[Child]:
        assert token
        return [each for each in self.agents.values() if not agent_id or agent_id in self.above(each.id)]

    def above(self, agent_id: str) -> list[str]:
        found: list[str] = []
        while (agent_id := self.parents.get(agent_id, "")) and agent_id not in found:
            found.append(agent_id)
        return found

    async def label(self, token: str, agent_id: str, labels: Mapping[str, str]) -> None:
        assert token
        self.agents[agent_id] = replace(self.agents[agent_id], labels=dict(labels))

    async def end(self, token: str, agent_id: str) -> None:
        for each in (agent_id, *(child.id for child in await self.below(token, agent_id))):
            self.agents[each] = replace(self.agents[each], killed=True)

    async def renew(self, token: str) -> Exchanged:
        agent = token.removeprefix("token-of-").partition("#")[0]
        return Exchanged(agent, "acme", f"{token}#", 600.0)


class Gateway:
    """One gateway's sessions, on a tree that others may share."""

    def __init__(self, tree: Tree | None = None, clock: FakeClock | None = None) -> None:
        self.tree = tree or Tree()
        self.clock = clock or FakeClock()
        self.tokens = Tokens()
        self.sessions = Sessions(self.tree, KeptTokens(self.tokens, self.clock), self.tokens, self.clock)

    async def who(self, headers: Mapping[str, str], root: Identity = ROOT) -> Identity:
        session = session_of(headers.get)
        assert session is not None
        identity = await self.sessions.identity(root, session)
        await self.settle()
        return identity

    async def settle(self) -> None:
        await asyncio.gather(*self.sessions._background)


async def test_a_session_becomes_a_child_of_the_keys_agent_and_stays_the_same() -> None:
    gateway = Gateway()
    first, again = await gateway.who(CODEX), await gateway.who(CODEX)

    assert first == again
    assert first.agent != "amy"
    assert first.root == "amy"
    assert gateway.tree.parents == {first.agent: "amy"}
    assert gateway.tree.registrations == 1


async def test_a_spawned_session_is_a_child_of_the_one_that_spawned_it() -> None:
    gateway = Gateway()
    child = await gateway.who(CHILD)
    parent = await gateway.who(CODEX)

    assert gateway.tree.parents == {parent.agent: "amy", child.agent: parent.agent}


async def test_two_gateways_give_a_session_the_same_agent() -> None:
    tree = Tree()
    assert (await Gateway(tree).who(CHILD)).agent == (await Gateway(tree).who(CHILD)).agent
    assert len(tree.agents) == 2


async def test_two_sessions_that_name_each_other_as_parent_do_not_wait_for_ever() -> None:
    gateway = Gateway()
    one = {"aios-session": "a", "aios-parent-session": "b"}
    other = {"aios-session": "b", "aios-parent-session": "a"}
    async with asyncio.timeout(5):
        first, second = await asyncio.gather(gateway.who(one), gateway.who(other))

    assert first.agent != second.agent


async def test_when_the_tree_is_full_a_session_calls_as_the_key_itself() -> None:
    gateway = Gateway(Tree(limit=0))
    assert await gateway.who(CODEX) == ROOT
    gateway.tree.limit = 256
    gateway.clock.advance(61)
    assert (await gateway.who(CODEX)).agent != "amy"


async def test_sessions_without_an_agent_push_out_no_tokens() -> None:
    gateway = Gateway(Tree(limit=1))
    gateway.sessions.kept.limit = 3
    made = await gateway.who(CODEX)
    for n in range(10):
        assert await gateway.who({**CODEX, "thread-id": f"more-{n}"}) == ROOT
        assert await gateway.who({**CHILD, "x-codex-parent-thread-id": f"other-{n}"}) == ROOT
    asked = gateway.tree.registrations

    assert await gateway.who(CODEX) == made
    assert await gateway.who({**CODEX, "thread-id": "more-9"}) == ROOT
    assert gateway.tree.registrations == asked


async def test_an_id_that_a_stranger_took_is_passed_over() -> None:
    gateway = Gateway()
    session = session_of(CODEX.get)
    assert session is not None
    taken = session.child_id("acme", "amy")
    gateway.tree.strangers.add(taken)

    made = await gateway.who(CODEX)
    assert made.agent == session.child_id("acme", "amy", 1)
    assert gateway.tree.parents[made.agent] == "amy"


async def test_a_session_of_who_is_no_agent_calls_as_the_credential_itself() -> None:
    gateway = Gateway(Tree(no_agents={ROOT.token}))

    assert await gateway.who(CODEX) == ROOT
    assert await gateway.who(CHILD) == ROOT


async def test_a_killed_sessions_agent_stays_killed() -> None:
    gateway = Gateway()
    made = await gateway.who(CODEX)
    await gateway.tree.end("t", made.agent)
    gateway.tokens.revoked.add(made.token)

    with pytest.raises(KernelError) as refused:
        await gateway.who(CODEX)
    assert refused.value.reason == "AGENT_INACTIVE"


async def test_an_idle_session_is_retired_and_comes_back_as_the_next_epoch() -> None:
    gateway = Gateway()
    made = await gateway.who(CODEX)
    gateway.clock.advance(3599)
    await gateway.sessions.retire_idle()
    assert not gateway.tree.agents[made.agent].killed
    gateway.clock.advance(1)
    await gateway.sessions.retire_idle()
    assert gateway.tree.agents[made.agent].killed

    assert (await gateway.who(CODEX)).agent == f"{made.agent}-1"


async def test_a_session_that_works_keeps_those_that_spawned_it() -> None:
    gateway = Gateway()
    grandchild = {**CODEX, "thread-id": "t3", "x-codex-parent-thread-id": "t2"}
    above = [await gateway.who(CODEX), await gateway.who(CHILD)]
    for _ in range(3):
        gateway.clock.advance(1800)
        assert await gateway.who(grandchild) is not None
        await gateway.sessions.retire_idle()

    assert not any(gateway.tree.agents[each.agent].killed for each in above)
    gateway.clock.advance(3600)
    await gateway.sessions.retire_idle()
    assert all(each.killed for each in gateway.tree.agents.values())


async def test_what_ends_with_the_session_that_spawned_it_comes_back_like_it() -> None:
    clock, tree = FakeClock(), Tree()
    here, there = Gateway(tree, clock), Gateway(tree, clock)
    parent, child = await here.who(CODEX), await there.who(CHILD)
    clock.advance(3600)
    await here.sessions.retire_idle()
    assert tree.agents[child.agent].killed
    there.tokens.revoked |= {parent.token, child.token}

    assert (await there.who(CHILD)).agent == f"{child.agent}-1"


async def test_a_session_is_not_retired_under_a_call_that_takes_long() -> None:
    clock, tree = FakeClock(), Tree()
    here, there = Gateway(tree, clock), Gateway(tree, clock)
    identity = await here.who(CODEX)
    await there.who(CODEX)
    running = asyncio.create_task(asyncio.Event().wait())
    here.sessions.run(identity, running)
    for _ in range(10):
        clock.advance(1800)
        for gateway in (here, there):
            await gateway.sessions.retire_idle()
            await gateway.settle()

    assert not tree.agents[identity.agent].killed
    running.cancel()
    await asyncio.wait({running})
    clock.advance(3600)
    await here.sessions.retire_idle()
    assert tree.agents[identity.agent].killed


async def test_a_call_that_comes_while_its_session_is_retired_keeps_the_agent() -> None:
    gateway = Gateway()
    made = await gateway.who(CODEX)
    gateway.clock.advance(3600)
    label = gateway.tree.label

    async def label_while_called(token: str, agent_id: str, labels: Mapping[str, str]) -> None:
        gateway.tree.label = label  # type: ignore[method-assign]
        await gateway.who(CODEX)
        await label(token, agent_id, labels)

    gateway.tree.label = label_while_called  # type: ignore[method-assign]
    await gateway.sessions.retire_idle()

    kept = gateway.tree.agents[made.agent]
    assert not kept.killed
    assert kept.labels["door"] == "session"


@pytest.mark.parametrize("idle", [60.0, 600.0])
async def test_use_is_told_to_other_gateways_before_it_counts_as_none(idle: float) -> None:
    clock, tree = FakeClock(), Tree()
    here, there = Gateway(tree, clock), Gateway(tree, clock)
    here.sessions.idle_seconds = there.sessions.idle_seconds = idle
    made = await here.who(CODEX)
    await there.who(CODEX)
    for _ in range(20):
        clock.advance(idle / 4)
        await here.who(CODEX)
        await there.sessions.retire_idle()

    assert not tree.agents[made.agent].killed


async def test_what_another_gateway_saw_lately_is_not_retired() -> None:
    clock = FakeClock()
    here = Gateway(clock=clock)
    made = await here.who(CODEX)
    clock.advance(3000)
    await Gateway(here.tree, clock).who(CODEX)  # joined, not registered anew: its label is as old
    there = Gateway(here.tree, clock)
    await there.who(CODEX)
    clock.advance(901)
    await there.who(CODEX)
    await here.sessions.retire_idle()

    assert not here.tree.agents[made.agent].killed


async def test_what_a_gateway_that_is_gone_left_behind_is_retired_at_the_next_call_of_the_key() -> None:
    clock = FakeClock()
    before = Gateway(clock=clock)
    left = await before.who(CODEX)
    clock.advance(3600)
    await Gateway(before.tree, clock).who({"aios-session": "other"})

    assert before.tree.agents[left.agent].killed


async def test_an_agent_of_the_keys_own_is_never_retired() -> None:
    gateway = Gateway()
    gateway.tree.agents["worker"] = Child("worker", killed=False, labels={})
    await gateway.who(CODEX)
    gateway.clock.advance(7200)
    await gateway.sessions.retire_idle()

    assert not gateway.tree.agents["worker"].killed


@pytest.mark.parametrize("taken", ["AGENT_EXISTS", "IDEMPOTENCY_MISMATCH"])
async def test_a_session_whose_registration_cannot_be_repeated_gets_the_next_epoch(taken: str) -> None:
    tree = Tree(taken=taken)
    made = await Gateway(tree).who(CODEX)
    tree.forgotten.add(made.agent)

    assert (await Gateway(tree).who(CODEX)).agent == f"{made.agent}-1"


async def test_revoking_the_keys_token_cancels_what_runs_below_it() -> None:
    gateway = Gateway()
    identity = await gateway.who(CODEX)
    running = asyncio.create_task(asyncio.Event().wait())
    gateway.sessions.run(identity, running)
    await gateway.sessions.check_running()
    assert not running.cancelling()
    gateway.tokens.revoked.add(ROOT.token)
    await gateway.sessions.check_running()
    await asyncio.wait({running})

    assert running.cancelled()


async def test_another_credential_of_the_same_agent_neither_saves_nor_ends_what_one_began() -> None:
    gateway = Gateway()
    running = {}
    for token in ("first", "second", "third"):
        identity = await gateway.who({**CODEX, "thread-id": token}, replace(ROOT, token=token))
        running[token] = asyncio.create_task(asyncio.Event().wait())
        gateway.sessions.run(identity, running[token])
    gateway.tokens.revoked |= {"first"}
    await gateway.sessions.check_running()
    await asyncio.wait({running["first"]}, timeout=10)
    assert [task.cancelling() for task in running.values()] == [1, 0, 0]

    gateway.tokens.revoked |= {"third"}
    await gateway.sessions.check_running()
    await asyncio.wait({running["third"]}, timeout=10)
    assert [task.cancelling() for task in running.values()] == [1, 0, 1]
    running["second"].cancel()


@pytest.mark.parametrize(
    ("headers", "value", "parent"),
    [
        (CODEX, "codex:t1", ""),
        (CHILD, "codex:t2", "codex:t1"),
        ({"x-session-id": "s2", "x-parent-session-id": "s1"}, "session:s2", "session:s1"),
        ({"x-claude-code-session-id": "s"}, "claude-code:s", ""),
        (
            {"x-claude-code-session-id": "s", "x-claude-code-agent-id": "a"},
            "claude-code:s/a",
            "claude-code:s",
        ),
        (
            {
                "x-claude-code-session-id": "s",
                "x-claude-code-agent-id": "b",
                "x-claude-code-parent-agent-id": "a",
            },
            "claude-code:s/b",
            "claude-code:s/a",
        ),
        ({"aios-session": "mine", "thread-id": "t"}, "aios:mine", ""),
    ],
)
def test_each_clients_headers_are_read(headers: dict[str, str], value: str, parent: str) -> None:
    session = session_of(headers.get)

    assert session is not None
    assert (session.value, session.parent) == (value, parent)
    above = parent_of(session)
    assert (above.value if above else "") == parent


def test_no_headers_and_absurd_ones_name_no_session() -> None:
    assert session_of(dict[str, str]().get) is None
    assert session_of({"aios-session": "x" * 257}.get) is None


TEXT = st.text(min_size=1, max_size=40)


@given(TEXT, TEXT, TEXT, TEXT)
def test_a_child_is_named_by_its_key_and_session_together(
    tenant: str, root: str, one: str, other: str
) -> None:
    first = Session(one).child_id(tenant, root)

    assert len(first) == 26
    assert first == Session(one).child_id(tenant, root)
    assert (first == Session(other).child_id(tenant, root)) == (one == other)
    assert first != Session(one).child_id(tenant, root + "x")


@given(
    st.dictionaries(st.sampled_from(["user-agent", "thread-id", "x-openai-subagent"]), st.text(max_size=300))
)
def test_whatever_the_headers_say_the_name_and_kind_are_fit_for_the_kernel(headers: dict[str, str]) -> None:
    session = session_of(headers.get)
    if session is not None:
        assert 0 < len(session.kind) <= 63
        assert len(session.display_name) <= 128
        assert session.display_name.isprintable() or session.display_name == ""
