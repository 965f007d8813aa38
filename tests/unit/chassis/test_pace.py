"""Refusals are answered at a rate for each party, and wait within bounds."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.pace import RefusalPace
from services.chassis.rpc.codes import Code

RATE = 8.0
BURST = 2.0
LONGEST = 3.0
MAL, AMY = ("acme", "mal"), ("acme", "amy")


def pace(**bounds: int) -> RefusalPace:
    return RefusalPace(RATE, burst=BURST, longest=LONGEST, **bounds)


def test_a_burst_is_answered_at_once_and_what_follows_waits_longer_and_longer() -> None:
    one = pace()

    delays = [one.delay(MAL, 0.0) for _ in range(26)]

    assert delays[: int(RATE * BURST)] == [0.0] * int(RATE * BURST)
    assert delays[int(RATE * BURST) :] == pytest.approx([(n + 1) / RATE for n in range(10)])


def test_nobody_waits_longer_than_the_longest_wait_or_because_of_somebody_else() -> None:
    one = pace()

    assert max(one.delay(MAL, 0.0) for _ in range(1_000)) == LONGEST
    assert one.delay(AMY, 0.0) == 0.0


def test_who_is_quiet_for_a_while_begins_anew() -> None:
    one = pace()
    for _ in range(1_000):
        one.delay(MAL, 0.0)

    assert one.delay(MAL, BURST + LONGEST) == 0.0


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=80))
def test_no_more_are_answered_in_any_stretch_than_rate_and_burst_allow(pauses: list[float]) -> None:
    one = pace()
    now, answered = 0.0, []
    for pause in pauses:
        now += pause
        delay = one.delay(MAL, now)
        if delay < LONGEST:
            answered.append(now + delay)

    for index, first in enumerate(answered):
        for count, last in enumerate(answered[index:], start=1):
            assert count <= (last - first) * RATE + BURST * RATE + 1.001


async def test_answers_that_are_no_refusals_and_a_rate_of_nothing_delay_nobody() -> None:
    one, none = pace(), RefusalPace(0)

    async with asyncio.timeout(1):
        for _ in range(1_000):
            await one.refused(MAL, Code.NOT_FOUND)
            await none.refused(MAL, Code.PERMISSION_DENIED)


async def test_refusals_that_wait_are_bounded_in_number_and_bytes_and_the_rest_is_answered() -> None:
    for bounds, size in (({"most_waiting": 5}, 0), ({"most_bytes": 50}, 10)):
        one = pace(**bounds)
        for _ in range(100):
            one.delay(MAL, asyncio.get_running_loop().time())
        waiting = [asyncio.create_task(one.refused(MAL, Code.PERMISSION_DENIED, size)) for _ in range(20)]
        done, left = await asyncio.wait(waiting, timeout=0.05)

        assert (len(done), len(left), one.waiting) == (15, 5, 5)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        assert one.waiting == 0
