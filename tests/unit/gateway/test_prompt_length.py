"""Prompts that cannot fit are refused unread, and what is split is split in turns."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BackendRefused, ConstraintInvalid, PromptTooLong
from gateway.inference.core.prompt_length import check_length, kept_texts, least_tokens
from gateway.inference.errors import PromptOverflow
from gateway.inference.model import Constraint, ConstraintKind, CountSpec, Prompt
from gateway.inference.service.tokenizing import LONG_TEXT, TokenizingConfig, TokenizingGate
from services.chassis.auth.identity import Caller, set_caller
from services.chassis.chat import ChatMessage, Role, ToolDefinition
from services.chassis.dispatch.errors import QueueFull, TooManyCalls
from services.chassis.dispatch.scheduling import AgentFacts, Hints
from services.chassis.gate import GateConfig, Visitor
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import DeadlineExceeded, InvalidRequest
from tests.fakes.backend import PLAIN, FakeBackend
from tests.fakes.inference import Desk, ask, inference
from tests.fakes.waiting import until

WINDOW = replace(PLAIN, max_total_tokens=2048, longest_token=16)
WIDE = replace(PLAIN, max_total_tokens=2_000_000, longest_token=16)
MAL, AMY = Caller("mal", "acme"), Caller("amy", "acme")


class Counting(FakeBackend):
    """Notes what it was asked to split; `gate` holds each of them up."""

    def __init__(self, info: Any = WINDOW) -> None:
        super().__init__(info=info)
        self.asked: list[int] = []
        self.order: list[str] = []
        self.splitting = 0
        self.most = 0
        self.gate: asyncio.Event | None = None

    async def render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition] = ()) -> Prompt:
        """Count a chat."""
        await self._split("".join(message.content for message in messages))
        return await super().render(messages, tools)

    async def measure(self, text: str, *, content: bool = False) -> Prompt:
        """Count a text."""
        await self._split(text)
        return await super().measure(text, content=content)

    async def _split(self, text: str) -> None:
        self.asked.append(len(text))
        self.order.append(text[:3])
        self.splitting += 1
        self.most = max(self.most, self.splitting)
        try:
            await (asyncio.sleep(0) if self.gate is None else self.gate.wait())
        finally:
            self.splitting -= 1


def said(text: str) -> tuple[ChatMessage, ...]:
    return (ChatMessage(Role.USER, text),)


@pytest.mark.parametrize(
    "asked", [{"messages": said("x" * 40_000)}, {"messages": (), "prompt": "x" * 40_000}]
)
async def test_a_prompt_that_cannot_fit_is_refused_and_never_split(asked: dict[str, Any]) -> None:
    backend = Counting()
    async with inference(backend) as desk:
        with pytest.raises(PromptTooLong) as failure:
            await desk.use_cases.generate(MAL, ask(**asked), "", None)

        assert failure.value.metadata == {"prompt_tokens": "2500", "max_total_tokens": "2048"}
        assert backend.asked == []
        assert desk.dispatcher.tickets == []


async def test_a_chat_to_count_that_cannot_fit_is_refused_too() -> None:
    backend = Counting()
    async with inference(backend) as desk:
        with pytest.raises(PromptTooLong):
            await desk.use_cases.count(MAL, CountSpec(messages=said("x" * 40_000)))

        assert backend.asked == []


async def test_texts_are_counted_whether_or_not_they_would_fit() -> None:
    backend = Counting()
    async with inference(backend) as desk:
        _, counts = await desk.use_cases.count(MAL, CountSpec(texts=("a b " * 10_000, "c")))
        with pytest.raises(InvalidRequest):
            await desk.use_cases.count(MAL, CountSpec())

        assert counts == [20_000, 1]


async def test_a_bad_constraint_is_told_before_anything_is_split() -> None:
    backend = Counting()
    async with inference(backend) as desk:
        spec = ask(constraint=Constraint(ConstraintKind.REGEX, "("))
        with pytest.raises(ConstraintInvalid):
            await desk.use_cases.generate(MAL, spec, "", None)

        assert backend.asked == []


async def test_a_prompt_found_too_long_by_its_tokens_is_told_as_such() -> None:
    class Overflowing(Counting):
        async def measure(self, text: str, *, content: bool = False) -> Prompt:  # noqa: ARG002 - the port's
            raise PromptOverflow("the prompt has 9999 tokens, the window 2048")

    async with inference(Overflowing()) as desk:
        with pytest.raises(PromptTooLong, match="9999 tokens"):
            await desk.use_cases.generate(MAL, ask(messages=(), prompt="hi"), "", None)
        assert not issubclass(PromptTooLong, BackendRefused)


async def test_of_one_agent_one_long_text_is_split_at_a_time_and_others_pass() -> None:
    backend = Counting(WIDE)
    backend.gate = asyncio.Event()
    async with inference(backend) as desk:
        flood = [desk.start(f"g{n}", "mal", messages=said(f"mal{n}" + "x" * LONG_TEXT)) for n in range(6)]
        counts = [
            asyncio.create_task(desk.use_cases.count(MAL, CountSpec(messages=said("mal" + "y" * LONG_TEXT))))
            for _ in range(6)
        ]
        await until(lambda: backend.splitting == 1)
        short = desk.start("g", "amy", messages=said("amy"))
        await until(lambda: backend.splitting == 2)
        long = asyncio.create_task(
            desk.use_cases.count(AMY, CountSpec(messages=said("amy" + "z" * LONG_TEXT)))
        )
        await until(lambda: backend.splitting == 3)
        before = list(backend.order)
        backend.gate.set()
        await asyncio.gather(*(each.task for each in [*flood, short]), *counts, long)

        assert before == ["mal", "amy", "amy"]
        assert len(backend.order) == 14


async def test_texts_of_one_request_let_others_have_their_turn_between_them() -> None:
    backend = Counting(WIDE)
    one = GateConfig(running=1, running_per_agent=1)
    async with inference(backend, tokenizing=TokenizingConfig(short=one)) as desk:
        await asyncio.gather(
            desk.use_cases.count(MAL, CountSpec(texts=("mal",) * 50)),
            desk.use_cases.count(AMY, CountSpec(texts=("amy",))),
        )

        assert backend.order.index("amy") <= 2


@pytest.mark.parametrize(
    ("gate", "error"),
    [
        (GateConfig(running=1, running_per_agent=1, waiting_per_agent=1), TooManyCalls),
        (GateConfig(running=1, running_per_agent=1, waiting=1), QueueFull),
    ],
)
async def test_what_waits_beyond_the_bound_is_refused(gate: GateConfig, error: type[Exception]) -> None:
    backend = Counting(WIDE)
    backend.gate = asyncio.Event()
    async with inference(backend, tokenizing=TokenizingConfig(short=gate)) as desk:
        calls = [asyncio.create_task(desk.use_cases.count(MAL, CountSpec(texts=("a",)))) for _ in range(3)]
        await until(lambda: any(call.done() for call in calls))
        backend.gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)

        assert [type(each) for each in results if isinstance(each, Exception)] == [error]


async def test_a_call_whose_deadline_passes_while_it_waits_to_be_split_ends() -> None:
    backend = Counting(WIDE)
    backend.gate = asyncio.Event()
    one = GateConfig(running=1, running_per_agent=1)
    async with inference(backend, tokenizing=TokenizingConfig(short=one)) as desk:
        first = asyncio.create_task(desk.use_cases.count(MAL, CountSpec(texts=("a",))))
        await until(lambda: backend.splitting == 1)
        soon = replace(MAL, deadline=asyncio.get_running_loop().time() + 0.02)
        with pytest.raises(DeadlineExceeded):
            await desk.use_cases.count(soon, CountSpec(texts=("a",)))
        backend.gate.set()
        await first

        assert nothing_under_way(desk)


async def test_requests_to_count_are_bounded_in_bytes() -> None:
    backend = Counting(WIDE)
    backend.gate = asyncio.Event()
    async with inference(backend, bytes_per_program=100_000) as desk:
        first = asyncio.create_task(desk.use_cases.count(MAL, CountSpec(texts=("a" * 60_000,))))
        await until(lambda: backend.splitting == 1)
        with pytest.raises(TooManyCalls):
            await desk.use_cases.count(MAL, CountSpec(texts=("a" * 60_000,)))
        backend.gate.set()
        await first

        assert nothing_under_way(desk)


async def test_a_tree_has_no_more_requests_under_way_however_many_agents_it_has() -> None:
    backend = Counting(WIDE)
    backend.gate = asyncio.Event()
    async with inference(backend, calls=Cap.of(1)) as desk:
        children = [Caller(f"child{n}", "acme", tree="root") for n in range(5)]
        one = CountSpec(texts=("a",))
        counts = [asyncio.create_task(desk.use_cases.count(child, one)) for child in children[:4]]
        await until(lambda: desk.use_cases._loads.calls.held == 4)
        with pytest.raises(TooManyCalls) as refused:
            await desk.use_cases.count(children[4], CountSpec(texts=("a",)))
        with pytest.raises(TooManyCalls) as generation:
            await desk.use_cases.generate(children[4], ask(), "", None)
        counts.append(asyncio.create_task(desk.use_cases.count(AMY, CountSpec(texts=("amy",)))))
        await until(lambda: desk.use_cases._loads.calls.held == 5)
        backend.gate.set()
        await asyncio.gather(*counts)

        assert nothing_under_way(desk)
    assert [each.value.metadata["level"] for each in (refused, generation)] == ["tree", "tree"]


async def test_a_tenant_holds_no_more_text_than_its_part() -> None:
    backend = Counting(WIDE)
    backend.gate = asyncio.Event()
    async with inference(backend, bytes_per_tenant=100_000) as desk:
        first = asyncio.create_task(desk.use_cases.count(MAL, CountSpec(texts=("a" * 60_000,))))
        await until(lambda: backend.splitting == 1)
        with pytest.raises(TooManyCalls) as refused:
            await desk.use_cases.count(AMY, CountSpec(texts=("a" * 60_000,)))
        other = asyncio.create_task(
            desk.use_cases.count(Caller("amy", "else"), CountSpec(texts=("b" * 60_000,)))
        )
        await until(lambda: desk.use_cases._loads.calls.held == 2)
        backend.gate.set()
        await asyncio.gather(first, other)

    assert refused.value.metadata["level"] == "tenant"


async def test_texts_are_embedded_by_turns_of_trees() -> None:
    async with inference(Counting(WIDE)) as desk:
        gate = desk.use_cases._embedding
        async with gate.admit(Visitor.of(Caller("child1", "acme", tree="root"))):
            mine = asyncio.create_task(embed_for(desk, Caller("child2", "acme", tree="root")))
            await until(lambda: gate.waiting == 1)
            await embed_for(desk, AMY)
            waited = not mine.done()
        await mine

    assert waited


async def embed_for(desk: Desk, caller: Caller) -> None:
    """Embed a text in a call of somebody."""

    async def call() -> None:
        set_caller(caller)
        await desk.use_cases.embed("", ["hello"])

    await asyncio.create_task(call())


def nothing_under_way(desk: Desk) -> bool:
    return desk.use_cases._loads.total == 0 and desk.use_cases._tokenizing.waiting == 0


@given(st.text(), st.integers(1, 40))
def test_the_bound_is_never_above_what_any_split_into_such_tokens_has(text: str, longest: int) -> None:
    data = text.encode(errors="surrogatepass")
    fewest = len([data[at : at + longest] for at in range(0, len(data), longest)])

    assert least_tokens(len(data), longest) == fewest
    assert least_tokens(len(data), 0) == 0


def test_what_templates_strip_or_drop_does_not_count() -> None:
    chat = [
        ChatMessage(Role.USER, " " * 100_000 + "hi" + "\n" * 100_000),
        ChatMessage(Role.ASSISTANT, "<think>" + "x" * 100_000 + "</think>\n\nyes"),
    ]
    check_length(ask(messages=tuple(chat)), WINDOW)

    assert list(kept_texts(chat)) == ["hi", "yes"]


def test_a_server_that_tells_nothing_of_its_tokens_refuses_nothing_unread() -> None:
    check_length(ask(messages=(), prompt="x" * 10**6), replace(WINDOW, longest_token=0))


async def test_a_tree_has_few_short_texts_split_at_once_and_another_tree_is_not_kept_waiting() -> None:
    gate = TokenizingGate(TokenizingConfig())
    mal, amy = AgentFacts(Hints(), program="mal"), AgentFacts(Hints(), program="amy")
    under_way: list[str] = []

    async def split(who: AgentFacts) -> None:
        async with gate.turn(("acme", who.program), who, 16_000, math.inf):
            under_way.append(who.program)
            await asyncio.Event().wait()

    flood = [asyncio.create_task(split(mal)) for _ in range(8)]
    await until(lambda: gate.waiting == 6)
    other = asyncio.create_task(split(amy))
    await until(lambda: "amy" in under_way)
    for task in (*flood, other):
        task.cancel()
    await asyncio.gather(*flood, other, return_exceptions=True)

    assert under_way == ["mal", "mal", "amy"]
