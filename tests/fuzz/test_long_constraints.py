"""Half a minute of fuzzing for each target of `constraints`."""

import pytest

from tests.fuzz.constraints import CONSTRAINTS
from tests.fuzz.long_run import run_long
from tests.fuzz.target import Target


@pytest.mark.torture
@pytest.mark.parametrize("fuzzed", CONSTRAINTS.values(), ids=list(CONSTRAINTS))
def test_half_a_minute_of_mutations_stays_within_the_bounds(fuzzed: Target) -> None:
    run_long(fuzzed)
