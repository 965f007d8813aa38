"""Windows: whatever the conversation, what comes out fits and hangs together."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.auth.identity import Scope
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition
from services.chassis.idempotency import RequestIdentity
from services.context.core import estimate, window
from services.context.core.window import Item, Room
from services.context.errors import WindowTooSmall
from services.context.model import (
    Draft,
    DroppedRun,
    DropReason,
    Message,
    Run,
    Settings,
    Strategy,
    Summary,
    Window,
)
from services.context.service.windows import WindowRequest
from tests.fakes.clock import FakeClock
from tests.fakes.context import Notebook, Writer, context_service

PLANNER = Scope("acme", "planner")
NOW = FakeClock().now()
EACH = st.sampled_from(Strategy)


def out_of_place(chats: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return the results that do not stand right behind their call, or another result of it."""
    wrong: list[ChatMessage] = []
    ids: set[str] = set()
    for chat in chats:
        if chat.role is not Role.TOOL:
            ids = {call.id for call in chat.tool_calls}
        elif chat.tool_call_id not in ids:
            wrong.append(chat)
    return wrong


@st.composite
def conversations(draw: st.DrawFn) -> list[Draft]:
    """Messages of all roles; tool results come late and out of order, some never."""
    drafts: list[Draft] = []
    waiting: list[str] = []
    for number in range(draw(st.integers(1, 25))):
        kinds = ["system", "user", "assistant", "call"] + ["result"] * (2 if waiting else 0)
        kind = draw(st.sampled_from(kinds))
        count, pinned = draw(st.integers(1, 30)), draw(st.integers(0, 9)) == 0
        if kind == "result":
            id_ = waiting.pop(draw(st.integers(0, len(waiting) - 1)))
            chat = ChatMessage(Role.TOOL, "found", tool_call_id=id_)
        elif kind == "call":
            ids = [f"c{number}-{index}" for index in range(draw(st.integers(1, 3)))]
            waiting += ids
            chat = ChatMessage(Role.ASSISTANT, "", tuple(ToolCall(id_, "search", "{}") for id_ in ids))
        else:
            chat = ChatMessage(Role(kind), "words")
        drafts.append(Draft(chat, pinned, count))
    return drafts


class CharacterTokenizer:
    """Counts exactly, and a little more for the whole than for its parts."""

    async def window(self, _model: str) -> int | None:
        return 120

    async def each(self, _model: str, chats: Sequence[ChatMessage]) -> list[int] | None:
        return [self._count(chat) for chat in chats]

    async def together(
        self, _model: str, chats: Sequence[ChatMessage], tools: Sequence[ToolDefinition]
    ) -> int | None:
        return sum(self._count(chat) + 2 for chat in chats) + len(tools)

    def _count(self, chat: ChatMessage) -> int:
        return 1 + len(chat.content)


@given(
    conversations(),
    st.integers(1, 300),
    EACH,
    st.integers(0, 5),
    st.integers(1, 40),
    st.sampled_from(["", "NO_BACKEND"]),
)
async def test_a_window_is_never_over_budget_never_splits_a_group_and_keeps_what_must_stay(  # noqa: PLR0917 - drawn
    drafts: list[Draft], budget: int, strategy: Strategy, head: int, length: int, failure: str
) -> None:
    """Whatever the strategy, and whatever inference and memory answer. The same is asked twice."""
    service = context_service(summarizer=Writer(length, failure), memory=Notebook(length, failure))
    settings = Settings(token_budget=budget, strategy=strategy, head_messages=head, recall_tokens=60)
    await service.conversations.create(PLANNER, RequestIdentity("planner", "Create"), "c", settings, drafts)
    reserve = window.reserve(budget, 0)
    try:
        made = await service.windows.assemble(PLANNER, "c", WindowRequest())
    except WindowTooSmall:
        assert _least(drafts) > budget - reserve
        return

    extra = sum(estimate.message(each.message.chat) for each in made.added)
    kept = {message.position for message in made.messages if message.position}
    assert made.token_count == extra + sum(drafts[position - 1].token_count for position in kept)
    assert made.token_count <= budget - reserve
    assert made.available_tokens >= reserve
    assert [message for message in made.messages if not message.position] == [a.message for a in made.added]
    assert not made.added or not made.fallback_reason
    assert not failure or not made.added
    told = {p for each in made.added if each.summary for p in _covered(each.summary)}
    assert kept.isdisjoint(told) or strategy is not Strategy.SUMMARIZE
    assert {p for run in made.dropped if run.reason is DropReason.SUMMARIZED for p in _places(run)} == (
        told - kept
    )
    again = await service.windows.assemble(PLANNER, "c", WindowRequest())
    assert again.messages == made.messages
    assert again.dropped == made.dropped
    for group in _groups(drafts):
        assert kept.isdisjoint(group) or group <= kept
    assert {
        position
        for position, draft in enumerate(drafts, start=1)
        if draft.pinned or draft.chat.role is Role.SYSTEM or position == len(drafts)
    } <= kept
    assert out_of_place([message.chat for message in made.messages]) == []
    assert sorted(kept | _dropped(made)) == list(range(1, len(drafts) + 1))
    assert kept.isdisjoint(_dropped(made))


@given(conversations(), EACH, st.integers(0, 3), st.integers(1, 40))
async def test_a_window_counted_by_a_tokenizer_fits_what_the_tokenizer_says(
    drafts: list[Draft], strategy: Strategy, tools: int, length: int
) -> None:
    counter = CharacterTokenizer()
    service = context_service(counter=counter, summarizer=Writer(length), memory=Notebook(length))
    uncounted = [Draft(draft.chat, draft.pinned) for draft in drafts]
    settings = Settings(strategy=strategy, reserve_tokens=20)
    await service.conversations.create(
        PLANNER, RequestIdentity("planner", "Create"), "c", settings, uncounted
    )
    request = WindowRequest(tools=tuple(ToolDefinition("t") for _ in range(tools)))
    try:
        made = await service.windows.assemble(PLANNER, "c", request)
    except WindowTooSmall:
        return

    chats = [message.chat for message in made.messages]
    assert made.exact
    assert made.token_count == await counter.together("", chats, request.tools)
    assert made.token_count <= 100


class CountingTokenizer(CharacterTokenizer):
    """Remembers how much it was asked to count."""

    def __init__(self) -> None:
        self.counted = 0

    async def each(self, model: str, chats: Sequence[ChatMessage]) -> list[int] | None:
        self.counted += sum(len(chat.content) for chat in chats)
        return await super().each(model, chats)


LARGE = "words " * 9_000


async def assembled(drafts: list[Draft], counter: CountingTokenizer, **settings: Any) -> Window:
    service = context_service(counter=counter)
    identity = RequestIdentity("planner", "Create")
    await service.conversations.create(PLANNER, identity, "c", Settings(**settings), drafts)
    return await service.windows.assemble(PLANNER, "c", WindowRequest())


@pytest.mark.parametrize("role", [Role.SYSTEM, Role.USER])
async def test_what_must_stay_and_never_fits_is_refused_by_its_size(role: Role) -> None:
    counter = CountingTokenizer()
    drafts = [Draft(ChatMessage(role, LARGE), pinned=True) for _ in range(100)]
    with pytest.raises(WindowTooSmall):
        await assembled([*drafts, Draft(ChatMessage(Role.USER, "hi"))], counter)

    assert not counter.counted


@pytest.mark.parametrize("strategy", [Strategy.DROP_OLDEST, Strategy.HEAD_AND_TAIL])
async def test_what_is_too_old_for_a_window_is_not_counted_for_it(strategy: Strategy) -> None:
    counter = CountingTokenizer()
    drafts = [Draft(ChatMessage(Role.USER, LARGE)) for _ in range(100)]
    new = [Draft(ChatMessage(Role.USER, text)) for text in ("some", "thing", "new")]
    made = await assembled([*drafts, *new], counter, strategy=strategy)

    assert [message.chat.content for message in made.messages] == ["some", "thing", "new"]
    assert counter.counted <= window.PORTION_BYTES


async def test_a_late_result_stands_behind_its_call_and_is_stored_where_it_came() -> None:
    call = ChatMessage(Role.ASSISTANT, "", (ToolCall("c1", "find", "{}"), ToolCall("c2", "find", "{}")))
    said = [
        ChatMessage(Role.SYSTEM, "Be kind."),
        ChatMessage(Role.USER, "Find it."),
        call,
        ChatMessage(Role.USER, "Hurry."),
        ChatMessage(Role.TOOL, "two", tool_call_id="c2"),
        ChatMessage(Role.ASSISTANT, "Soon."),
        ChatMessage(Role.TOOL, "one", tool_call_id="c1"),
    ]
    made = await assembled([Draft(chat) for chat in said], CountingTokenizer())

    assert [message.position for message in made.messages] == [1, 2, 3, 5, 7, 4, 6]
    assert out_of_place([message.chat for message in made.messages]) == []


def test_drop_oldest_keeps_a_run_of_the_newest_groups() -> None:
    candidates = window.groups([_item(position, tokens=10) for position in range(1, 6)])
    choice = window.choose(candidates, Room(25, 1000), Strategy.DROP_OLDEST)

    assert [item.position for item in choice.items] == [4, 5]


def test_a_small_old_message_does_not_jump_over_a_big_one() -> None:
    items = [_item(1, tokens=1), _item(2, tokens=50), _item(3, tokens=5)]
    choice = window.choose(window.groups(items), Room(10, 1000), Strategy.DROP_OLDEST)

    assert [item.position for item in choice.items] == [3]


def test_bytes_bound_a_window_as_well() -> None:
    items = [_item(position, tokens=1, content="x" * 10) for position in range(1, 6)]
    choice = window.choose(window.groups(items), Room(100, 25), Strategy.DROP_OLDEST)

    assert [item.position for item in choice.items] == [4, 5]


def test_a_dropped_group_tells_which_messages_would_have_fitted_alone() -> None:
    call = ChatMessage(Role.ASSISTANT, "", (ToolCall("c1", "search"),))
    items = [
        Item(Message(1, call, NOW), 5, stays=False),
        Item(Message(2, ChatMessage(Role.TOOL, "", tool_call_id="c1"), NOW), 50, stays=False),
        _item(3, tokens=5),
    ]
    room = Room(20, 1000)
    candidates = window.groups(items)
    runs = window.explain(window.choose(candidates, room, Strategy.DROP_OLDEST), room, candidates)

    assert [(run.first, run.last, run.reason) for run in runs] == [
        (1, 1, DropReason.TOOL_GROUP),
        (2, 2, DropReason.NO_ROOM),
    ]


@given(st.text(max_size=200))
def test_an_estimate_is_at_least_half_a_token_a_letter_and_at_most_a_token_a_byte(text: str) -> None:
    size = len(text.encode())

    assert size / 2 <= estimate.text(text) <= size + 1


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("word", 2), ("2026", 4), ("{}", 2), ("\u4f60", 2), ("\U0001f600", 4)]
)
def test_an_estimate_weighs_kinds_of_characters(text: str, tokens: int) -> None:
    assert estimate.text(text) == tokens


@pytest.mark.parametrize(("budget", "asked", "kept"), [(8192, 0, 1024), (100, 0, 25), (100, 60, 60)])
def test_a_quarter_of_the_window_is_kept_for_the_answer(budget: int, asked: int, kept: int) -> None:
    assert window.reserve(budget, asked) == kept


def _item(position: int, *, tokens: int, content: str = "") -> Item:
    return Item(Message(position, ChatMessage(Role.USER, content), NOW), tokens, stays=False)


def _dropped(made: Window) -> set[int]:
    return {position for run in made.dropped for position in _places(run)}


def _places(run: DroppedRun | Run) -> range:
    return range(run.first, run.last + 1)


def _covered(summary: Summary) -> set[int]:
    return {position for run in summary.covers for position in _places(run)}


def _groups(drafts: Sequence[Draft]) -> list[set[int]]:
    """Oracle: the position of each call with the positions that answer it."""
    groups: list[set[int]] = []
    owner: dict[str, set[int]] = {}
    for position, draft in enumerate(drafts, start=1):
        if draft.chat.role is Role.TOOL:
            owner[draft.chat.tool_call_id].add(position)
            continue
        groups.append({position})
        owner |= {call.id: groups[-1] for call in draft.chat.tool_calls}
    return groups


def _least(drafts: Sequence[Draft]) -> int:
    """Oracle: the tokens of the groups that must stay."""
    newest = len(drafts)
    return sum(
        drafts[position - 1].token_count
        for group in _groups(drafts)
        if newest in group
        or any(drafts[p - 1].pinned or drafts[p - 1].chat.role is Role.SYSTEM for p in group)
        for position in group
    )
