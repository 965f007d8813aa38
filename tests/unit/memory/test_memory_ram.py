"""RAM and store agree, whatever comes between them."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import ServiceUnavailable
from services.memory.config import MemoryConfig
from services.memory.core.notes import Written
from services.memory.model import Fields, Mode
from services.memory.ports import Transaction
from services.memory.service.facade import MemoryService
from tests.fakes.clock import FakeClock
from tests.fakes.memory import memory_service
from tests.fakes.meters import RecordingMeter
from tests.fakes.stores.memory import InMemoryStore

T = TypeVar("T")

PLANNER = Scope("acme", "planner")
ACTOR = RequestIdentity("planner", "PutNote")


class GatedStore(InMemoryStore):
    """A store whose reads and writes wait for a gate, before and after the effect, and may then fail."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.before_write, self.after_read = asyncio.Event(), asyncio.Event()
        self.entered = asyncio.Event()
        self.fail_after_write = False
        self.open()

    def open(self) -> None:
        """Let everything pass."""
        self.before_write.set()
        self.after_read.set()

    async def read(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Read, then wait."""
        result = await super().read(scope, work)
        self.entered.set()
        await self.after_read.wait()
        return result

    async def write(self, scope: Scope, work: Callable[[Transaction], T]) -> T:
        """Wait, then write."""
        self.entered.set()
        await self.before_write.wait()
        result = await super().write(scope, work)
        if self.fail_after_write:
            raise ServiceUnavailable("no answer in time", retry_after=1.0)
        return result


@pytest.fixture
def store() -> GatedStore:
    return GatedStore()


@pytest.fixture
def service(store: GatedStore) -> MemoryService:
    return memory_service(store=store)


async def put(service: MemoryService, key: str, content: str, scope: Scope = PLANNER) -> Written:
    return await service.notes.put(scope, ACTOR, key, Fields(content), mode=Mode.ANY, etag="")


async def content(service: MemoryService, key: str) -> str:
    return (await service.notes.get(PLANNER, key)).fields.content


async def test_a_write_whose_caller_left_is_known_in_ram(service: MemoryService, store: GatedStore) -> None:
    await put(service, "n", "old")
    store.before_write.clear()
    store.entered.clear()
    task = asyncio.create_task(put(service, "n", "new"))
    await store.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store.open()
    await put(service, "other", "")  # comes after the abandoned one

    assert await content(service, "n") == "new"


async def test_a_read_that_began_before_a_write_does_not_bring_the_old_note_back(
    service: MemoryService, store: GatedStore
) -> None:
    await put(service, "n", "old")
    service.notes._caches.of(PLANNER).notes.clear()
    store.after_read.clear()
    store.entered.clear()
    reading = asyncio.create_task(content(service, "n"))
    await store.entered.wait()
    await put(service, "n", "new")
    store.open()

    assert await reading == "old"  # it overlapped with the write: either answer is right
    assert await content(service, "n") == "new"


async def test_after_an_unknown_outcome_ram_is_read_anew(service: MemoryService, store: GatedStore) -> None:
    await put(service, "n", "old")
    store.fail_after_write = True
    with pytest.raises(ServiceUnavailable):
        await put(service, "n", "new")

    assert await content(service, "n") == "new"


async def test_writes_of_one_agent_do_not_wait_for_another(service: MemoryService, store: GatedStore) -> None:
    store.before_write.clear()
    first = asyncio.create_task(put(service, "n", "a"))
    await store.entered.wait()
    lock = service.notes._caches.of(PLANNER).lock
    other = service.notes._caches.of(Scope("acme", "critic")).lock

    assert lock.locked()
    assert not other.locked()
    store.open()
    await first


async def test_the_process_keeps_to_its_ram_by_dropping_agents_that_were_away() -> None:
    config = MemoryConfig(block_bytes=100, max_resident_bytes=150)
    meter = RecordingMeter()
    service = memory_service(config=config, meter=meter)
    scopes = [Scope("acme", f"agent{number}") for number in range(4)]
    for scope in scopes:
        await put(service, "n", "x" * 70, scope)
    usages = [await service.notes.usage(scope) for scope in scopes]

    assert [usage.resident.bytes for usage in usages] == [0, 0, 70, 70]
    assert all(usage.totals.bytes == 70 for usage in usages)


async def test_times_of_use_reach_the_store_with_the_next_sweep() -> None:
    clock = FakeClock()
    store = InMemoryStore(clock)
    service = memory_service(store=store, clock=clock)
    await put(service, "n", "")
    clock.advance(60)
    await service.notes.get(PLANNER, "n")
    await service.notes.sweep()
    note = await store.read(PLANNER, lambda tx: tx.note("n"))

    assert note is not None
    assert note.accessed_at == clock.now()
