"""What agents make, on every store: what is kept, and that nothing is shared that no person approved."""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.chassis.auth.identity import Scope
from services.chassis.db import open_database
from services.chassis.rpc.errors import KernelError
from services.tool.core import making
from services.tool.core.making import Draft, DraftState, ExampleEnd, Trial, Version
from services.tool.errors import ToolNotFound
from services.tool.model import DriverKind, Effect
from services.tool.ports import Store, Transaction
from services.tool.service.sharing import TakenBack
from services.tool.store.sql import MIGRATIONS, SqlStore
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated
from tests.fakes.examples import examples
from tests.fakes.stores.tool import InMemoryStore
from tests.fakes.tool import tool_service
from tests.fakes.tool_making import ALICE, BOB, NOW, FakePeople, FakePython, FreeQueue, asks, draft

STRANGER = Scope("other", "bob")
ADMIN: Final = TakenBack(asks("root", admin=True), "a reason")
SOURCES: Final = ("# double\nA", "# double\nB", "# fail")
WALK: Final = 60
CLOCK = FakeClock()


def trial(of: Draft) -> Trial:
    return Trial(
        sha256=of.sha256,
        source_sha256=making.source_digest(of.content),
        interpreter="3.11.7",
        sandbox="landlock",
        examples=(ExampleEnd(passed=True, result_json="ünï"), ExampleEnd(passed=False, problem="no")),
        tested_at=NOW,
    )


def version(number: int, *, name: str = "double") -> Version:
    made = draft(name=name)
    return Version(
        agent="bob",
        draft=name,
        number=number,
        content=made.content,
        trial=trial(made),
        effect=Effect.PURE,
        approval=f"a{number}",
        untrusted=True,
        shared_at=NOW,
    )


async def put(store: Store, made: Draft | Version) -> None:
    """Keep something of Bob's."""

    def work(tx: Transaction) -> None:
        if isinstance(made, Draft):
            tx.put_draft(made)
        else:
            tx.put_version(made)

    await store.write(BOB, work)


class Workshop:
    """What agents, people and an administrator may do to one draft, and what must hold after it."""

    def __init__(self, store: Store) -> None:
        self.people = FakePeople()
        self.store = store
        self.restart()
        self.passed: set[str] = set()
        """Digests that passed their examples."""
        self.revoked: set[int] = set()

    def restart(self) -> None:
        """Let another process take over."""
        self.service = tool_service(
            store=self.store,
            sharing=self.people,
            queue=FreeQueue(),
            drivers={DriverKind.PYTHON: FakePython()},
        )

    async def do(self, what: str, which: int, *, own: bool) -> None:
        """Do one thing; what is refused changes nothing that matters here."""
        deeds: dict[str, Callable[[], Awaitable[None]]] = {
            "draft": lambda: self._draft(which),
            "test": lambda: self._test(own=own),
            "share": lambda: self._share(which),
            "say": lambda: self._say(which),
            "roll back": lambda: self._roll_back(which),
            "revoke": self._revoke,
            "delete": lambda: self.service.making.delete(BOB, asks(), "double", "", allow_missing=True),
        }
        if what == "restart":
            self.restart()
            return
        with suppress(KernelError):
            await deeds[what]()

    async def _known(self) -> Draft | None:
        return await self.store.read(BOB, lambda tx: tx.draft("double"))

    async def _draft(self, which: int) -> None:
        known = await self._known()
        etag = str(known.etag) if known else ""
        await self.service.making.draft(BOB, asks(), draft(SOURCES[which]), etag)

    async def _test(self, *, own: bool) -> None:
        tested = await self.service.making.test(BOB, "double", "", own=own)
        if tested.state.passed:
            self.passed.add(tested.sha256)

    async def _share(self, how: int) -> None:
        self.people.fail_before_use, self.people.fail_after_use = how == 1, how == 2
        await self.service.sharing.share(BOB, "double", "")

    async def _say(self, which: int) -> None:
        known = await self._known()
        if known is not None and known.approval:
            self.people.say(known.approval, yes=which != 0)

    async def _roll_back(self, which: int) -> None:
        await self.service.sharing.roll_back(BOB, ADMIN, "double", which + 1)

    async def _revoke(self) -> None:
        there = await self.service.making.versions(BOB, "double", before=0, limit=99)
        await self.service.sharing.revoke(BOB, ADMIN, "double")
        self.revoked |= {one.number for one in there}

    async def check(self) -> None:
        """Hold what is kept against what was approved."""
        kept = await self.service.making.versions(BOB, "double", before=0, limit=999)
        known = await self.store.read(BOB, lambda tx: tx.draft("double"))
        by_number = {one.number: one for one in kept}
        assert [one.number for one in kept] == list(range(len(kept), 0, -1))
        assert len({one.approval for one in kept}) == len(kept), "an approval shares once"
        for one in kept:
            assert one.sha256 in self.passed
            assert self.people.used[one.approval][0] == one.sha256, "exactly what a person approved"
            assert (one.revoked_at is not None) == (one.number in self.revoked)
        alices, bobs = await self._sees(ALICE), await self._sees(BOB)
        if alices is not None:
            assert by_number[alices.number].sha256 == alices.sha256
            assert alices.number not in self.revoked
        if known is not None and known.state is DraftState.OWN:
            assert (bobs.sha256, bobs.number) == (known.sha256, 0)
            assert known.sha256 in self.passed
        else:
            assert bobs == alices
        if known is not None and known.state is DraftState.SHARED:
            assert alices is not None
            assert alices.sha256 == known.sha256
        assert await self._sees(STRANGER) is None

    async def _sees(self, scope: Scope) -> Any:
        try:
            return (await self.service.registry.get(scope, "bob.double")).made
        except ToolNotFound:
            return None


DEEDS: Final = ("draft", "test", "share", "say", "roll back", "revoke", "delete", "restart")
LIKELY: Final = ("draft", "test", "test", "share", "share", "share", "say", "say", *DEEDS)


class MakingContract:
    """Subclasses supply `store`."""

    async def test_a_draft_comes_back_as_it_was_put_and_is_its_agent_s_alone(self, store: Store) -> None:
        made = replace(draft(), trial=trial(draft()), state=DraftState.OWN, approval="a1")
        claimed, _ = making.claimed(
            making.tested(draft(), replace(trial(draft()), examples=trial(draft()).examples[:1]), own=True),
            "a1",
            making.SharingRequest(
                tool="bob.double", sha256=made.sha256, number=1, replaces=0, description="", shown="{}"
            ),
            NOW,
        )
        size = await store.write(BOB, lambda tx: tx.put_draft(claimed))

        assert await store.read(BOB, lambda tx: tx.draft("double")) == claimed
        assert await store.read(BOB, lambda tx: tx.draft_size("double")) == size > 0
        assert await store.read(ALICE, lambda tx: tx.draft("double")) is None
        assert await store.read(STRANGER, lambda tx: tx.draft("double")) is None

    async def test_drafts_are_listed_by_name_and_state(self, store: Store) -> None:
        for name in ("b", "a-1", "a", "a_1"):
            state = DraftState.OWN if name.startswith("a") else DraftState.DRAFT
            one = replace(draft(name=name), state=state)
            await put(store, one)
        await store.write(ALICE, lambda tx: tx.put_draft(draft(agent="alice", name="c")))

        found = await store.read(BOB, lambda tx: tx.drafts(after="", limit=9))
        own = await store.read(BOB, lambda tx: tx.drafts(after="a", limit=2, state=DraftState.OWN))
        assert [one.name for one in found] == ["a", "a-1", "a_1", "b"]
        assert [one.name for one in own] == ["a-1", "a_1"]

    async def test_a_dropped_draft_is_gone(self, store: Store) -> None:
        await store.write(BOB, lambda tx: tx.put_draft(draft()))
        await store.write(BOB, lambda tx: tx.drop_draft("double"))
        await store.write(BOB, lambda tx: tx.drop_draft("unheard-of"))

        assert await store.read(BOB, lambda tx: tx.draft("double")) is None
        assert await store.read(BOB, lambda tx: tx.draft_size("double")) == 0

    async def test_versions_are_listed_newest_first(self, store: Store) -> None:
        for one in map(version, (1, 2, 10)):
            await put(store, one)
        await store.write(BOB, lambda tx: tx.put_version(version(4, name="other")))

        found = await store.read(BOB, lambda tx: tx.versions("double", before=0, limit=2))
        rest = await store.read(BOB, lambda tx: tx.versions("double", before=2, limit=9))
        assert [one.number for one in [*found, *rest]] == [10, 2, 1]
        assert await store.read(BOB, lambda tx: tx.version("double", 2)) == version(2)
        assert await store.read(BOB, lambda tx: tx.version("double", 0)) == version(10)
        assert await store.read(BOB, lambda tx: tx.version("double", 3)) is None
        assert await store.read(ALICE, lambda tx: tx.version("double", 0)) is None

    async def test_a_version_that_is_revoked_is_charged_what_it_grew(self, store: Store) -> None:
        revoked = replace(version(1), revoked_at=NOW, revoke_reason="why")
        first = await store.write(BOB, lambda tx: tx.put_version(version(1)))
        more = await store.write(BOB, lambda tx: tx.put_version(revoked))

        assert first > more > 0
        assert await store.read(BOB, lambda tx: tx.version("double", 1)) == revoked

    async def test_a_purge_leaves_nothing_of_what_an_agent_made(self, store: Store) -> None:
        await store.write(BOB, lambda tx: tx.put_draft(draft()))
        await store.write(BOB, lambda tx: tx.put_version(version(1)))
        await store.write(STRANGER, lambda tx: tx.put_draft(draft()))
        await store.purge(BOB)

        assert await store.read(BOB, lambda tx: tx.draft("double")) is None
        assert await store.read(BOB, lambda tx: tx.version("double", 0)) is None
        assert await store.read(STRANGER, lambda tx: tx.draft("double")) is not None

    async def test_whatever_is_done_only_what_a_person_approved_is_shared(self, store: Store) -> None:
        shop, dice = Workshop(store), random.Random(7)  # noqa: S311 - dice
        for _ in range(WALK):
            await shop.do(dice.choice(LIKELY), dice.randrange(3), own=dice.random() < 0.7)
            await shop.check()

        assert await shop.service.making.versions(BOB, "double", before=0, limit=9)


class TestInMemory(MakingContract):
    @pytest.fixture
    def store(self) -> Store:
        return InMemoryStore()


class TestSqlite(MakingContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with migrated(f"sqlite:///{tmp_path}/tool.db", MIGRATIONS) as database:
            yield SqlStore(database, CLOCK)


@pytest.mark.postgres
class TestPostgres(MakingContract):
    @pytest.fixture
    async def store(self, lent_postgres_url: str) -> AsyncIterator[Store]:
        async with migrated(lent_postgres_url, MIGRATIONS, schema="tool") as database:
            yield SqlStore(database, CLOCK)


class Machine(RuleBasedStateMachine):
    """Any order of deeds, and of losses between them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.shop = Workshop(self.runner.run(self.store()))

    async def store(self) -> Store:
        """Make the store under test."""
        return InMemoryStore()

    async def close(self) -> None:
        """Close it."""

    def run_(self, deed: Awaitable[None]) -> None:
        async def finish() -> None:
            await deed

        self.runner.run(finish())

    @rule(which=st.integers(0, 2))
    def drafted(self, which: int) -> None:
        self.run_(self.shop.do("draft", which, own=False))

    @rule(own=st.booleans())
    def tested(self, *, own: bool) -> None:
        self.run_(self.shop.do("test", 0, own=own))

    @rule(how=st.integers(0, 2))
    def shared(self, how: int) -> None:
        self.run_(self.shop.do("share", how, own=False))

    @rule(yes=st.booleans())
    def said(self, *, yes: bool) -> None:
        self.run_(self.shop.do("say", int(yes), own=False))

    @rule(which=st.integers(0, 2))
    def rolled_back(self, which: int) -> None:
        self.run_(self.shop.do("roll back", which, own=False))

    @rule(what=st.sampled_from(["revoke", "delete", "restart"]))
    def other(self, what: str) -> None:
        self.run_(self.shop.do(what, 0, own=False))

    @invariant()
    def holds(self) -> None:
        self.run_(self.shop.check())

    def teardown(self) -> None:
        self.run_(self.close())
        self.runner.close()


class SqliteMachine(Machine):
    """The same on SQLite."""

    async def store(self) -> Store:
        self.directory = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.directory.name) / 'tool.db'}"
        self.database = open_database(url, migrations=MIGRATIONS)
        await self.database.migrate()
        return SqlStore(self.database, CLOCK)

    async def close(self) -> None:
        await self.database.close()
        self.directory.cleanup()


Machine.TestCase.settings = settings(max_examples=examples(12), stateful_step_count=20, deadline=None)
SqliteMachine.TestCase.settings = settings(max_examples=examples(2), stateful_step_count=12, deadline=None)
TestAnyOrder = Machine.TestCase
TestAnyOrderOnSqlite = SqliteMachine.TestCase
