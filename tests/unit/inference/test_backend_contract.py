"""The Backend port: what every driver must do. Each adapter runs the suite against its own fake server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.inference.backends.openai.backend import OpenAiBackend, OpenAiConfig
from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.backends.tgi.wire import TokenEvent
from gateway.inference.errors import (
    BackendBroken,
    BackendError,
    BackendInvalid,
    BackendOverloaded,
    BackendStalled,
    BackendUnavailable,
)
from gateway.inference.model import (
    Constraint,
    ConstraintKind,
    KvState,
    Prompt,
    PromptIds,
    Sampling,
    Stopped,
    StopReason,
    StreamItem,
    Token,
)
from gateway.inference.ports import Backend
from tests.fakes import fake_openai, fake_tgi
from tests.fakes.scripted import Rule, scripted_model
from tests.fakes.waiting import until
from tests.unit.inference.served import (
    HELLO,
    TOKENS,
    FakeTgiClient,
    OpenAiServed,
    Served,
    TgiServed,
    follow,
    job,
    text_of,
)

SCHEMA = Constraint(ConstraintKind.JSON, '{"type": "object", "properties": {"a": {"type": "string"}}}')


class BackendContract:
    """What holds for every driver. A subclass supplies `serving`."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        """Run a server that answers with TOKENS tokens."""
        raise AssertionError("subclasses supply it")
        yield

    @pytest.fixture
    async def served(self) -> AsyncIterator[Served]:
        async with self.serving() as server:
            await server.backend.info()
            yield server
            await server.backend.close()

    async def test_it_tells_what_it_serves_and_holds(self, served: Served) -> None:
        info = await served.backend.info()

        assert info.model == served.model
        assert info.max_total_tokens == 4096
        assert info.slots >= 1
        assert info.max_batch_total_tokens in {0, info.slots * 4096}
        assert served.backend.name.startswith("127.0.0.1:")

    async def test_its_health_is_the_server_s(self, served: Served) -> None:
        before = await served.backend.healthy()
        served.sicken()

        assert before
        assert not await served.backend.healthy()

    async def test_a_prompt_is_a_text_or_a_chat_as_declared(self, served: Served) -> None:
        declared = (await served.backend.info()).capabilities
        chat, raw = await served.backend.render(HELLO), await served.backend.measure("one two three")

        assert (chat.chat is not None) == declared.chat_prompts
        assert bool(chat.text) != declared.chat_prompts
        assert chat.token_count >= 4
        assert (raw.text, raw.chat) == ("one two three", None)
        assert raw.token_count >= 3

    async def test_a_stream_ends_with_one_stopped(self, served: Served) -> None:
        items = await follow(served.backend, job(await served.backend.render(HELLO)), [])

        assert isinstance(items[-1], Stopped)
        assert items[-1].reason is StopReason.END
        assert not any(isinstance(item, Stopped) for item in items[:-1])
        assert sum(isinstance(item, Token) for item in items) == TOKENS

    async def test_a_raw_prompt_is_answered_too(self, served: Served) -> None:
        items = await follow(served.backend, job(await served.backend.measure("one two")), [])

        assert text_of(items).lower().startswith("the quick brown")

    async def test_alternatives_are_told_likeliest_first_where_a_job_asks(self, served: Served) -> None:
        for prompt in (await served.backend.render(HELLO), await served.backend.measure("one two")):
            asked = await follow(served.backend, job(prompt, top_alternatives=3), [])
            plain = await follow(served.backend, job(prompt), [])

            tokens = [item for item in asked if isinstance(item, Token) and item.text]
            assert len(tokens) == TOKENS
            for token in tokens:
                assert [each.logprob for each in token.alternatives] == [-0.25, -1.25, -2.25]
                assert token.alternatives[0].text == token.text
            assert not any(item.alternatives for item in plain if isinstance(item, Token))

    @pytest.mark.parametrize("asked", [{"logprobs": True}, {"top_alternatives": 2}])
    async def test_the_chosen_token_is_told_where_a_job_asks(
        self, served: Served, asked: dict[str, Any]
    ) -> None:
        for prompt in (await served.backend.render(HELLO), await served.backend.measure("one two")):
            items = await follow(served.backend, job(prompt, **asked), [])
            plain = await follow(served.backend, job(prompt), [])

            tokens = [item for item in items if isinstance(item, Token) and item.text]
            chosen = [token.chosen for token in tokens if token.chosen is not None]
            assert [(each.text, each.logprob) for each in chosen] == [(token.text, -0.25) for token in tokens]
            assert {len(token.alternatives) for token in tokens} == {asked.get("top_alternatives", 0)}
            assert not any(item.chosen for item in plain if isinstance(item, Token))

    @pytest.mark.parametrize("place", [0, 3, 4, 15])
    async def test_of_many_stop_strings_it_passes_on_what_the_server_takes(
        self, served: Served, place: int
    ) -> None:
        """The text, or what the server tells of it, is enough for whoever reads it to know which was met."""
        stops = [f"never{number}" for number in range(16)]
        stops[place] = "fox"
        items = await follow(served.backend, job(await served.backend.render(HELLO), stop=tuple(stops)), [])

        assert isinstance(items[-1], Stopped)
        assert ("fox" in text_of(items)) != (items[-1].stop_string == "fox")

    async def test_a_frequency_penalty_reaches_the_server(self, served: Served) -> None:
        prompt = await served.backend.render(HELLO)
        await follow(served.backend, job(prompt, sampling=Sampling(frequency_penalty=-1.5)), [])
        told = served.last_body.get("parameters", served.last_body)["frequency_penalty"]
        await follow(served.backend, job(prompt), [])

        assert told == -1.5
        assert "frequency_penalty" not in served.last_body.get("parameters", served.last_body)

    async def test_a_presence_penalty_reaches_the_server_or_is_refused_as_declared(
        self, served: Served
    ) -> None:
        prompt = await served.backend.render(HELLO)
        what = job(prompt, sampling=Sampling(presence_penalty=0.5))
        if not (await served.backend.info()).capabilities.presence_penalty:
            with pytest.raises(BackendInvalid):
                await follow(served.backend, what, [])
            return
        await follow(served.backend, what, [])

        assert served.last_body.get("parameters", served.last_body)["presence_penalty"] == 0.5

    async def test_the_budget_ends_an_answer(self, served: Served) -> None:
        items = await follow(served.backend, job(await served.backend.render(HELLO), max_new_tokens=5), [])

        assert isinstance(items[-1], Stopped)
        assert items[-1].reason is StopReason.LENGTH
        assert sum(isinstance(item, Token) for item in items) == 5

    @pytest.mark.parametrize("cut", range(1, TOKENS))
    async def test_going_on_repeats_and_loses_nothing_or_is_refused(self, served: Served, cut: int) -> None:
        backend = served.backend
        prompt = await backend.render(HELLO)
        if not (await backend.info()).capabilities.continues_text:
            with pytest.raises(BackendInvalid):
                await follow(backend, job(prompt, emitted_text="The quick"), [])
            return
        whole = await follow(backend, job(prompt), [])
        tokens = [item for item in whole if isinstance(item, Token)]
        told = [item.ids for item in whole if isinstance(item, PromptIds)]
        so_far = "".join(token.text for token in tokens[:cut])
        ids = tuple(token.id for token in tokens[:cut]) if told else ()
        rest = await follow(
            backend,
            job(
                prompt,
                prompt_ids=told[0] if told else (),
                emitted_text=so_far,
                emitted_ids=ids,
                max_new_tokens=TOKENS + 1 - cut,
            ),
            [],
        )

        assert so_far + text_of(rest) == text_of(whole)

    async def test_closing_a_stream_frees_the_server(self, served: Served) -> None:
        served.slow()
        async with aclosing(served.backend.stream(job(await served.backend.render(HELLO)))) as items:
            await anext(items)
            at_work = served.running

        await until(lambda: served.running == 0)
        assert at_work == 1

    async def test_cancelling_the_reader_frees_the_server(self, served: Served) -> None:
        served.slow()
        reading = asyncio.create_task(follow(served.backend, job(await served.backend.render(HELLO)), []))
        await until(lambda: served.running == 1)
        reading.cancel()

        with pytest.raises(asyncio.CancelledError):
            await reading
        await until(lambda: served.running == 0)

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("die", BackendUnavailable),
            ("end", BackendUnavailable),
            ("stall", BackendStalled),
            ("malformed", BackendBroken),
        ],
    )
    async def test_what_came_before_a_fault_is_delivered(
        self, served: Served, fault: str, error: type[BackendError]
    ) -> None:
        items: list[StreamItem] = []
        prompt = await served.backend.render(HELLO)
        served.fault(fault, 4)

        with pytest.raises(error):
            await follow(served.backend, job(prompt), items)
        assert sum(isinstance(item, Token) for item in items) == 4
        assert not any(isinstance(item, Stopped) for item in items)

    @pytest.mark.parametrize(
        ("status", "error"),
        [(400, BackendInvalid), (429, BackendOverloaded), (500, BackendUnavailable)],
    )
    async def test_a_refusal_has_its_type(
        self, served: Served, status: int, error: type[BackendError]
    ) -> None:
        prompt = await served.backend.render(HELLO)
        served.refuse(status)

        with pytest.raises(error):
            await follow(served.backend, job(prompt), [])

    async def test_a_constraint_reaches_the_server(self, served: Served) -> None:
        await follow(served.backend, job(await served.backend.render(HELLO), constraint=SCHEMA), [])

        assert '"properties"' in str(served.last_body).replace("'", '"')

    async def test_half_a_surrogate_pair_is_invalid(self, served: Served) -> None:
        with pytest.raises(BackendInvalid):
            await follow(served.backend, job(Prompt("\ud83d", 1)), [])

    async def test_suspending_what_does_not_run_keeps_nothing(self, served: Served) -> None:
        kept = await served.backend.suspend("t/a/none")
        await served.backend.forget(KvState("none", served.backend.name))

        assert kept is None

    async def test_jobs_are_values(self, served: Served) -> None:
        """A driver may be given the same job again after a failure."""
        what = job(await served.backend.render(HELLO))
        first = await follow(served.backend, what, [])
        second = await follow(served.backend, replace(what), [])

        assert text_of(first) == text_of(second)


class TestTgiBackend(BackendContract):
    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        async with fake_tgi.fake_tgi(fake_tgi.Behaviour(tokens=TOKENS, kv_snapshot=False)) as server:
            yield TgiServed(server)


class TestTgiLocalBackend(BackendContract):
    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        async with fake_tgi.fake_tgi(fake_tgi.Behaviour(tokens=TOKENS)) as server:
            yield TgiServed(server)


class OpenAiContract(BackendContract):
    owner = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        behaviour = fake_openai.Behaviour(owner=self.owner, pieces=fake_openai.words(TOKENS))
        async with fake_openai.fake_openai(behaviour) as server:
            yield OpenAiServed(server)


class TestOpenAiOnVllm(OpenAiContract):
    owner = "vllm"


class TestOpenAiOnSglang(OpenAiContract):
    owner = "sglang"


class TestOpenAiOnLlamaCpp(OpenAiContract):
    owner = "llamacpp"


class TestOpenAiOnOllama(OpenAiContract):
    owner = "library"


class TestOpenAiOnAnything(OpenAiContract):
    owner = "somebody"


class TestOpenAiOnScript(OpenAiContract):
    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        rule = Rule(text="".join(fake_openai.words(TOKENS)))
        async with scripted_model(rule, model="fake-chat", owner="vllm", window=4096, slots=4) as server:
            yield OpenAiServed(server)


async def test_a_tgi_tells_where_messages_end_in_its_tokens() -> None:
    async with fake_tgi.fake_tgi() as server:
        backend = TgiBackend(server.url, TgiConfig())
        prompt = await backend.render(HELLO)
        raw = await backend.measure("word " * 300)
        untold = await backend.queue_size()
        await backend.close()

    before = prompt.text[: prompt.text.index("there") + len("there")]
    assert len(prompt.marks) == 2
    assert prompt.marks[0] < prompt.marks[1] <= len(before.split())
    assert raw.marks == (102, 204)
    assert untold is None


@pytest.mark.parametrize(("told", "kept"), [(None, None), ("x", None), ([], None), (-2, -2.0), (3.5, 0.0)])
async def test_a_tgi_whose_log_probability_is_no_number_tells_none(told: Any, kept: float | None) -> None:
    class Odd(FakeTgiClient):
        events = (
            TokenEvent(1, "a", special=False, logprob=told, generated_text="a", finish_reason="length"),
        )

    backend = TgiBackend("http://127.0.0.1:1", TgiConfig())
    backend._client = Odd()  # type: ignore[assignment]  # a server's odd events
    token, _ = await follow(backend, job(Prompt("x", 1), logprobs=True), [])

    assert isinstance(token, Token)
    assert (token.chosen.logprob if token.chosen else None) == kept


@pytest.mark.parametrize(
    "make",
    [
        lambda: TgiBackend("http://127.0.0.1:1", TgiConfig()),
        lambda: OpenAiBackend("http://127.0.0.1:1/v1", OpenAiConfig()),
    ],
)
async def test_nobody_listening_is_unavailable(make: Callable[[], Backend]) -> None:
    backend = make()
    healthy = await backend.healthy()
    with pytest.raises(BackendUnavailable):
        await backend.info()
    await backend.close()

    assert not healthy
