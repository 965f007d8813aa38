"""Half a minute of fuzzing for each target of `wire`."""

import pytest

from tests.fuzz.long_run import run_long
from tests.fuzz.target import Target
from tests.fuzz.wire import WIRE


@pytest.mark.torture
@pytest.mark.parametrize("fuzzed", WIRE.values(), ids=list(WIRE))
def test_half_a_minute_of_mutations_stays_within_the_bounds(fuzzed: Target) -> None:
    run_long(fuzzed)
