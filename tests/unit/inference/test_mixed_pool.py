"""A pool of drivers of several kinds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.inference.core.culprits import Work
from gateway.inference.model import Capabilities, ReplicaInfo
from gateway.inference.service.replicas import PoolConfig, ReplicaPool
from services.chassis.chat import ChatMessage, Role, ToolDefinition
from services.chassis.runtime.clock import SystemClock
from tests.fakes.backend import PLAIN, FakeBackend
from tests.fakes.waiting import until

QUICK = PoolConfig(healthy_interval=0.01, first_retry=0.005, longest_retry=0.02, probe_timeout=5.0)
CHATS = replace(PLAIN, capabilities=Capabilities(chat_prompts=True, native_tools=True))
CLOCK = ToolDefinition("clock", "Tells the time.", "")


class Recorder(FakeBackend):
    """Keeps what it was asked to render."""

    def __init__(self, name: str, info: ReplicaInfo) -> None:
        super().__init__(name, info=info)
        self.rendered: list[tuple[list[ChatMessage], list[ToolDefinition]]] = []

    async def render(self, messages, tools=()):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        self.rendered.append((list(messages), list(tools)))
        return await super().render(messages, tools)


@asynccontextmanager
async def watched(*backends: FakeBackend) -> AsyncIterator[ReplicaPool]:
    pool = ReplicaPool(backends, lambda *_: None, QUICK, SystemClock())
    tasks = [asyncio.create_task(pool.watch(name)) for name in pool.names]
    try:
        yield pool
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def names(pool: ReplicaPool) -> list[str]:
    return [live.backend.name for live in pool.live()]


async def test_one_model_in_two_forms_is_served_in_the_first_one_s() -> None:
    backends = [FakeBackend("text"), FakeBackend("chat", info=CHATS), FakeBackend("text2")]
    async with watched(*backends) as pool:
        await until(lambda: names(pool) == ["text", "text2"])

        assert "another form" in pool.failures()["chat"]


async def test_two_models_may_have_two_forms() -> None:
    other = FakeBackend("chat", info=replace(CHATS, model="other"))
    async with watched(FakeBackend("text"), other) as pool:
        await until(lambda: names(pool) == ["text", "chat"])

        assert pool.failures() == {}


async def test_tools_go_through_or_become_text() -> None:
    native = Recorder("chat", replace(CHATS, model="other"))
    plain = Recorder("text", PLAIN)
    hello = ChatMessage(Role.USER, "hello")
    async with watched(plain, native) as pool:
        await until(lambda: len(names(pool)) == 2)
        for live in pool.live():
            await pool.render(live, [hello], [CLOCK], work=Work(b"", "tree"))

    assert native.rendered == [([hello], [CLOCK])]
    [[system, user], tools] = plain.rendered[0]
    assert "clock()" in system.content
    assert (user, tools) == (hello, [])


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"max_total_tokens": 10**12}, "a window"),
        ({"max_total_tokens": 0}, "a window"),
        ({"slots": 2**31}, "slots"),
        ({"slots": -1}, "slots"),
        ({"max_batch_total_tokens": 10**30}, "room"),
        ({"model": ""}, "name"),
        ({"model": "m" * 257}, "name"),
    ],
)
async def test_a_server_that_declares_what_cannot_be_is_left_out_and_the_others_serve(
    told: dict[str, int | str], what: str
) -> None:
    odd = FakeBackend("odd", info=replace(PLAIN, **told))  # type: ignore[arg-type]
    async with watched(odd, FakeBackend("plain")) as pool:
        await until(lambda: names(pool) == ["plain"] and "odd" in pool.failures())

        assert what in pool.failures()["odd"]
        assert [each.info.model for each in pool.live()] == [PLAIN.model]
