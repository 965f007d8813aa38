"""Half a minute of fuzzing for each target of `chats`."""

import pytest

from tests.fuzz.chats import CHATS
from tests.fuzz.long_run import run_long
from tests.fuzz.target import Target


@pytest.mark.torture
@pytest.mark.parametrize("fuzzed", CHATS.values(), ids=list(CHATS))
def test_half_a_minute_of_mutations_stays_within_the_bounds(fuzzed: Target) -> None:
    run_long(fuzzed)
