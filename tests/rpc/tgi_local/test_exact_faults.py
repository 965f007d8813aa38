"""Greedy generations on the embedded engine equal the undisturbed ones, whatever befalls them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.model import GenerationSpec, Sampling
from services.tgi_local.config import DEMO_MODEL
from tests.fakes.examples import examples
from tests.fakes.faults import Fault, FaultKind, Trial
from tests.fakes.gguf_model import write_random_model
from tests.fakes.tgi_local import tgi_local

pytestmark = pytest.mark.timeout(120)

LENGTH = 60

faults = st.lists(st.builds(Fault, st.integers(1, 25), st.sampled_from(FaultKind)), max_size=5)
specs = st.builds(
    lambda prompt, sampling: GenerationSpec(prompt=prompt, max_tokens=LENGTH, sampling=sampling),
    st.text(min_size=1, max_size=40),
    st.sampled_from(
        [
            Sampling(),
            Sampling(repetition_penalty=1.3),
            Sampling(frequency_penalty=0.4, presence_penalty=-0.3),
            Sampling(presence_penalty=1.5),
        ]
    ),
)


@pytest.fixture(scope="module", params=["demo", "random"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "demo":
        return DEMO_MODEL
    return write_random_model(tmp_path_factory.mktemp("model") / "random.gguf")


@pytest.fixture
async def backends(model: Path, tmp_path: Path) -> AsyncIterator[list[TgiBackend]]:
    """Two servers of the same model."""
    async with AsyncExitStack() as stack:
        made = []
        for number in range(2):
            server = await stack.enter_async_context(tgi_local(model, tmp_path / str(number)))
            backend = TgiBackend(f"http://127.0.0.1:{server.port}", TgiConfig())
            stack.push_async_callback(backend.close)
            made.append(backend)
        yield made


async def same_as_undisturbed(
    backends: Sequence[TgiBackend], calls: Sequence[tuple[GenerationSpec, Sequence[Fault]]]
) -> None:
    """Run calls one after the other undisturbed, then side by side with their faults, and compare."""
    undisturbed = [Trial(spec, f"whole{n}", [], backends) for n, (spec, _) in enumerate(calls)]
    expected: list[Any] = [await trial.run() for trial in undisturbed]
    disturbed = [Trial(spec, f"cut{n}", drawn, backends) for n, (spec, drawn) in enumerate(calls)]
    answers = await asyncio.gather(*(trial.run() for trial in disturbed))

    for whole, cut, answer, wanted in zip(undisturbed, disturbed, answers, expected, strict=True):
        assert cut.ids == whole.ids, cut.happened
        assert cut.text == whole.text, cut.happened
        assert answer.message == wanted.message
        assert answer.usage.completion_tokens == wanted.usage.completion_tokens


@settings(max_examples=examples(15))
@given(calls=st.lists(st.tuples(specs, faults), min_size=1, max_size=3))
async def test_any_sequence_of_faults_leaves_ids_and_text_as_they_were(
    backends: list[TgiBackend], calls: list[tuple[GenerationSpec, list[Fault]]]
) -> None:
    await same_as_undisturbed(backends, calls)


@pytest.mark.torture
@pytest.mark.timeout(900)
@settings(max_examples=500)
@given(calls=st.lists(st.tuples(specs, faults), min_size=1, max_size=4))
async def test_freshly_drawn_faults_leave_ids_and_text_as_they_were(
    backends: list[TgiBackend], calls: list[tuple[GenerationSpec, list[Fault]]]
) -> None:
    await same_as_undisturbed(backends, calls)
