"""The embedded engine computes the same numbers for a token, to the last bit, whatever goes on beside it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.tgi_local.adapters.xllama import XllamaEngine
from services.tgi_local.config import DEMO_MODEL
from services.tgi_local.core.engine import EngineRequest, EngineToken
from services.tgi_local.core.layout import Layout
from services.tgi_local.core.parameters import Sampling
from tests.fakes.examples import examples
from tests.fakes.gguf_model import write_random_model

pytestmark = pytest.mark.timeout(60)

SLOTS = 4
LENGTH = 40
MODELS = ["demo", "f16", "f32", "q8_0", "q4_0"]

prompts = st.lists(st.integers(1, 250), min_size=1, max_size=60)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "demo":
        return DEMO_MODEL
    kind = GGMLQuantizationType[request.param.upper()]
    return write_random_model(tmp_path_factory.mktemp("model") / "random.gguf", kind=kind)


@pytest.fixture
async def engine(model: Path, tmp_path: Path) -> AsyncIterator[XllamaEngine]:
    opened = await XllamaEngine.open(
        model, Layout(SLOTS, 512, exact=True), threads=1, data_dir=tmp_path, snapshots=tmp_path
    )
    yield opened
    await opened.close()


async def numbers(
    engine: XllamaEngine, prompt: Sequence[int], slot: int, count: int = LENGTH, *, reuse: bool = True
) -> list[EngineToken]:
    """Generate; the tokens carry the log-probabilities of the likeliest three."""
    job = EngineRequest(
        prompt=tuple(prompt),
        slot=slot,
        max_tokens=count,
        sampling=Sampling(),
        seed=1,
        top_n=3,
        reuse=reuse,
    )
    async with aclosing(engine.generate(job)) as run:
        return [token for batch in [b async for b in run] for token in batch]


def same(some: Sequence[EngineToken], others: Sequence[EngineToken]) -> bool:
    """Compare ids, and numbers to the last bit; a token that ends inside a character may come without any."""
    told = [(a, b) for a, b in zip(some, others, strict=False) if a.top and b.top]
    return [t.id for t in some] == [t.id for t in others] and all(a == b for a, b in told)


@settings(max_examples=examples(8))
@given(
    prompt=prompts, others=st.lists(prompts, min_size=1, max_size=SLOTS - 1), cut=st.integers(1, LENGTH - 1)
)
async def test_numbers_depend_on_nothing_but_the_tokens_before(
    engine: XllamaEngine, prompt: list[int], others: list[list[int]], cut: int
) -> None:
    whole = await numbers(engine, prompt, 0, reuse=False)
    ids = [token.id for token in whole]
    assume(cut < len(ids))

    beside, *_ = await asyncio.gather(
        numbers(engine, prompt, 0, reuse=False),
        *(numbers(engine, other, slot) for slot, other in enumerate(others, 1)),
    )
    first = await numbers(engine, prompt, 0, cut)
    covered = await engine.save(0, "cut.bin")
    again, *_ = await asyncio.gather(
        numbers(engine, [*prompt, *ids[:cut]], 1, LENGTH - cut, reuse=False),
        *(numbers(engine, other, slot) for slot, other in enumerate(others[1:], 2)),
    )
    await engine.restore(3, "cut.bin")
    restored = await numbers(engine, [*prompt, *ids[:cut]], 3, LENGTH - cut)

    assert same(beside, whole)
    assert same([*first, *again], whole)
    assert same([*first, *restored], whole)
    assert covered == len(prompt) + cut - 1
