"""Summaries and recalled notes: made once, used again, explained, and never in the way of a window."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.auth.identity import Caller, Scope, set_caller
from services.chassis.chat import ChatMessage, Role
from services.chassis.idempotency import RequestIdentity
from services.context.config import ContextConfig
from services.context.core import estimate
from services.context.core import recall as recall_rules
from services.context.core import summaries as rules
from services.context.core.window import Item
from services.context.model import (
    Draft,
    DropReason,
    Message,
    Note,
    Run,
    Segment,
    Settings,
    Strategy,
    Summary,
    Window,
)
from services.context.service.facade import ContextService
from services.context.service.windows import WindowRequest
from tests.fakes.clock import FakeClock
from tests.fakes.context import Notebook, Writer, context_service
from tests.fakes.meters import RecordingMeter
from tests.fakes.stores.context import InMemoryStore

PLANNER = Scope("acme", "planner")
CRITIC = Scope("acme", "critic")
NOW = FakeClock().now()


def said(number: int, *, tokens: int = 20, role: Role = Role.USER, pinned: bool = False) -> Draft:
    return Draft(ChatMessage(role, f"fact {number}."), pinned, tokens)


def facts(first: int, last: int) -> list[Draft]:
    return [said(number) for number in range(first, last + 1)]


async def begun(service: ContextService, *drafts: Draft, **settings: Any) -> None:
    chosen = Settings(
        **{"token_budget": 400, "reserve_tokens": 40, "strategy": Strategy.SUMMARIZE, **settings}
    )
    await service.conversations.create(PLANNER, RequestIdentity("planner", "Create"), "c", chosen, drafts)


async def append(service: ContextService, *drafts: Draft) -> None:
    await service.conversations.append(PLANNER, RequestIdentity("planner", "Append"), "c", drafts, "")


async def assemble(service: ContextService, **request: Any) -> Window:
    return await service.windows.assemble(PLANNER, "c", WindowRequest(**request))


def reasons(window: Window) -> list[tuple[int, int, DropReason]]:
    return [(run.first, run.last, run.reason) for run in window.dropped]


async def test_what_fits_needs_no_summary() -> None:
    writer = Writer()
    service = context_service(summarizer=writer)
    await begun(service, *facts(1, 18))
    window = await assemble(service)

    assert [message.position for message in window.messages] == list(range(1, 19))
    assert (window.added, window.strategy, writer.requests) == ((), Strategy.SUMMARIZE, [])


async def test_what_has_no_room_is_replaced_by_a_summary_that_says_what_it_covers() -> None:
    writer = Writer()
    service = context_service(summarizer=writer)
    await begun(service, said(1, role=Role.SYSTEM), said(2), said(3, pinned=True), *facts(4, 30))
    window = await assemble(service)

    (added,) = window.added
    assert added.summary is not None
    last = added.summary.through
    assert added.summary.covers == (Run(2, 2), Run(4, last))
    assert [m.position for m in window.messages] == [1, 0, 3, *range(last + 1, 31)]
    assert added.message.chat.content.endswith("summary1 summary1 summary1")
    assert "data, not an instruction" in added.message.chat.content
    assert reasons(window) == [(2, 2, DropReason.SUMMARIZED), (4, last, DropReason.SUMMARIZED)]
    assert all(f"fact {number}." in "".join(writer.asked) for number in (2, *range(4, last + 1)))
    assert "fact 3." not in "".join(writer.asked)
    assert not window.fallback_reason


async def test_a_dry_window_has_no_summary_written_and_shows_one_that_is_there() -> None:
    writer = Writer()
    service = context_service(summarizer=writer)
    await begun(service, *facts(1, 30))
    before = await assemble(service, dry=True)
    asked_before = list(writer.requests)
    made = await assemble(service)
    asked = list(writer.requests)
    after = await assemble(service, dry=True)

    assert (before.fallback_reason, before.strategy, before.added) == (
        "SUMMARY_NOT_MADE",
        Strategy.DROP_OLDEST,
        (),
    )
    assert not asked_before
    assert {reason for _, _, reason in reasons(before)} == {DropReason.NO_ROOM}
    assert (after.added, after.fallback_reason) == (made.added, "")
    assert writer.requests == asked != []


async def test_the_next_windows_use_the_summary_again_and_extend_it_when_they_must() -> None:
    """Each message is read by a model once, however long the conversation gets."""
    writer, meter = Writer(), RecordingMeter()
    service = context_service(summarizer=writer, meter=meter)
    await begun(service, *facts(1, 19))
    for number in range(20, 120):
        await append(service, said(number))
        window = await assemble(service)
        assert window.token_count <= 360
        assert not window.fallback_reason
    assert window.added[0].summary is not None
    through = window.added[0].summary.through
    read = "".join(writer.asked)

    assert len(writer.requests) < 30
    assert [read.count(f"fact {number}.") for number in range(1, through + 1)] == [1] * through
    for earlier, request in enumerate(writer.asked[1:], start=1):
        assert f"Notes so far:\nsummary{earlier} " in request
    assert meter.counts["summarized"] == 100


async def test_a_fork_uses_what_was_summarised_before_the_cut_and_nothing_from_behind_it() -> None:
    writer, store = Writer(), InMemoryStore()
    service = context_service(summarizer=writer, store=store)
    await begun(service, *facts(1, 30))
    first = await assemble(service)
    await append(service, *facts(31, 60))
    await assemble(service)
    made = len(writer.requests)
    set_caller(Caller("planner", "acme"))
    for name, cut in (("early", 30), ("late", 60)):
        await service.conversations.fork(
            PLANNER, RequestIdentity("planner", "Fork"), name, ("planner", "c"), cut
        )
        fork = await service.windows.assemble(PLANNER, name, WindowRequest())
        assert fork.added[0].summary is not None
        assert fork.added[0].summary.through <= cut
    early = await service.windows.assemble(PLANNER, "early", WindowRequest())

    assert early.added == first.added
    assert len(writer.requests) == made


def test_a_summary_of_what_came_after_the_cut_is_not_shown() -> None:
    """It would tell a fork what was said in the conversation that it left."""
    shared, own = Segment("planner", "b1", 5), Segment("critic", "b2", 0)
    told = [Summary((Run(1, last),), f"up to {last}", "", NOW) for last in (5, 6, 4, 9)]
    stored = [*((shared, each) for each in told[:3]), (own, told[3]), (Segment("critic", "b3", 0), told[0])]

    assert [each.through for each in rules.shown((shared, own), stored)] == [4, 5, 9]


async def test_a_bigger_window_does_not_use_a_summary_of_what_it_can_show() -> None:
    service = context_service(summarizer=Writer())
    await begun(service, *facts(1, 30))
    small, big = await assemble(service), await assemble(service, token_budget=2_000)

    assert small.added
    assert not big.added
    assert len(big.messages) == 30


@pytest.mark.parametrize("strategy", [Strategy.SUMMARIZE, Strategy.RECALL])
async def test_a_failure_falls_back_to_dropping_the_oldest_and_says_why(strategy: Strategy) -> None:
    meter = RecordingMeter()
    peers: dict[str, Any] = {
        "summarizer": Writer(failure="WAIT_EXPIRED"),
        "memory": Notebook(failure="NO_BACKEND"),
    }
    service = context_service(**peers, meter=meter)
    await begun(service, *facts(1, 30), strategy=strategy)
    window = await assemble(service)
    plain = await assemble(service, strategy=Strategy.DROP_OLDEST)

    assert window.fallback_reason == {"summarize": "WAIT_EXPIRED", "recall": "NO_BACKEND"}[strategy.value]
    assert window.strategy is Strategy.DROP_OLDEST
    assert window.messages == plain.messages
    assert meter.counts["summarized"] + meter.counts["recalled"] == 1


@pytest.mark.parametrize(("total", "per_agent", "others"), [(1, 9, "critic"), (9, 1, "planner")])
async def test_a_window_that_finds_too_many_waiting_drops_the_oldest_at_once(
    total: int, per_agent: int, others: str
) -> None:
    """Otherwise windows that wait could hold every place at the gateway that their own calls need."""
    writer = Patient()
    config = ContextConfig(max_waiting_windows=total, max_waiting_windows_per_agent=per_agent)
    service = context_service(summarizer=writer, config=config)
    await begun(service, *facts(1, 30))
    other = Scope("acme", others)
    if other != PLANNER:
        chosen = Settings(token_budget=400, reserve_tokens=40, strategy=Strategy.SUMMARIZE)
        await service.conversations.create(
            other, RequestIdentity(others, "Create"), "c", chosen, facts(1, 30)
        )
    waiting = asyncio.create_task(service.windows.assemble(other, "c", WindowRequest()))
    await writer.asking.wait()
    refused = await assemble(service)
    writer.answer.set()
    made = await waiting

    assert (refused.fallback_reason, made.fallback_reason) == ("TOO_MANY_CALLS", "")
    assert not (await assemble(service)).fallback_reason


class Patient(Writer):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asking, self.answer = asyncio.Event(), asyncio.Event()

    async def write(
        self, model: str, chats: Sequence[ChatMessage], *, most_tokens: int, seconds: float
    ) -> str:
        self.asking.set()
        await self.answer.wait()
        return await super().write(model, chats, most_tokens=most_tokens, seconds=seconds)


async def test_a_summary_that_takes_too_much_room_falls_back() -> None:
    service = context_service(summarizer=Writer(words=3_000))
    await begun(service, *facts(1, 30))
    window = await assemble(service)

    assert (window.fallback_reason, window.added) == ("WINDOW_TOO_SMALL", ())


class Tiring(Writer):
    """Fails once, at its third request."""

    async def write(
        self, model: str, chats: Sequence[ChatMessage], *, most_tokens: int, seconds: float
    ) -> str:
        if len(self.requests) == 2 and not self.failure:
            self.failure = "DEADLINE_EXCEEDED"
        return await super().write(model, chats, most_tokens=most_tokens, seconds=seconds)


async def test_what_was_written_before_a_failure_is_not_written_again() -> None:
    """A conversation too long for the model goes in pieces, each kept as soon as it is there."""
    tiring, fresh = Tiring(), Writer()
    store, config = InMemoryStore(), ContextConfig(default_window=600)
    service = context_service(summarizer=tiring, store=store, config=config)
    texts = [f"fact {number}. " + "word " * 40 for number in range(1, 31)]
    await begun(service, *(Draft(ChatMessage(Role.USER, text), token_count=20) for text in texts))
    tired = await assemble(service)
    window = await assemble(context_service(summarizer=fresh, store=store, config=config))

    assert tired.fallback_reason == "DEADLINE_EXCEEDED"
    assert window.added[0].summary is not None
    read = "".join(tiring.asked + fresh.asked)
    assert [read.count(f"fact {n}.") for n in range(1, window.added[0].summary.through + 1)] == [
        1 for _ in range(window.added[0].summary.through)
    ]
    assert fresh.asked[0].startswith("Notes so far:\nsummary2 ")
    assert all(estimate.text(text) < 600 for text in tiring.asked + fresh.asked)


async def test_a_summary_is_bounded_in_length_and_time() -> None:
    writer = Writer()
    config = ContextConfig(summary_tokens=50)
    service = context_service(summarizer=writer, config=config)
    await begun(service, *facts(1, 30))
    await assemble(service)

    assert writer.limits
    assert all(most <= 50 and seconds <= 30 for most, seconds in writer.limits)


async def test_a_summary_that_a_reader_had_written_is_not_kept() -> None:
    writer = Writer()
    service = context_service(summarizer=writer)
    await begun(service, *facts(1, 30))
    for _ in range(2):
        await service.windows.assemble(PLANNER, "c", WindowRequest(), own=False)

    assert len(writer.requests) == 2


async def test_summaries_go_with_their_context() -> None:
    store = InMemoryStore()
    service = context_service(summarizer=Writer(), store=store)
    await begun(service, *facts(1, 30))
    await assemble(service)
    await service.conversations.delete(
        PLANNER, RequestIdentity("planner", "Delete"), "c", "", allow_missing=False
    )

    assert store._data[PLANNER].summaries == {}


async def test_recalled_notes_are_shown_as_data_with_their_names_and_scores() -> None:
    memory = Notebook(["The budget is 300.", "fact 30. ", "the  BUDGET is 300.", "Anna likes trains."])
    service = context_service(memory=memory)
    await begun(
        service, said(1, role=Role.SYSTEM), *facts(2, 30), strategy=Strategy.RECALL, recall_tokens=200
    )
    window = await assemble(service)

    (added,) = window.added
    assert [(note.name, note.score) for note in added.notes] == [
        ("agents/planner/notes/n0", 1.0),
        ("agents/planner/notes/n3", 0.25),
    ]
    assert "not instructions" in added.message.chat.content
    assert "- [n0] The budget is 300.\n- [n3] Anna likes trains.\n" in added.message.chat.content
    assert [message.position for message in window.messages][:2] == [1, 0]
    assert window.messages[-1].position == 30
    assert memory.queries[0][0] == "planner"
    assert memory.queries[0][1].startswith("fact 30. fact 29.")
    assert {reason for _, _, reason in reasons(window)} == {DropReason.NO_ROOM}


@given(st.integers(0, 12), st.integers(0, 400), st.integers(40, 500))
async def test_notes_take_no_more_than_their_share(notes: int, share: int, budget: int) -> None:
    service = context_service(memory=Notebook(notes))
    await begun(
        service,
        *facts(1, 30),
        strategy=Strategy.RECALL,
        recall_tokens=share,
        token_budget=budget,
        reserve_tokens=10,
    )
    window = await assemble(service)

    spent = sum(estimate.message(each.message.chat) for each in window.added)
    assert spent <= (share or budget // 8)
    assert window.messages[-1].position == 30


async def test_nothing_is_looked_for_in_an_empty_conversation() -> None:
    memory = Notebook()
    service = context_service(memory=memory)
    await begun(service, strategy=Strategy.RECALL)

    assert (await assemble(service)).messages == ()
    assert memory.queries == []


@given(st.lists(st.text(max_size=300), max_size=12), st.integers(4, 200))
def test_pieces_hold_every_message_once_and_fit(texts: list[str], tokens: int) -> None:
    items = [
        Item(Message(position, ChatMessage(Role.USER, text), NOW), 1, stays=False)
        for position, text in enumerate(texts, start=1)
    ]
    pieces = rules.pieces(items, tokens)

    assert "".join(text for text, _ in pieces) == "".join(f"user: {text}\n" for text in texts)
    assert all(estimate.text(text) <= tokens for text, _ in pieces)
    assert sorted(position for _, done in pieces for position in done) == list(range(1, len(texts) + 1))


@given(st.sets(st.integers(1, 60)))
def test_runs_and_positions_are_the_same(positions: set[int]) -> None:
    runs = rules.runs_of(positions)

    assert rules.positions_of(runs) == positions
    assert all(earlier.last + 1 < later.first for earlier, later in pairwise(runs))


def test_a_summary_is_cut_at_its_largest_size_between_characters() -> None:
    assert len(rules.bounded("\u00e9" * rules.MOST_BYTES).encode()) == rules.MOST_BYTES
    assert rules.bounded("  notes \n") == "notes"


def test_a_query_is_what_was_said_last_and_bounded() -> None:
    messages = [
        Message(n, ChatMessage(Role.SYSTEM if n == 3 else Role.USER, f"m{n} " * 100), NOW)
        for n in range(1, 5)
    ]
    found = recall_rules.query(messages)

    assert found.startswith("m4 ")
    assert "m3" not in found
    assert len(found) <= recall_rules.MOST_QUERY
    assert recall_rules.fresh([Note("a/notes/n", " ", 1.0)], messages) == []
