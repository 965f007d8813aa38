"""The memory manager against a dictionary: whatever happens, reads say what was last written."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import QuotaExceeded
from services.memory.config import MemoryConfig
from services.memory.core.ranking import Search
from services.memory.errors import AlreadyExists, EtagMismatch, NoteNotFound
from services.memory.model import Fields, Filter, Link, Mode, Order, SearchMode
from tests.fakes.clock import FakeClock
from tests.fakes.examples import examples
from tests.fakes.memory import memory_service
from tests.fakes.stores.memory import InMemoryStore

T = TypeVar("T")

QUOTA = 120
KEYS = st.sampled_from(["a", "b", "c/1", "c/2", "d"])
CONTENTS = st.sampled_from(["red", "red blue " * 3, "green " * 9, ""])
AGENTS = st.sampled_from(["planner", "critic"])
MODES = st.sampled_from(list(Mode))
LIVES = st.sampled_from([None, None, 5.0, 50.0])


class SharedStore(InMemoryStore):
    """A store that other processes may write to as well: RAM must be checked."""

    exclusive = False


class MemoryMachine(RuleBasedStateMachine):
    """Two agents with tiny blocks of RAM; the model is a dictionary for each."""

    store_class: type[InMemoryStore] = InMemoryStore

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        config = MemoryConfig(
            quota_note_bytes=Cap.of(QUOTA), block_bytes=60, max_resident_bytes=80, quota_notes=Cap.of(4)
        )
        both = memory_service(config=config, store=self.store_class(self.clock), clock=self.clock)
        self.service, self.searching = both.notes, both.searching
        self.model: dict[str, dict[str, Fields]] = {"planner": {}, "critic": {}}
        self.requests = 0

    def teardown(self) -> None:
        self.runner.close()

    def run(self, call: Awaitable[T]) -> T | type[Exception]:
        async def caught() -> T | type[Exception]:
            try:
                return await call
            except (NoteNotFound, EtagMismatch, QuotaExceeded, AlreadyExists) as error:
                return type(error)

        return self.runner.run(caught())

    def living(self, agent: str) -> dict[str, Fields]:
        now = self.clock.now()
        return {
            key: fields
            for key, fields in self.model[agent].items()
            if fields.expires_at is None or fields.expires_at > now
        }

    def forget_expired(self, agent: str) -> None:
        living = self.living(agent)
        gone = self.model[agent].keys() - living.keys()
        self.model[agent] = {key: _without(fields, gone) for key, fields in living.items()}

    def fits(self, agent: str, key: str, fields: Fields) -> bool:
        """Tell whether a write fits, perhaps after expired notes have gone."""

        def now_fits() -> bool:
            notes = self.model[agent]
            old = notes.get(key)
            size = sum(item.size for item in notes.values()) + fields.size - (old.size if old else 0)
            grows = fields.size > (old.size if old else 0)
            return not ((grows and size > QUOTA) or (old is None and len(notes) >= 4))

        if now_fits():
            return True
        self.forget_expired(agent)
        return now_fits()

    @rule(agent=AGENTS, key=KEYS, content=CONTENTS, mode=MODES, life=LIVES, to=KEYS, stale=st.booleans())
    def put(
        self, agent: str, key: str, *, content: str, mode: Mode, life: float | None, to: str, stale: bool
    ) -> None:
        expires = self.clock.now() + timedelta(seconds=life) if life else None
        fields = Fields(content, links=(Link(to),) if to != key else (), expires_at=expires)
        etag = "stale" if stale else ""
        actor = RequestIdentity(agent, "PutNote")
        got = self.run(self.service.put(Scope("t", agent), actor, key, fields, mode=mode, etag=etag))
        there = key in self.living(agent)
        if there and mode is Mode.CREATE:
            assert got is AlreadyExists
        elif not there and (stale or mode is Mode.REPLACE):
            assert got is NoteNotFound
        elif there and stale:
            assert got is EtagMismatch
        elif not self.fits(agent, key, fields):
            assert got is QuotaExceeded
        else:
            assert not isinstance(got, type)
            assert got.created is not there
            self.model[agent][key] = fields

    @rule(agent=AGENTS, key=KEYS, content=CONTENTS)
    def update_twice_with_one_request(self, agent: str, key: str, content: str) -> None:
        self.requests += 1
        actor = RequestIdentity(agent, "UpdateNote", f"r{self.requests}", b"digest")
        changes: dict[str, Any] = {"content": content}
        old = self.living(agent).get(key)
        got = self.run(self.service.update(Scope("t", agent), actor, key, changes, etag=""))
        if old is None:
            assert got is NoteNotFound
            return
        fields = Fields(content, links=old.links, expires_at=old.expires_at)
        if not self.fits(agent, key, fields):
            assert got is QuotaExceeded
            return
        if key in self.model[agent]:
            old = self.model[agent][key]  # links may have gone with expired notes
        self.model[agent][key] = Fields(content, links=old.links, expires_at=old.expires_at)
        again = self.run(self.service.update(Scope("t", agent), actor, key, changes, etag=""))
        assert again == got

    @rule(agent=AGENTS, key=KEYS)
    def delete(self, agent: str, key: str) -> None:
        there = key in self.living(agent)
        actor = RequestIdentity(agent, "DeleteNote")
        got = self.run(self.service.delete(Scope("t", agent), actor, key, etag="", allow_missing=False))
        assert got is (None if there else NoteNotFound)
        if there:
            del self.model[agent][key]
            self.model[agent] = {k: _without(fields, {key}) for k, fields in self.model[agent].items()}

    @rule(agent=AGENTS, key=KEYS)
    def get(self, agent: str, key: str) -> None:
        got = self.run(self.service.get(Scope("t", agent), key))
        expected = self.living(agent).get(key)
        if expected is None:
            assert got is NoteNotFound
        else:
            assert not isinstance(got, type)
            assert got.fields == expected

    @rule(agent=AGENTS)
    def find_red(self, agent: str) -> None:
        search = Search("red", SearchMode.LEXICAL)
        got = self.run(self.searching.find(Scope("t", agent), search, skip=0, limit=10, room=10_000))
        assert not isinstance(got, type)
        expected = {key for key, fields in self.living(agent).items() if "red" in fields.content.split()}
        assert {found.note.key for found in got[0]} == expected

    @rule(seconds=st.sampled_from([0.5, 6.0, 60.0]), sweep=st.booleans())
    def wait(self, seconds: float, *, sweep: bool) -> None:
        self.clock.advance(seconds)
        if sweep:
            self.run(self.service.sweep())
            for agent in self.model:
                self.forget_expired(agent)

    @invariant()
    def lists_and_sums_agree_with_the_model(self) -> None:
        for agent in self.model:
            scope = Scope("t", agent)
            got = self.run(self.service.page(scope, Filter(), Order.KEY, after=None, limit=10, room=10_000))
            usage = self.run(self.service.usage(scope))
            assert not isinstance(got, type)
            assert not isinstance(usage, type)
            assert {held.note.key: held.note.fields for held in got[0]} == self.living(agent)
            assert usage.totals.count == len(self.model[agent])
            assert usage.totals.bytes == sum(fields.size for fields in self.model[agent].values())
            assert usage.resident.bytes <= usage.high_water_bytes


class SharedMachine(MemoryMachine):
    """The same where RAM is checked against the store."""

    store_class = SharedStore


def _without(fields: Fields, gone: set[str]) -> Fields:
    links = tuple(link for link in fields.links if link.key not in gone)
    return Fields(fields.content, links=links, expires_at=fields.expires_at)


MemoryMachine.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=25, deadline=None)
SharedMachine.TestCase.settings = settings(max_examples=examples(15), stateful_step_count=25, deadline=None)
TestMemory = MemoryMachine.TestCase
TestSharedMemory = SharedMachine.TestCase
