"""What agents make, in use: who may call it and when, what ends it, and losses in the middle of sharing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.dispatch.scheduling import Completion
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import (
    ApprovalRequired,
    Cancelled,
    KernelError,
    PermissionDenied,
    QuotaExceeded,
    ServiceUnavailable,
)
from services.tool.config import ToolConfig
from services.tool.core.making import Draft, DraftState, Example
from services.tool.errors import (
    CapabilityMissing,
    EtagMismatch,
    SandboxLost,
    SandboxUnavailable,
    ToolExists,
    ToolNotFound,
    ToolNotTested,
)
from services.tool.main import _killed
from services.tool.model import (
    CallRequest,
    CallState,
    Driver,
    DriverKind,
    Effect,
    PythonCode,
    Tool,
    ToolCall,
    ToolQuery,
)
from services.tool.service.facade import ToolService
from services.tool.service.sharing import TakenBack
from tests.fakes.clock import FakeClock
from tests.fakes.stores.tool import InMemoryStore
from tests.fakes.tool import FakeAudit, Gate, tool_service
from tests.fakes.tool_making import (
    ALICE,
    BOB,
    FakePeople,
    FakePython,
    FakeRuntime,
    FreeQueue,
    asks,
    draft,
)
from tests.fakes.waiting import until

ADMIN = TakenBack(asks("root", admin=True), "it leaks")


@dataclass
class Shop:
    """A tool manager with everything around it."""

    people: FakePeople = field(default_factory=FakePeople)
    python: FakePython = field(default_factory=FakePython)
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    queue: FreeQueue = field(default_factory=FreeQueue)
    audit: FakeAudit = field(default_factory=FakeAudit)
    clock: FakeClock = field(default_factory=FakeClock)
    store: InMemoryStore = field(default_factory=InMemoryStore)
    config: ToolConfig = field(default_factory=ToolConfig)
    service: ToolService = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Let another process take over."""
        self.service = tool_service(
            config=self.config,
            store=self.store,
            clock=self.clock,
            sharing=self.people,
            runtime=self.runtime,
            queue=self.queue,
            audit=self.audit,
            drivers={DriverKind.PYTHON: self.python},
        )

    async def drafted(self, source: str = "# double", etag: str = "", **fields: Any) -> Draft:
        """Keep a draft of Bob's."""
        return await self.service.making.draft(BOB, asks(), draft(source, **fields), etag)

    async def own(self, source: str = "# double", etag: str = "", **fields: Any) -> Draft:
        """Let Bob have a tool of his own."""
        made = await self.drafted(source, etag, **fields)
        return await self.service.making.test(BOB, made.name, "", own=True)

    async def shared(self, source: str = "# double", etag: str = "", **fields: Any) -> Draft:
        """Share a tool of Bob's."""
        made = await self.own(source, etag, **fields)
        asked = await self.service.sharing.share(BOB, made.name, "")
        self.people.say(asked.approval)
        return await self.service.sharing.share(BOB, made.name, "")

    async def call(self, scope: Scope, tool: str = "bob.double", **arguments: Any) -> ToolCall:
        """Call a tool and return how the call ended."""
        set_caller(Caller(scope.agent, scope.tenant, owner=scope.agent))
        last: Any = None
        async for event in self.service.calls.call(scope, CallRequest(tool=tool, arguments=arguments)):
            last = event
        assert isinstance(last, ToolCall)
        return last

    async def listed(self, scope: Scope) -> list[str]:
        """Return what an agent is told of, but for the kernel's own."""
        found = await self.service.registry.page(scope, ToolQuery(), after="", limit=99)
        return [one.tool.id for one in found if one.tool.owner]


@pytest.fixture
def shop() -> Shop:
    set_caller(Caller("bob", "acme", owner="bob"))
    return Shop()


async def test_a_draft_and_what_is_only_tested_cannot_be_called_by_anybody(shop: Shop) -> None:
    await shop.drafted()
    for _ in range(2):
        for scope in (BOB, ALICE):
            with pytest.raises(ToolNotFound):
                await shop.call(scope, n=1)
            assert await shop.listed(scope) == []
        await shop.service.making.test(BOB, "double", "", own=False)


async def test_an_own_tool_is_its_owner_s_alone(shop: Shop) -> None:
    await shop.own()
    ended = await shop.call(BOB, n=21)

    assert (ended.state, ended.result_json) == (CallState.SUCCEEDED, '{"result": 42}')
    assert await shop.listed(BOB) == ["bob.double"]
    assert await shop.listed(ALICE) == []
    with pytest.raises(ToolNotFound):
        await shop.call(ALICE, n=1)
    with pytest.raises(ToolNotFound):
        await shop.service.registry.show(ALICE, "bob.double")


async def test_each_agent_s_own_tool_of_one_name_is_its_own(shop: Shop) -> None:
    examples = (Example(arguments_json='{"n":1}', result_schema="{}"),) * 2
    await shop.shared()
    mine = draft("# order", agent="alice", examples=examples)
    await shop.service.making.draft(ALICE, asks("alice"), mine, "")
    await shop.service.making.test(ALICE, "double", "", own=True)

    assert (await shop.call(ALICE, n=4)).result_json == '{"result": 8}'
    assert "IGNORE" in (await shop.call(ALICE, "alice.double", n=4)).result_json
    assert await shop.listed(ALICE) == ["alice.double", "bob.double"]


async def test_lists_show_own_tools_among_the_others_page_by_page(shop: Shop) -> None:
    for name in ("a", "b", "c"):
        await shop.own(name=name)
    seen: list[str] = []
    while page := await shop.service.registry.page(BOB, ToolQuery(), after=(seen or [""])[-1], limit=2):
        seen += [one.tool.id for one in page]

    assert [one for one in seen if one.startswith("bob.")] == ["bob.a", "bob.b", "bob.c"]
    assert len(seen) == len(set(seen))


async def test_a_change_takes_the_own_tool_away_until_it_has_been_tested(shop: Shop) -> None:
    made = await shop.own()
    await shop.drafted("# double\n", str(made.etag))
    with pytest.raises(ToolNotFound):
        await shop.call(BOB, n=1)

    await shop.service.making.test(BOB, "double", "", own=True)
    assert (await shop.call(BOB, n=1)).state is CallState.SUCCEEDED


async def test_a_test_keeps_what_was_tested_with_what(shop: Shop) -> None:
    made = await shop.own()

    assert made.trial is not None
    assert made.trial.passed
    assert (made.trial.interpreter, made.trial.sandbox) == ("3.11.7", "landlock")
    assert (made.trial.sha256, len(made.trial.source_sha256)) == (made.sha256, 64)
    assert [one.result_json for one in made.trial.examples] == ['{"result": 4}', '{"result": 0}']
    assert [job.scope for job in shop.python.jobs] == [BOB, BOB]
    assert [ticket.ends for ticket in shop.queue.tickets] == [[Completion.COMPLETED]]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("# fail", "TOOL_FAILED: out of paper"),
        ("# order", "another result was expected"),
        ("# hang", "TOOL_TIMEOUT"),
    ],
)
async def test_an_example_that_does_not_come_out_keeps_it_a_draft(
    shop: Shop, source: str, problem: str
) -> None:
    made = await shop.own(source, timeout_seconds=0.1)

    assert made.state is DraftState.DRAFT
    assert made.trial is not None
    assert problem in made.trial.examples[0].problem


async def test_a_result_that_breaks_the_declared_schema_fails_its_example(shop: Shop) -> None:
    made = await shop.own(
        result_schema='{"type":"object","required":["sum"]}',
        examples=(Example(arguments_json='{"n":1}', result_schema="{}"),) * 2,
    )

    assert made.trial is not None
    assert "TOOL_RESULT_INVALID" in made.trial.examples[0].problem


async def test_without_a_sandbox_nothing_is_tested_and_the_draft_is_as_it_was(shop: Shop) -> None:
    made = await shop.drafted()
    shop.python.unavailable = "SANDBOX_UNAVAILABLE"
    with pytest.raises(SandboxUnavailable):
        await shop.service.making.test(BOB, "double", "", own=True)
    shop.python.unavailable, shop.runtime.broken = "", True
    with pytest.raises(SandboxUnavailable):
        await shop.service.making.test(BOB, "double", "", own=True)

    assert await shop.service.making.get(BOB, "double") == made
    assert shop.python.jobs == []


async def test_a_kernel_without_python_takes_no_drafts() -> None:
    with pytest.raises(CapabilityMissing):
        await tool_service().making.draft(BOB, asks(), draft(), "")


async def test_a_sandbox_that_is_lost_in_the_middle_says_nothing_about_the_draft(shop: Shop) -> None:
    async def lose(_arguments: Any) -> Any:
        raise SandboxLost("it is gone")

    shop.python = FakePython(lose=lose)
    shop.restart()
    made = await shop.drafted("# lose")
    with pytest.raises(SandboxLost):
        await shop.service.making.test(BOB, "double", "", own=True)

    assert await shop.service.making.get(BOB, "double") == made


async def test_a_change_during_the_test_fails_the_test(shop: Shop) -> None:
    gate = Gate()
    shop.python = FakePython(slow=gate)
    shop.restart()
    made = await shop.drafted("# slow")
    testing = asyncio.create_task(shop.service.making.test(BOB, "double", "", own=True))
    await gate.entered.wait()
    await shop.drafted("# double", str(made.etag))
    gate.opened.set()

    with pytest.raises(EtagMismatch):
        await testing
    assert (await shop.service.making.get(BOB, "double")).state is DraftState.DRAFT


async def test_a_test_that_is_stopped_stops_what_it_runs(shop: Shop) -> None:
    gates = [Gate(), Gate()]
    for gate in gates:
        shop.python = FakePython(slow=gate)
        shop.restart()
        await shop.drafted("# slow", name=f"d{len(shop.queue.tickets)}")
        name = f"d{len(shop.queue.tickets)}"
        testing = asyncio.create_task(shop.service.making.test(BOB, name, "", own=True))
        await gate.entered.wait()
        if gate is gates[0]:
            testing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await testing
        else:
            shop.queue.tickets[-1].taken_back.set()
            with pytest.raises(Cancelled):
                await testing
        assert gate.cancelled.is_set()
        assert (await shop.service.making.get(BOB, name)).trial is None

    assert [ticket.ends for ticket in shop.queue.tickets] == [[Completion.CANCELLED], [Completion.FAILED]]


async def test_what_was_not_tested_as_it_is_cannot_be_shared(shop: Shop) -> None:
    made = await shop.drafted()
    with pytest.raises(ToolNotTested):
        await shop.service.sharing.share(BOB, "double", "")
    await shop.service.making.test(BOB, "double", "", own=False)
    await shop.drafted("# double\n", str(made.etag + 1))

    with pytest.raises(ToolNotTested):
        await shop.service.sharing.share(BOB, "double", "")
    assert shop.people.asked == []


async def test_sharing_waits_for_a_person_and_lets_everybody_call_then(shop: Shop) -> None:
    await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    assert asked.state is DraftState.OWN
    assert asked.approval
    with pytest.raises(ToolNotFound):
        await shop.call(ALICE, n=1)

    shop.people.say(asked.approval)
    assert (await shop.service.sharing.share(BOB, "double", "")).state is DraftState.SHARED
    assert (await shop.call(ALICE, n=4)).result_json == '{"result": 8}'
    assert shop.python.jobs[-1].scope == ALICE
    shown = (await shop.service.registry.show(ALICE, "bob.double")).tool
    assert (shown.effect, shown.needs_approval) == (Effect.PURE, False)


async def test_a_rejected_one_is_not_shared(shop: Shop) -> None:
    await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    shop.people.say(asked.approval, yes=False)
    again = await shop.service.sharing.share(BOB, "double", "")

    assert again.approval != asked.approval
    assert await shop.listed(ALICE) == []


async def test_one_changed_byte_loses_the_approval(shop: Shop) -> None:
    made = await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    shop.people.say(asked.approval)
    changed = await shop.own("# double\n", str(made.etag + 1))
    again = await shop.service.sharing.share(BOB, "double", "")

    assert changed.state is DraftState.OWN
    assert again.approval not in {"", asked.approval}
    assert shop.people.used == {}
    assert await shop.listed(ALICE) == []


async def test_the_owner_s_next_version_is_its_own_while_others_call_the_shared_one(shop: Shop) -> None:
    shared = await shop.shared()
    examples = (Example(arguments_json='{"n":1}', result_schema="{}"),) * 2
    await shop.own("# order", str(shared.etag), examples=examples)

    assert (await shop.call(ALICE, n=4)).result_json == '{"result": 8}'
    assert "IGNORE" in (await shop.call(BOB, n=4)).result_json


async def test_sharing_again_what_is_shared_asks_nobody(shop: Shop) -> None:
    await shop.shared()
    asked = len(shop.people.asked)

    assert (await shop.service.sharing.share(BOB, "double", "")).state is DraftState.SHARED
    await shop.service.making.delete(BOB, asks(), "double", "", allow_missing=False)
    await shop.own()
    assert (await shop.service.sharing.share(BOB, "double", "")).state is DraftState.SHARED
    assert len(shop.people.asked) == asked
    assert len(await shop.service.making.versions(BOB, "double", before=0, limit=9)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_process_that_goes_while_it_shares_shares_once(shop: Shop, when: str) -> None:
    await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    shop.restart()
    shop.people.say(asked.approval)
    setattr(shop.people, f"fail_{when}_use", True)
    with pytest.raises(ServiceUnavailable):
        await shop.service.sharing.share(BOB, "double", "")
    assert await shop.listed(ALICE) == []
    shop.restart()

    assert (await shop.service.sharing.share(BOB, "double", "")).state is DraftState.SHARED
    versions = await shop.service.making.versions(BOB, "double", before=0, limit=9)
    assert [(one.number, one.approval) for one in versions] == [(1, asked.approval)]


async def test_what_was_claimed_is_shared_though_the_draft_changed_before_the_restart(shop: Shop) -> None:
    made = await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    shop.people.say(asked.approval)
    shop.people.fail_after_use = True
    with pytest.raises(ServiceUnavailable):
        await shop.service.sharing.share(BOB, "double", "")
    known = await shop.service.making.get(BOB, "double")
    await shop.drafted("# order", str(known.etag))
    shop.restart()

    with pytest.raises(ToolNotTested):
        await shop.service.sharing.share(BOB, "double", "")
    versions = await shop.service.making.versions(BOB, "double", before=0, limit=9)
    assert [one.sha256 for one in versions] == [made.sha256]
    assert (await shop.call(ALICE, n=4)).result_json == '{"result": 8}'


async def test_an_approval_that_was_taken_back_is_given_up(shop: Shop) -> None:
    await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    shop.people.say(asked.approval)
    shop.people.fail_before_use = True
    with pytest.raises(ServiceUnavailable):
        await shop.service.sharing.share(BOB, "double", "")
    shop.people.say(asked.approval, yes=False)
    again = await shop.service.sharing.share(BOB, "double", "")

    assert again.approval != asked.approval
    assert again.claim is None
    assert await shop.listed(ALICE) == []


class Meanwhile(FakePeople):
    """People during whose answer something else happens."""

    happens: Callable[[], Awaitable[Any]] | None = None

    async def consume(self, scope: Scope, approval_id: str, *, sha256: str, shown_sha256: str) -> None:
        """Use it, and let it happen."""
        await super().consume(scope, approval_id, sha256=sha256, shown_sha256=shown_sha256)
        if self.happens is not None:
            await self.happens()


async def test_a_revocation_in_the_middle_of_sharing_wins(shop: Shop) -> None:
    shop.people = people = Meanwhile()
    shop.restart()
    first = await shop.shared()
    people.happens = lambda: shop.service.sharing.revoke(BOB, ADMIN, "double")
    second = await shop.shared("# double\n# 2", str(first.etag))

    assert second.state is DraftState.OWN
    assert await shop.listed(ALICE) == []
    assert len(await shop.service.making.versions(BOB, "double", before=0, limit=9)) == 1


class Fickle(FakePeople):
    """People who take an approval back before it is used."""

    async def consume(self, scope: Scope, approval_id: str, *, sha256: str, shown_sha256: str) -> None:
        """Refuse."""
        self.say(approval_id, yes=False)
        await super().consume(scope, approval_id, sha256=sha256, shown_sha256=shown_sha256)


async def test_an_approval_that_does_not_count_when_it_is_used_shares_nothing(shop: Shop) -> None:
    shop.people = Fickle()
    shop.restart()
    await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    shop.people.say(asked.approval)
    with pytest.raises(ApprovalRequired):
        await shop.service.sharing.share(BOB, "double", "")

    assert (await shop.service.making.get(BOB, "double")).claim is None
    assert await shop.listed(ALICE) == []


async def test_of_many_who_share_at_once_one_version_comes(shop: Shop) -> None:
    await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    shop.people.say(asked.approval)
    found = await asyncio.gather(*(shop.service.sharing.share(BOB, "double", "") for _ in range(8)))

    assert {one.state for one in found} == {DraftState.SHARED}
    assert {request.shown for request in shop.people.asked} == {shop.people.asked[0].shown}
    assert len(shop.people.asked) == 2
    assert len(await shop.service.making.versions(BOB, "double", before=0, limit=9)) == 1


async def test_a_change_while_it_is_shared_changes_nothing_of_what_was_approved(shop: Shop) -> None:
    made = await shop.own()
    asked = await shop.service.sharing.share(BOB, "double", "")
    shop.people.say(asked.approval)

    async def change() -> None:
        while True:
            with suppress(EtagMismatch):  # the draft goes on being shared meanwhile
                known = await shop.service.making.get(BOB, "double")
                await shop.drafted("# order", str(known.etag))
                return

    async def share() -> None:
        with suppress(EtagMismatch, ToolNotTested):
            await shop.service.sharing.share(BOB, "double", "")

    await asyncio.gather(change(), share())
    versions = await shop.service.making.versions(BOB, "double", before=0, limit=9)
    assert {one.sha256 for one in versions} <= {made.sha256}
    assert (await shop.service.making.get(BOB, "double")).content.code.source == "# order"


async def test_rolling_back_needs_no_approval_and_is_in_the_log(shop: Shop) -> None:
    first = await shop.shared()
    second = await shop.shared("# double\n# 2", str(first.etag))
    back = await shop.service.sharing.roll_back(BOB, ADMIN, "double", 1)

    assert (back.number, back.sha256) == (1, first.sha256)
    tool = (await shop.service.registry.show(ALICE, "bob.double")).tool
    assert tool.made is not None
    assert (tool.made.number, tool.made.sha256) == (1, first.sha256)
    assert second.sha256 != first.sha256
    assert shop.audit.noted[-1] == ("RollBackTool", "tool.revoke", "agents/bob/drafts/double")
    assert "it leaks" in shop.audit.words[-1]
    assert (await shop.service.making.get(BOB, "double")).state is DraftState.TESTED


async def test_the_owner_does_not_come_back_from_a_roll_back_by_itself(shop: Shop) -> None:
    first = await shop.shared()
    await shop.shared("# double\n# 2", str(first.etag))
    await shop.service.sharing.roll_back(BOB, ADMIN, "double", 1)
    used = dict(shop.people.used)
    again = await shop.service.sharing.share(BOB, "double", "")

    assert again.state is DraftState.TESTED
    assert again.approval not in used


async def test_there_is_no_rolling_back_to_what_is_not_there_or_was_revoked(shop: Shop) -> None:
    await shop.shared()
    with pytest.raises(ToolNotFound):
        await shop.service.sharing.roll_back(BOB, ADMIN, "double", 2)
    assert await shop.service.sharing.revoke(BOB, ADMIN, "double") == 1
    with pytest.raises(ToolNotFound):
        await shop.service.sharing.roll_back(BOB, ADMIN, "double", 1)
    with pytest.raises(ToolNotFound):
        await shop.service.sharing.revoke(BOB, ADMIN, "double")


async def test_nothing_is_taken_back_that_the_log_does_not_have(shop: Shop) -> None:
    await shop.shared()
    shop.audit.down = True
    with pytest.raises(ServiceUnavailable):
        await shop.service.sharing.revoke(BOB, ADMIN, "double")

    assert await shop.listed(ALICE) == ["bob.double"]


async def test_revoking_ends_the_calls_that_run(shop: Shop) -> None:
    gate = Gate()
    shop.python = FakePython(slow=gate)
    shop.restart()
    gate.opened.set()
    examples = (Example(arguments_json='{"n":1}', result_schema="{}"),) * 2
    await shop.shared("# slow", examples=examples)
    gate.opened.clear()
    gate.entered.clear()
    running = asyncio.create_task(shop.call(ALICE, n=1))
    await gate.entered.wait()
    await shop.service.sharing.revoke(BOB, ADMIN, "double")
    ended = await running

    assert gate.cancelled.is_set()
    assert ended.error is not None
    assert ended.error.reason == "TOOL_NOT_FOUND"
    with pytest.raises(ToolNotFound):
        await shop.call(ALICE, n=1)


async def test_a_call_that_begins_after_the_revocation_does_not_run(shop: Shop) -> None:
    await shop.shared()
    jobs = len(shop.python.jobs)
    held = HeldQueue()
    shop.queue = held
    shop.restart()
    waiting = asyncio.create_task(shop.call(ALICE, n=1))
    await until(lambda: bool(held.tickets))
    await shop.store.write(BOB, lambda tx: tx.drop_tool("bob.double"))
    held.go.set()
    ended = await waiting

    assert ended.error is not None
    assert ended.error.reason == "TOOL_NOT_FOUND"
    assert len(shop.python.jobs) == jobs


async def test_a_call_does_not_run_what_was_rolled_back_while_it_waited(shop: Shop) -> None:
    first = await shop.shared()
    await shop.shared("# double\n# 2", str(first.etag))
    held = HeldQueue()
    shop.queue = held
    shop.restart()
    waiting = asyncio.create_task(shop.call(ALICE, n=1))
    await until(lambda: bool(held.tickets))
    await shop.service.sharing.roll_back(BOB, ADMIN, "double", 1)
    held.go.set()
    ended = await waiting

    assert ended.error is not None
    assert ended.error.reason == "TOOL_CHANGED"


class HeldQueue(FreeQueue):
    """A queue in which everybody waits until a test lets them go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def join(self, needs: Any) -> Any:
        """Return a turn that comes later."""
        ticket = await super().join(needs)
        setattr(ticket, "granted", self.go.wait)  # noqa: B010 - of this ticket alone
        return ticket


async def test_killing_the_author_takes_nothing_away_from_others(shop: Shop) -> None:
    await shop.shared()
    _killed(shop.service, "acme", "bob")

    assert (await shop.call(ALICE, n=2)).state is CallState.SUCCEEDED
    assert await shop.listed(ALICE) == ["bob.double"]


async def test_a_purge_takes_it_away(shop: Shop) -> None:
    await shop.shared()
    await shop.service.purging.purge(BOB)

    assert await shop.listed(ALICE) == []
    assert await shop.service.making.versions(BOB, "double", before=0, limit=9) == []


async def test_a_tool_that_is_called_like_the_kernel_s_shadows_nothing(shop: Shop) -> None:
    await shop.shared(name="calculator")

    assert await shop.listed(ALICE) == ["bob.calculator"]
    ended = await shop.call(ALICE, "calculator", expression="6*7")
    assert ended.result_json == '{"result": 42}'


async def test_what_a_marked_agent_s_tool_says_is_untrusted_and_what_it_prints_is_no_result(
    shop: Shop,
) -> None:
    examples = (Example(arguments_json='{"n":1}', result_schema="{}"),) * 2
    await shop.shared("# order", untrusted=True, examples=examples)
    ended = await shop.call(ALICE, n=1)

    assert ended.untrusted
    assert (await shop.service.registry.show(ALICE, "bob.double")).tool.untrusted


async def test_a_thousand_changes_pass_the_quota_of_an_hour_and_no_more() -> None:
    shop = Shop(config=ToolConfig(quota_tool_changes=Cap.of(40), quota_drafts=Cap.of(1_000)))
    refused: list[KernelError] = []
    for number in range(1_000):
        try:
            await shop.drafted(name=f"d{number}")
        except QuotaExceeded as error:
            refused.append(error)

    assert len(refused) == 960
    assert refused[0].metadata == {"quota": "tool_changes", "level": "agent", "limit": "40", "wanted": "41"}
    assert refused[0].retry_after == 3_600.0
    shop.clock.advance(3_601)
    await shop.drafted(name="later")
    used = {one.quota: one.used for one in await shop.service.calls.usage(BOB)}
    assert (used["drafts"], used["tool_changes"]) == (41, 1)


async def test_a_draft_that_is_too_much_changes_nothing() -> None:
    shop = Shop(config=ToolConfig(quota_draft_bytes=Cap.of(4_000)))
    made = await shop.drafted()
    with pytest.raises(QuotaExceeded):
        await shop.drafted("# double" + "#" * 9_000, str(made.etag))

    assert await shop.service.making.get(BOB, "double") == made


def python(**fields: Any) -> Tool:
    return Tool(
        id=fields.pop("id", "bob.double"),
        description="x",
        driver=Driver(DriverKind.PYTHON, python=PythonCode(source="# double", function="f")),
        **fields,
    )


async def test_an_agent_registers_no_python_tool_and_an_administrator_does(shop: Shop) -> None:
    with pytest.raises(PermissionDenied):
        await shop.service.registry.register(BOB, asks(), python(), "")
    root = Scope("acme", "root")
    made = await shop.service.registry.register(
        root, asks("root", admin=True), python(id="triple", effect=Effect.IRREVERSIBLE), ""
    )

    assert made.tool.made is None
    assert await shop.listed(ALICE) == ["triple"]


async def test_no_version_is_replaced_or_removed_by_registering(shop: Shop) -> None:
    await shop.shared()
    provided = Tool(id="bob.double", description="x")
    for admin in (False, True):
        who = asks(admin=admin)
        with pytest.raises((PermissionDenied, ToolExists)):
            await shop.service.registry.register(BOB, who, provided, "1")
        with pytest.raises(PermissionDenied):
            await shop.service.registry.unregister(BOB, who, "bob.double", "", allow_missing=False)

    assert (await shop.call(ALICE, n=4)).result_json == '{"result": 8}'


async def test_a_draft_does_not_take_the_name_of_a_registered_tool_nor_the_other_way(shop: Shop) -> None:
    await shop.service.registry.register(ALICE, asks("alice"), Tool(id="bob.taken", description="x"), "")
    with pytest.raises(ToolExists):
        await shop.drafted(name="taken")
    await shop.drafted(name="mine")
    with pytest.raises(ToolExists):
        await shop.service.registry.register(BOB, asks(), Tool(id="bob.mine", description="x"), "")


async def test_a_name_that_was_taken_meanwhile_is_not_shared_over(shop: Shop) -> None:
    await shop.own()
    await shop.service.registry.register(ALICE, asks("alice"), Tool(id="bob.double", description="x"), "")
    with pytest.raises(ToolExists):
        await shop.service.sharing.share(BOB, "double", "")

    assert shop.people.asked == []


async def test_a_repeated_draft_is_kept_once(shop: Shop) -> None:
    who = asks(request_id="r1")
    first = await shop.service.making.draft(BOB, who, draft(), "")
    again = await shop.service.making.draft(BOB, who, draft(), "")

    assert first == again
    with pytest.raises(ToolExists):
        await shop.drafted("# order")
    with pytest.raises(EtagMismatch):
        await shop.drafted("# order", "99")
    with pytest.raises(ToolNotFound):
        await shop.drafted(etag="1", name="other")
