"""What every engine must show: the embedded one and the fake that stands in for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from services.tgi_local.adapters.xllama import XllamaEngine
from services.tgi_local.core.engine import (
    Engine,
    EngineError,
    EngineRequest,
    EngineToken,
    PromptTooLong,
    StopKind,
)
from services.tgi_local.core.grammar import constraint_of
from services.tgi_local.core.layout import Layout
from services.tgi_local.core.parameters import Sampling
from services.tgi_local.core.parts import Part
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.gguf_model import write_random_model

PROMPT = tuple(b"hello there")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "random.gguf")


def job(prompt: tuple[int, ...] = PROMPT, count: int = 6, *, slot: int = 0, top_n: int = 0) -> EngineRequest:
    return EngineRequest(prompt=prompt, slot=slot, max_tokens=count, sampling=Sampling(), seed=1, top_n=top_n)


async def run(engine: Engine, wanted: EngineRequest) -> list[EngineToken]:
    async with aclosing(engine.generate(wanted)) as batches:
        return [token for batch in [b async for b in batches] for token in batch]


def ids(tokens: list[EngineToken]) -> list[int]:
    return [token.id for token in tokens]


class EngineContract:
    """Behaviour every Engine must show; subclasses supply `engine`."""

    async def test_greedy_generation_gives_the_same_tokens_every_time(self, engine: Engine) -> None:
        first, second = await run(engine, job()), await run(engine, job(slot=1))

        assert ids(first) == ids(second)
        assert len(first) == 6

    async def test_it_says_that_the_limit_was_reached(self, engine: Engine) -> None:
        generation = engine.generate(job())
        async with aclosing(generation) as batches:
            async for _ in batches:
                pass

        assert generation.ended is StopKind.LIMIT

    async def test_every_token_is_told_and_has_bytes(self, engine: Engine) -> None:
        tokens = await run(engine, job(count=40))

        assert len(tokens) == 40
        assert all(0 <= token.id < len(engine.vocabulary) for token in tokens)

    async def test_alternatives_are_told_when_asked_for(self, engine: Engine) -> None:
        tokens = await run(engine, job(top_n=3))

        assert len(tokens[0].top) == 3
        assert tokens[0].logprob is not None
        assert tokens[0].logprob <= 0

    async def test_a_stopped_run_just_ends_and_frees_its_slot(self, engine: Engine) -> None:
        generation = engine.generate(job(count=400))
        tokens: list[EngineToken] = []
        async with aclosing(generation) as batches:
            async for batch in batches:
                tokens.extend(batch)
                generation.stop()
        again = await run(engine, job())

        assert generation.ended is None
        assert len(tokens) < 400
        assert len(again) == 6

    async def test_a_run_stopped_from_another_task_ends(self, engine: Engine) -> None:
        generation = engine.generate(job(count=400))

        async def read() -> int:
            async with aclosing(generation) as batches:
                return sum([len(batch) async for batch in batches])

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        generation.stop()

        assert await reading < 400

    async def test_a_cancelled_reader_frees_its_slot(self, engine: Engine) -> None:
        reading = asyncio.create_task(run(engine, job(count=400)))
        await asyncio.sleep(0.005)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

        assert len(await run(engine, job())) == 6

    async def test_a_run_that_never_began_can_be_closed(self, engine: Engine) -> None:
        generation = engine.generate(job())
        await generation.aclose()
        await generation.aclose()

        assert len(await run(engine, job())) == 6

    async def test_a_saved_state_continues_in_another_slot(self, engine: Engine) -> None:
        whole = ids(await run(engine, job(count=12)))
        first = ids(await run(engine, job(count=5)))
        covered = await engine.save(0, "state.bin")
        await run(engine, job(prompt=(1, 2, 3)))
        restored = await engine.restore(1, "state.bin")
        rest = ids(await run(engine, job(prompt=(*PROMPT, *first), count=7, slot=1)))

        assert covered == restored == len(PROMPT) + 4
        assert [*first, *rest] == whole

    async def test_what_its_slot_held_of_the_prompt_is_told_with_the_first_token(
        self, engine: Engine
    ) -> None:
        told: list[int | None] = []
        for wanted in (job(), job((*PROMPT, *b" again")), job(slot=1)):
            generation = engine.generate(wanted)
            before = generation.cached
            async with aclosing(generation) as batches:
                await anext(aiter(batches))
                told.append(generation.cached)
            assert before is None

        assert told == [0, len(PROMPT), 0]

    async def test_a_missing_state_is_an_engine_error(self, engine: Engine) -> None:
        with pytest.raises(EngineError):
            await engine.restore(0, "missing.bin")

    async def test_special_tokens_in_a_text_are_recognised(self, engine: Engine) -> None:
        [found] = await engine.tokenize([Part("a<|im_end|>", special=True)], add_special=False)

        assert found[-1] in engine.vocabulary.special
        assert engine.vocabulary.text(found) == "a"

    async def test_no_text_has_fewer_tokens_than_its_length_says(self, engine: Engine) -> None:
        longest = engine.vocabulary.longest
        pieces = [piece.decode(errors="ignore") for piece in engine.vocabulary.pieces]
        texts = ["".join(pieces), *(piece * 50 for piece in pieces if len(piece) > 2), " " * 500, "é☃" * 99]
        split = await engine.tokenize([Part(text, special=True) for text in texts], add_special=False)

        assert longest
        assert all(
            len(found) * longest >= len(text.encode()) for found, text in zip(split, texts, strict=True)
        )

    async def test_chats_are_rendered(self, engine: Engine) -> None:
        text = await engine.render([{"role": "user", "content": "hi"}])

        assert text == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"

    async def test_it_is_healthy(self, engine: Engine) -> None:
        assert await engine.healthy()


class TestFake(EngineContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> FakeEngine:
        return FakeEngine(tmp_path)


class TestXllama(EngineContract):
    @pytest.fixture
    async def engine(self, model: Path, tmp_path: Path) -> AsyncIterator[XllamaEngine]:
        opened = await XllamaEngine.open(
            model, Layout(2, 512, exact=True), threads=1, data_dir=tmp_path, snapshots=tmp_path
        )
        yield opened
        await opened.close()

    async def test_the_vocabulary_agrees_with_the_engine(self, engine: XllamaEngine) -> None:
        text = "hello the ☃ within é\n<|im_end|>"
        answer = await engine.call("/tokenize", {"content": text, "parse_special": True, "with_pieces": True})
        pieces = [
            t["piece"].encode() if isinstance(t["piece"], str) else bytes(t["piece"])
            for t in answer["tokens"]
        ]

        assert [engine.vocabulary.pieces[t["id"]] for t in answer["tokens"]] == pieces

    async def test_streamed_ids_are_those_of_a_unary_answer(self, engine: XllamaEngine) -> None:
        for start in range(0, 250, 25):
            prompt = (start, start + 1)
            body = {
                "prompt": prompt,
                "n_predict": 60,
                "temperature": 0,
                "return_tokens": True,
                "repeat_last_n": 0,
            }
            whole = (await engine.call("/completion", body))["tokens"]

            assert ids(await run(engine, job(prompt, 60))) == whole

    async def test_penalties_count_prompt_and_output(self, engine: XllamaEngine) -> None:
        """So a run that goes on from both together counts the same."""
        plain, penalised = job(count=40), Sampling(presence_penalty=2.0, frequency_penalty=0.5)
        whole = ids(await run(engine, replace(plain, sampling=penalised)))
        rest = replace(plain, prompt=(*PROMPT, *whole[:20]), max_tokens=20, sampling=penalised)

        assert whole != ids(await run(engine, plain))
        assert len(set(whole)) > len(set(ids(await run(engine, plain))))
        assert ids(await run(engine, rest)) == whole[20:]

    async def test_a_presence_penalty_is_the_engine_s(self, engine: XllamaEngine) -> None:
        body = {"prompt": PROMPT, "n_predict": 40, "temperature": 0, "return_tokens": True}
        body |= {"presence_penalty": 2.0, "repeat_last_n": engine.layout.ctx_per_slot}
        whole = (await engine.call("/completion", body))["tokens"]

        wanted = replace(job(count=40), sampling=Sampling(presence_penalty=2.0))
        assert ids(await run(engine, wanted)) == whole

    async def test_a_prompt_that_does_not_fit_is_refused(self, engine: XllamaEngine) -> None:
        with pytest.raises(PromptTooLong):
            await run(engine, job(prompt=(5,) * 600))

    async def test_prompt_and_answer_may_fill_the_slot(self, engine: XllamaEngine) -> None:
        tokens = await run(engine, job(prompt=(5,) * 500, count=12))

        assert len(tokens) == 12

    @pytest.mark.parametrize(
        "grammar",
        [
            {"type": "regex", "value": "[0-9]{3}-[a-c]{2}"},
            {"type": "regex", "value": r"a/b\\/c[/x]"},
            {"type": "regex", "value": "(?i)[a-f]{4}"},
            {
                "type": "json",
                "value": {
                    "type": "object",
                    "properties": {"kind": {"enum": ["a", "b"]}, "n": {"$ref": "#/$defs/digit"}},
                    "required": ["kind", "n"],
                    "additionalProperties": False,
                    "$defs": {"digit": {"enum": [1, 2, 3]}},
                },
            },
        ],
    )
    async def test_constraints_hold(self, engine: XllamaEngine, grammar: dict[str, object]) -> None:
        constraint = constraint_of(grammar)
        assert constraint is not None
        wanted = EngineRequest(
            prompt=PROMPT, slot=0, max_tokens=300, sampling=Sampling(), seed=1, constraint=constraint
        )

        assert constraint.accepts(engine.vocabulary.text(ids(await run(engine, wanted))))

    async def test_constrained_json_has_no_room_for_endless_white_space(self, engine: XllamaEngine) -> None:
        schema = {"properties": {"a": {"enum": [1]}, "b": {"enum": [[1, 2]]}}, "required": ["a", "b"]}
        closed = {"type": "object", "additionalProperties": False} | schema
        wanted = replace(job(count=100), constraint=constraint_of({"type": "json", "value": closed}))

        assert engine.vocabulary.text(ids(await run(engine, wanted))) == '{"a": 1, "b": [1, 2]}'

    async def test_a_seed_repeats_a_sampled_run(self, engine: XllamaEngine) -> None:
        def sampled(seed: int) -> EngineRequest:
            hot = Sampling(temperature=1.0)
            return EngineRequest(prompt=PROMPT, slot=0, max_tokens=20, sampling=hot, seed=seed, reuse=False)

        first, second, other = [ids(await run(engine, sampled(seed))) for seed in (7, 7, 8)]

        assert first == second
        assert first != other

    async def test_a_file_that_is_no_model_is_refused(self, tmp_path: Path, model: Path) -> None:
        broken = tmp_path / "broken.gguf"
        content = await asyncio.to_thread(model.read_bytes)
        await asyncio.to_thread(broken.write_bytes, content[:-50_000])

        with pytest.raises(EngineError, match="cannot load"):
            await XllamaEngine.open(
                broken, Layout(1, 256, exact=True), threads=1, data_dir=tmp_path, snapshots=tmp_path
            )

    async def test_closing_leaves_no_socket(self, model: Path, tmp_path: Path, short_path: Path) -> None:
        data = short_path / "data"
        await asyncio.to_thread(data.mkdir)
        opened = await XllamaEngine.open(
            model, Layout(1, 256, exact=True), threads=1, data_dir=data, snapshots=tmp_path
        )
        during = await asyncio.to_thread(lambda: [path.stat().st_mode & 0o777 for path in data.iterdir()])
        await opened.close()

        assert during == [0o700]
        assert await asyncio.to_thread(lambda: list(data.iterdir())) == []

    async def test_closing_in_the_middle_of_generations_ends_them(self, engine: XllamaEngine) -> None:
        running = [asyncio.create_task(run(engine, job(count=400, slot=slot))) for slot in (0, 1)]
        await asyncio.sleep(0.01)
        await engine.close()
        lengths = [len(tokens) for tokens in await asyncio.gather(*running)]

        assert max(lengths) < 400
