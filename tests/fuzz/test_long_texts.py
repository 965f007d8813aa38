"""Half a minute of fuzzing for each target of `texts`."""

import pytest

from tests.fuzz.long_run import run_long
from tests.fuzz.target import Target
from tests.fuzz.texts import TEXTS


@pytest.mark.torture
@pytest.mark.parametrize("fuzzed", TEXTS.values(), ids=list(TEXTS))
def test_half_a_minute_of_mutations_stays_within_the_bounds(fuzzed: Target) -> None:
    run_long(fuzzed)
