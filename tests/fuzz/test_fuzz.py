"""Everything that strangers can send costs bounded work before it is admitted, whatever it is."""

import os
from itertools import islice
from typing import Final

import pytest

from tests.fuzz.backends import BACKENDS
from tests.fuzz.chats import CHATS
from tests.fuzz.constraints import CONSTRAINTS
from tests.fuzz.target import CORPUS, Target, hunt
from tests.fuzz.texts import TEXTS
from tests.fuzz.wire import WIRE

TARGETS: Final = TEXTS | CONSTRAINTS | CHATS | WIRE | BACKENDS
QUICK: Final = 25
"""Mutations of each target that `make test` tries."""
QUICK_BYTES: Final = (200, 800)
SEED: Final = int(os.environ.get("AIOS_FUZZ_SEED", "1"))


@pytest.mark.parametrize("fuzzed", TARGETS.values(), ids=list(TARGETS))
def test_the_corpus_and_what_is_made_of_it_stay_within_their_bounds(fuzzed: Target) -> None:
    for _ in islice(hunt(fuzzed, SEED, QUICK_BYTES), len(fuzzed.corpus()) + QUICK):
        pass


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} >= set(TARGETS)
