"""Responses under hostile conditions: records that somebody else wrote, absurd pages, requests that race."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2
from gateway.http.common.text import ShownText
from gateway.http.errors import NotFound
from gateway.http.responses import ids
from gateway.http.responses.answer import Composed, Head
from gateway.http.responses.background import offered, request_of
from gateway.http.responses.creating import Creating, Terms
from gateway.http.responses.desk import Desk
from gateway.http.responses.model import History, Keeper, Name, Place, Record, Work
from gateway.http.responses.owner import Owner
from gateway.http.responses.paging import Asked, listing
from gateway.http.responses.schema import Asked as Request
from gateway.http.responses.schema import Item
from gateway.http.responses.service import records
from gateway.http.responses.service.keeping import Library, finished_name
from gateway.http.responses.stream import Composer
from services.chassis.chat import ChatMessage
from services.chassis.rpc.errors import CredentialExpired, IdempotencyMismatch, InvalidRequest, KernelError
from tests.fakes.stores.responses import InMemoryShelf

DIGITS = "0" * 32
OLD, FRESH = Keeper("acme", "planner", (("authorization", "old"),)), Keeper("acme", "planner")
PLACE = {"token": "a", "bytes": [97], "logprob": -1.0}
OUTPUT = (
    {
        "id": f"msg_{DIGITS}o000",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "hi", "logprobs": [{**PLACE, "top_logprobs": [PLACE]}]}],
    },
    {"id": f"fc_{DIGITS}o001", "type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
    {
        "id": f"ctc_{DIGITS}o002",
        "type": "custom_tool_call",
        "call_id": "c2",
        "name": "g",
        "input": "as it is",
    },
)
SAID = {"id": f"msg_{DIGITS}i000", "type": "message", "role": "user", "content": [{"type": "input_text"}]}
ODD: Sequence[Any] = (
    None,
    True,
    -1,
    7,
    2**70,
    1.5,
    "",
    "x",
    "\0",
    [],
    [1],
    [None],
    ["x"],
    {},
    {"a": 1},
    [{}],
)


def record(**fields: Any) -> Record:
    response = {
        "id": ids.response_id(DIGITS),
        "created_at": 1,
        "model": "tiny",
        "status": "completed",
        "output": list(OUTPUT),
    }
    work = Work(b"", {"f": ("f", "", False)}, 3, 1)
    return msgspec.structs.replace(Record(response, [SAID], "digest", 1e12, "1" * 32, work), **fields)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value inside of a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*path, key)
        yield from places(each, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with another one in a place; `...` leaves it out."""
    value = at = copy.deepcopy(value)
    for key in path[:-1]:
        at = at[key]
    if new is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return value


async def tell_all(found: Record, asked: Desk) -> None:
    """Do with a record what clients may ask for. Raises KernelError."""
    for after in (-1, 2, 999_999_999):
        composer = Composer(Head.of(found.response), offered(found), ShownText(), by_text=True, after=after)
        composer.created()
        composer.alive()
        composer.end(found.response)
    listing(found.items, {})
    if found.work is not None:
        context_pb2.ForkContextRequest(at_position=found.work.count)
        request_of(found)
    for item in (*found.items, *found.response["output"]):
        await asked.resolved(FRESH, Request(input=[Item(type="item_reference", id=item["id"])]))


def desk(shelf: InMemoryShelf) -> Desk:
    """Return a desk with a shelf only."""
    unused: Any = None
    return Desk(unused, shelf, unused, unused, Library(shelf, 86_400, lambda: shelf.now), unused)


async def test_a_record_that_its_agent_wrote_itself_is_told_or_is_not_there_but_never_a_defect() -> None:
    shelf, told = InMemoryShelf(), 0
    asked = desk(shelf)
    good = msgspec.to_builtins(record())
    for path in places(good):
        for new in (..., *ODD):
            raw = msgspec.json.encode(changed(good, path, new))
            found = records.read(raw, ids.response_id(DIGITS))
            if found is None:
                continue
            told += 1
            await shelf.remove(FRESH, finished_name(DIGITS))
            await shelf.put(FRESH, finished_name(DIGITS), (), raw)
            try:
                await tell_all(found, asked)
            except KernelError as refused:
                assert refused.reason != "INTERNAL", (path, new)  # noqa: PT017 - others are refusals
    assert told > 100


async def test_every_kind_of_stored_item_can_be_referred_to() -> None:
    shelf = InMemoryShelf()
    await shelf.put(FRESH, finished_name(DIGITS), (), msgspec.json.encode(record()))
    references = [Item(type="item_reference", id=str(each["id"])) for each in OUTPUT]
    found = await desk(shelf).resolved(FRESH, Request(input=references))

    assert isinstance(found, list)
    assert [each.type for each in found] == ["message", "function_call", "custom_tool_call"]
    assert bytes(found[1].arguments) == b'"{\\"a\\":1}"'
    with pytest.raises(NotFound):
        await desk(shelf).resolved(FRESH, Request(input=[Item(type="item_reference", id=f"fc_{DIGITS}o009")]))


@pytest.mark.parametrize("limit", ["", "0", "101", "-1", "1.0", "\u0661", "000000001" + "0" * 5000])
def test_a_page_of_an_absurd_size_is_refused(limit: str) -> None:
    with pytest.raises(InvalidRequest):
        Asked.of({"limit": limit})


class Renewed:
    """An owner whose first token has run out."""

    async def keeper(self) -> Keeper:
        return FRESH


class Strict(InMemoryShelf):
    """Refuses the token that a request began with."""

    async def put(
        self,
        keeper: Keeper,
        name: Name,
        messages: Sequence[ChatMessage],
        record: bytes,
        after: Place | None = None,
    ) -> bool:
        if keeper.metadata:
            raise CredentialExpired("it has run out")
        return await super().put(keeper, name, messages, record, after)


class Answered:
    """A generation that has ended."""

    async def whole(self, _digits: str) -> tuple[Composed, Mapping[str, str]]:
        return Composed(message=chat_pb2.ChatMessage(role=chat_pb2.ROLE_ASSISTANT)), {}


def creating(shelf: InMemoryShelf, digest: str = "digest") -> Creating:
    """Return a request that was begun with a token that has run out."""
    head = Head(DIGITS, 1, "tiny", {"store": True})
    terms = Terms(digest, OLD, DIGITS, stored=True, background=False, stream=False)
    prepared: Any = SimpleNamespace(own=[], items=[])
    owner, generating = cast("Owner", Renewed()), cast("Any", Answered())
    return Creating(desk(shelf), terms, History(), prepared, head, generating, owner)


async def test_an_answer_is_stored_although_the_token_it_began_with_has_run_out() -> None:
    shelf = Strict()
    response, _ = await creating(shelf).whole()

    assert response["store"] is True
    assert await shelf.record(FRESH, finished_name(DIGITS)) is not None


async def test_of_two_requests_that_race_under_one_key_none_is_told_the_others_answer() -> None:
    shelf = InMemoryShelf()
    first, _ = await creating(shelf).whole()

    assert (await creating(shelf).whole())[0] == first
    with pytest.raises(IdempotencyMismatch):
        await creating(shelf, "of another request").whole()
