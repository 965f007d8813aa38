"""Those who wait hear that something changed, once, and never miss it."""

import asyncio

from services.chassis.notifier import ChangeNotifier


async def test_every_waiter_of_a_topic_wakes_and_no_other() -> None:
    changes = ChangeNotifier()
    waits = [asyncio.create_task(changes.wait("files")) for _ in range(2)]
    other = asyncio.create_task(changes.wait("notes", timeout=0.01))
    await asyncio.sleep(0)

    changes.notify("files")

    assert await asyncio.gather(*waits) == [True, True]
    assert await other is False


async def test_a_change_while_a_subscriber_looks_is_not_missed() -> None:
    changes = ChangeNotifier()
    with changes.subscribe() as changed:
        changes.notify()
        changes.notify()

        assert await changed.wait() is True
        assert await changed.wait(0.0) is False


async def test_a_subscriber_may_count_what_came_before_its_look_as_seen() -> None:
    changes = ChangeNotifier()
    with changes.subscribe() as changed:
        changes.notify()
        changed.reset()

        assert await changed.wait(0.0) is False


async def test_a_wait_lets_go_after_its_time() -> None:
    changes = ChangeNotifier()
    changes.notify()

    assert await changes.wait(timeout=0.001) is False
    assert changes.count == 1


async def test_nothing_is_kept_of_topics_without_subscribers() -> None:
    changes = ChangeNotifier()
    for number in range(3):
        changes.notify(number)
        await changes.wait(number, timeout=0.0)
    waiting = asyncio.create_task(changes.wait("left"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    assert not vars(changes)["_subscriptions"]
