"""The queue in front of the slots."""

import asyncio

from services.tgi_local.service.waiting import SlotGrant, SlotQueue


def queue(slots: int, seen: list[tuple[int, int]] | None = None) -> SlotQueue:
    return SlotQueue(slots, changed=lambda *counts: seen.append(counts) if seen is not None else None)


async def test_slots_go_to_whoever_waited_longest() -> None:
    seen: list[tuple[int, int]] = []
    waiting = queue(1, seen)
    first, second, third = (waiting.enter((n,)) for n in range(3))
    waiting.give_back(0, ())

    assert (first.result(), second.result(), third.done()) == (SlotGrant(0, 0), SlotGrant(0, 0), False)
    assert seen[-1] == (1, 1)


async def test_a_place_given_up_is_skipped() -> None:
    waiting = queue(1)
    _, second, third = (waiting.enter((n,)) for n in range(3))
    waiting.leave(second)
    waiting.give_back(0, ())

    assert third.result() == SlotGrant(0, 0)


async def test_a_place_resolved_to_nothing_is_skipped() -> None:
    waiting = queue(1)
    _, second, third = (waiting.enter((n,)) for n in range(3))
    second.set_result(None)
    waiting.leave(second)
    waiting.give_back(0, ())

    assert third.result() == SlotGrant(0, 0)


async def test_a_slot_granted_to_someone_who_left_goes_to_the_next() -> None:
    waiting = queue(1)
    first, second = (waiting.enter((n,)) for n in range(2))
    waiting.leave(first)

    assert second.result() == SlotGrant(0, 0)


async def test_a_cancelled_waiter_loses_no_slot() -> None:
    waiting = queue(1)
    waiting.enter(())
    place = waiting.enter(())
    task = asyncio.ensure_future(_wait(waiting, place))
    await asyncio.sleep(0)
    waiting.give_back(0, ())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert waiting.enter(()).result() == SlotGrant(0, 0)


async def _wait(waiting: SlotQueue, place: "asyncio.Future[SlotGrant | None]") -> None:
    try:
        await place
    except asyncio.CancelledError:
        waiting.leave(place)
        raise
