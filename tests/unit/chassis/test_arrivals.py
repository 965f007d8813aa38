"""Which requests are read on and which make way, without connections."""

import asyncio
from typing import Any, Final

import pytest

from aios.api.memory.v1 import memory_pb2
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc import methods
from services.chassis.rpc.arrivals import Arrivals
from services.chassis.rpc.errors import DeadlineExceeded

METHOD: Final = next(iter(methods.table(memory_pb2.DESCRIPTOR).values()))
Sender = tuple[str, str]


class SlowSender:
    """A call whose request comes when the test says so."""

    def __init__(self) -> None:
        self.rest: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        """Wait for the request."""
        return await self.rest


class Senders:
    """Calls whose requests are being read."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self.calls: list[tuple[Sender, SlowSender, asyncio.Task[bytes]]] = []

    async def begin(self, who: Sender, count: int = 1) -> None:
        """Let a party begin to send requests."""
        for _ in range(count):
            sender = SlowSender()
            task = asyncio.create_task(self._arrivals.read(sender, METHOD, *who))
            self.calls.append((who, sender, task))
            for _ in range(5):
                await asyncio.sleep(0)

    def lost(self) -> list[Sender]:
        """Return who had to make way, in the order in which they had begun."""
        return [who for who, _, task in self.calls if task.done()]

    async def finish(self) -> list[Any]:
        """Let all the rest come, and return what each call read or was told."""
        for _, sender, _ in self.calls:
            sender.rest.set_result(b"whole")
        return await asyncio.gather(*(task for _, _, task in self.calls), return_exceptions=True)


async def test_the_party_that_sends_most_at_once_makes_way() -> None:
    senders = Senders(Arrivals(most=6))
    await senders.begin(("globex", "bob"))
    await senders.begin(("acme", "amy"))
    await senders.begin(("acme", "mal"), 4)
    await senders.begin(("globex", "bea"))
    await senders.begin(("acme", "ann"))
    assert senders.lost() == [("acme", "mal")] * 2
    answers = await senders.finish()
    assert [isinstance(answer, TooManyCalls) for answer in answers] == [
        *[False] * 2,
        True,
        True,
        *[False] * 4,
    ]


async def test_children_win_a_tree_nothing() -> None:
    senders = Senders(Arrivals(lambda _tenant, agent: agent.split(".")[0], most=8))
    await senders.begin(("acme", "amy"), 2)
    for n in range(6):
        await senders.begin(("acme", f"mal.{n}"))
    await senders.begin(("acme", "ann"))
    for n in range(3):
        await senders.begin(("", f"ipv4:10.0.0.{n}"))
    assert senders.lost() == [("acme", f"mal.{n}") for n in range(4)]
    await senders.finish()


async def test_what_does_not_come_is_waited_for_no_longer_and_its_read_goes_on_to_its_end() -> None:
    arrivals, sender = Arrivals(seconds=-METHOD.max_request_bytes / 65_536 + 0.01), SlowSender()
    with pytest.raises(DeadlineExceeded):
        await arrivals.read(sender, METHOD, "acme", "mal")
    assert arrivals.reading == 0
    assert not sender.rest.cancelled()
    sender.rest.set_exception(ConnectionError("the call ended"))  # told to nobody
    await asyncio.sleep(0)
