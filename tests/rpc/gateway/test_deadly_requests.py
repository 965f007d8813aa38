"""A server in a process of its own that a request ends by a fault: it is found out in two deaths."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc
import pytest

from tests.fakes.kernel import chat, small_kernel
from tests.fakes.rpc import reason
from tests.fakes.tgi_answers import word
from tests.fakes.tokens import metadata
from tests.fakes.waiting import until

pytestmark = [pytest.mark.torture, pytest.mark.timeout(180)]

MARK = "deadly words"
TOKENS = 150
WHOLE = "".join(map(word, range(TOKENS)))


@dataclass
class Restarted:
    """A server that is started again, on the same port, a moment after it ended."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    _process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep it going until cancelled."""
        options = ("--tokens", str(TOKENS), "--token-delay", "0.01", "--deadly", MARK, "--plain")
        try:
            while True:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.fakes.fake_tgi", "--port", str(self.port), *options),
                    stdout=asyncio.subprocess.PIPE,
                )
                assert self._process.stdout is not None
                self.port = int(await self._process.stdout.readline())
                self.statuses.append(await self._process.wait())
                await asyncio.sleep(0.2)
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
                await self._process.wait()


@contextlib.asynccontextmanager
async def restarted(count: int) -> AsyncIterator[list[Restarted]]:
    """Run some such servers."""
    servers = [Restarted() for _ in range(count)]
    tasks = [asyncio.create_task(each.run()) for each in servers]
    try:
        await until(lambda: all(each.port for each in servers))
        yield servers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("count", [1, 2])
async def test_a_request_that_ends_its_server_is_refused_after_two_and_nobody_loses_an_answer(
    count: int,
) -> None:
    async with restarted(count) as servers:
        endpoints = ",".join(f"http://127.0.0.1:{each.port}" for each in servers)
        async with (
            small_kernel(backends={"AIOS_TGI_ENDPOINTS": endpoints}) as kernel,
            kernel.inference() as stub,
        ):
            good = [
                stub.Generate(chat(f"hello {n}"), metadata=metadata(f"bob{n}"), timeout=90) for n in range(6)
            ]
            await asyncio.sleep(0.5)
            ends = []
            for _ in range(3):
                with pytest.raises(grpc.aio.AioRpcError) as failure:
                    await stub.Generate(chat(MARK), metadata=metadata("mallory"), timeout=60)
                ends.append(reason(failure.value))
            answers = [await each for each in good]

        assert ends == ["REQUEST_POISONED"] * 3
        assert {each.finished.message.content for each in answers} == {WHOLE}
        assert [status for each in servers for status in each.statuses] == [-11, -11]
