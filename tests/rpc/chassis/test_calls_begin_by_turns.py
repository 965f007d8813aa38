"""A burst of one agent's calls does not stand before everybody else's."""

import asyncio
from typing import Any

from services.chassis.auth.identity import current_caller
from tests.fakes import tokens
from tests.fakes.echo import Echo, EchoServicer, EchoStub
from tests.fakes.rpc import connected, running
from tests.fakes.waiting import until


async def test_a_call_that_comes_into_a_burst_passes_most_of_it() -> None:
    order: list[str] = []

    async def note(request: Any, _context: Any) -> Any:
        order.append(current_caller().agent)
        return request

    async with running(EchoServicer(note).servicer()) as server:
        entrance = server._pipeline.entrance
        entrance._at_once = 0  # everybody waits
        async with connected(server) as flooding, connected(server) as calm:
            flood = [
                asyncio.ensure_future(EchoStub(flooding).unary(Echo(), metadata=tokens.metadata("mal")))
                for _ in range(50)
            ]
            await until(lambda: entrance.waiting == 50)
            other = asyncio.ensure_future(EchoStub(calm).unary(Echo(), metadata=tokens.metadata("amy")))
            await until(lambda: entrance.waiting == 51)
            entrance._at_once = 1
            await other
            await asyncio.gather(*flood)

    assert order.index("amy") <= 2
    assert len(order) == 51
