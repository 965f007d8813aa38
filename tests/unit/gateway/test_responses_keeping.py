"""What is kept of responses: for how long, what goes on from it, who generates what has not ended."""

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.http.responses import ids
from gateway.http.responses.errors import PreviousNotFound
from gateway.http.responses.model import History, Keeper, Name, Record, Work
from gateway.http.responses.service.claims import Claims
from gateway.http.responses.service.keeping import (
    Library,
    conversation_name,
    finished_name,
    pending_name,
    scratch_name,
)
from services.chassis.chat import ChatMessage, Role
from services.chassis.rpc.errors import KernelError, ServiceUnavailable
from tests.fakes.stores.responses import InMemoryShelf

DAY = 86_400.0
ME = Keeper("acme", "planner")
ASK, SAY = ChatMessage(Role.USER, "ask"), ChatMessage(Role.ASSISTANT, "say")


@dataclass
class Kept:
    """A library on a shelf in memory, with a clock that stands still."""

    shelf: InMemoryShelf = field(default_factory=InMemoryShelf)

    def __post_init__(self) -> None:
        self.library = Library(self.shelf, DAY, lambda: self.shelf.now)

    def record(self, digits: str, status: str = "completed", work: Work | None = None) -> Record:
        response = {
            "id": ids.response_id(digits),
            "created_at": 1,
            "model": "tiny",
            "status": status,
            "output": [],
        }
        return Record(response, [], "digest", self.shelf.now + DAY, work=work)

    async def keep(self, digits: str, history: History | None = None) -> bool:
        record = self.record(digits)
        return await self.library.keep(ME, finished_name(digits), record, [ASK, SAY], history or History())

    async def begin(self, digits: str, conversation: str = "") -> Record:
        record = self.record(digits, "queued", Work(b"request", count=1, own=1))
        if conversation:
            record = Record(
                record.response, [], "digest", record.expires_at, conversation=conversation, work=record.work
            )
        await self.library.keep(ME, pending_name(digits), record, [ASK], History())
        return record

    async def names(self) -> list[str]:
        return [each.name for each in await self.shelf.everything(ME)]


def digits(number: int) -> str:
    return f"{number:032x}"


async def test_a_response_is_found_until_its_time_is_over_and_then_gone() -> None:
    kept = Kept()
    await kept.keep(digits(1))
    kept.shelf.now += DAY - 1
    assert await kept.library.find(ME, digits(1)) is not None
    kept.shelf.now += 1

    assert await kept.library.find(ME, digits(1)) is None
    assert await kept.names() == []


async def test_a_conversation_goes_on_from_any_response_of_it() -> None:
    kept = Kept()
    await kept.keep(digits(1))
    first = await kept.library.history(ME, ids.response_id(digits(1)))
    await kept.keep(digits(2), first)
    await kept.keep(digits(3), first)
    second = await kept.library.history(ME, ids.response_id(digits(2)))

    assert first.messages == (ASK, SAY)
    assert second.messages == (ASK, SAY, ASK, SAY)
    assert second.place is not None
    assert second.place.count == 4


@pytest.mark.parametrize("ident", [ids.response_id(digits(9)), "resp_9", "", "../other", "conv_" + digits(1)])
async def test_what_is_not_kept_cannot_be_gone_on_from(ident: str) -> None:
    kept = Kept()
    await kept.keep(digits(1))

    with pytest.raises(PreviousNotFound):
        await kept.library.history(ME, ident)
    with pytest.raises(PreviousNotFound):
        await kept.library.history(Keeper("acme", "critic"), ids.response_id(digits(1)))


async def test_what_is_forgotten_while_its_successor_is_made_leaves_that_one_whole() -> None:
    kept = Kept()
    await kept.keep(digits(1))
    first = await kept.library.history(ME, ids.response_id(digits(1)))
    await kept.library.forget(ME, digits(1))
    await kept.keep(digits(2), first)

    second = await kept.library.history(ME, ids.response_id(digits(2)))
    assert second.messages == (ASK, SAY, ASK, SAY)


async def test_the_oldest_responses_make_room_and_nothing_else_does() -> None:
    kept = Kept(InMemoryShelf(room=5))
    conversation, foreign = conversation_name(digits(7)), Name("own-notes")
    await kept.shelf.open(ME, conversation, {})
    await kept.shelf.open(ME, foreign, {})
    await kept.begin(digits(8))
    await kept.keep(digits(1))
    kept.shelf.now += 1
    await kept.keep(digits(2))
    kept.shelf.now += 1

    history = await kept.library.history(ME, ids.response_id(digits(1)))
    assert await kept.keep(digits(3), history)
    names = await kept.names()
    assert {conversation, foreign, pending_name(digits(8)), finished_name(digits(1))} <= set(names)
    assert finished_name(digits(2)) not in names


async def test_a_shelf_full_of_other_things_refuses() -> None:
    kept = Kept(InMemoryShelf(room=1))
    await kept.shelf.open(ME, Name("own-notes"), {})

    with pytest.raises(KernelError) as full:
        await kept.keep(digits(1))
    assert full.value.reason == "QUOTA_EXCEEDED"


async def test_a_sweep_takes_what_has_expired_and_leftovers_and_nothing_else() -> None:
    kept = Kept()
    for number in range(140):
        await kept.shelf.put(ME, finished_name(digits(number)), [ASK], b"{}")
    await kept.shelf.open(ME, conversation_name(digits(1)), {})
    await kept.shelf.open(ME, scratch_name(digits(1)), {})
    kept.shelf.now += DAY
    await kept.keep(digits(999))
    await asyncio.sleep(0)

    assert len(await kept.names()) == 142 - 128 + 1, "one sweep is bounded"
    await kept.library.sweep(ME)
    assert sorted(await kept.names()) == [conversation_name(digits(1)), finished_name(digits(999))]
    await kept.library.close()


async def test_an_agents_responses_leave_room_for_its_own_contexts_however_many_there_are() -> None:
    kept = Kept()
    for number in range(700):
        kept.shelf.now += 0.01
        await kept.keep(digits(number))
        await asyncio.sleep(0)

    names = await kept.names()
    assert 500 <= len(names) <= 601
    assert finished_name(digits(699)) in names
    assert finished_name(digits(0)) not in names
    await kept.library.close()


async def test_how_a_response_ended_is_told_once_whoever_asks() -> None:
    kept = Kept()
    record = await kept.begin(digits(1))
    cancelled = {**record.response, "status": "cancelled"}
    done = {**record.response, "status": "completed"}

    assert await kept.library.settle(ME, record, cancelled, ()) == cancelled
    assert await kept.library.settle(ME, record, done, (SAY,)) == cancelled
    assert await kept.library.find_pending(ME, digits(1)) is None

    record = await kept.begin(digits(2))
    await kept.keep(digits(2))  # by a process that died before it could forget the rest
    told = await kept.library.settle(ME, record, {**record.response, "status": "cancelled"}, ())
    assert told == kept.record(digits(2)).response


async def test_the_end_of_a_deleted_response_is_dropped() -> None:
    kept = Kept()
    record = await kept.begin(digits(1))
    await kept.library.forget(ME, digits(1))

    assert await kept.library.settle(ME, record, {**record.response, "status": "completed"}, (SAY,)) is None
    assert await kept.names() == []


async def test_what_ends_while_it_is_deleted_is_gone_all_the_same() -> None:
    kept = Kept()
    record = await kept.begin(digits(1))
    removed: list[Name] = []
    remove = kept.shelf.remove

    async def remove_while_it_ends(keeper: Keeper, name: Name) -> bool:
        done = await remove(keeper, name)
        if not removed:
            removed.append(name)
            await kept.library.settle(ME, record, {**record.response, "status": "completed"}, (SAY,))
        return done

    kept.shelf.remove = remove_while_it_ends  # type: ignore[method-assign]
    assert await kept.library.forget(ME, digits(1))
    assert await kept.names() == []


async def test_a_turn_that_a_dead_process_gave_in_other_words_does_not_keep_a_response_from_ending() -> None:
    kept = Kept()
    conversation = conversation_name(digits(7))
    await kept.shelf.open(ME, conversation, {})
    record = await kept.begin(digits(1), digits(7))
    done = {**record.response, "status": "completed"}
    await kept.shelf.append(ME, conversation, [ASK, ChatMessage(Role.ASSISTANT, "otherwise")], digits(1))

    assert await kept.library.settle(ME, record, done, (SAY,)) == done
    said = await kept.shelf.messages(ME, conversation, 9)
    assert said is not None
    assert len(said) == 2


async def test_a_conversation_gets_its_turn_once_however_often_the_end_is_stored() -> None:
    kept = Kept()
    conversation = conversation_name(digits(7))
    await kept.shelf.open(ME, conversation, {})
    record = await kept.begin(digits(1), digits(7))
    done = {**record.response, "status": "completed"}
    await kept.shelf.append(ME, conversation, [ASK, SAY], digits(1))  # and then the process died

    await kept.library.settle(ME, record, done, (SAY,))
    assert await kept.shelf.messages(ME, conversation, 9) == [ASK, SAY]


async def test_a_record_that_is_none_is_not_there() -> None:
    kept = Kept()
    for raw in (b"", b"not json", b"[]", b'{"response": {}}', b'{"response": 7, "items": [], "digest": ""}'):
        await kept.shelf.remove(ME, finished_name(digits(1)))
        await kept.shelf.put(ME, finished_name(digits(1)), [ASK], raw)
        assert await kept.library.find(ME, digits(1)) is None


async def test_one_process_has_the_claim_until_it_is_silent_for_long() -> None:
    kept = Kept()
    name = pending_name(digits(1))
    await kept.begin(digits(1))
    one, two = (Claims(kept.shelf, holder, 30.0, lambda: kept.shelf.now) for holder in ("one", "two"))

    assert await one.take(ME, name)
    assert not await two.take(ME, name)
    kept.shelf.now += 29
    assert await one.take(ME, name)
    kept.shelf.now += 29
    assert not await two.take(ME, name)
    kept.shelf.now += 1
    assert await two.take(ME, name)
    assert not await one.take(ME, name)
    await one.release(ME, name)
    assert not await one.take(ME, name)
    await two.release(ME, name)
    assert await one.take(ME, name)
    assert not await one.take(ME, pending_name(digits(2)))


async def test_of_two_processes_that_see_the_claim_free_one_gets_it() -> None:
    kept = Kept()
    await kept.begin(digits(1))
    claims = [Claims(kept.shelf, holder, 30.0, lambda: kept.shelf.now) for holder in "abcdef"]

    taken = await asyncio.gather(*(each.take(ME, pending_name(digits(1))) for each in claims))
    assert taken.count(True) == 1


async def test_a_fork_does_not_inherit_the_claim_of_its_source() -> None:
    kept = Kept()
    await kept.begin(digits(1))
    one, two = (Claims(kept.shelf, holder, 30.0, lambda: kept.shelf.now) for holder in ("one", "two"))
    await one.take(ME, pending_name(digits(1)))
    record = await kept.library.find_pending(ME, digits(1))
    assert record is not None
    await kept.library.settle(ME, record, {**record.response, "status": "completed"}, (SAY,))
    history = await kept.library.history(ME, ids.response_id(digits(1)))
    await kept.library.keep(
        ME, pending_name(digits(2)), kept.record(digits(2), "queued", Work(b"")), [ASK], history
    )

    assert await two.take(ME, pending_name(digits(2)))


async def test_trouble_of_the_shelf_is_told_as_it_is() -> None:
    kept = Kept()
    kept.shelf.failure = ServiceUnavailable("away")

    with pytest.raises(ServiceUnavailable):
        await kept.keep(digits(1))
    with pytest.raises(ServiceUnavailable):
        await kept.library.find(ME, digits(1))
