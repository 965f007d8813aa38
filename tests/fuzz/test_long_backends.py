"""Half a minute of fuzzing for each target of `backends`."""

import pytest

from tests.fuzz.backends import BACKENDS
from tests.fuzz.long_run import run_long
from tests.fuzz.target import Target


@pytest.mark.torture
@pytest.mark.parametrize("fuzzed", BACKENDS.values(), ids=list(BACKENDS))
def test_half_a_minute_of_mutations_stays_within_the_bounds(fuzzed: Target) -> None:
    run_long(fuzzed)
