"""The agents of clients' sessions at a real access manager: joined by every gateway, at any time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from gateway.http.adapters.children import KernelChildren
from gateway.http.kernel import Kernel, kernel_on
from services.chassis.dispatch.scheduling import Hints
from services.chassis.rpc.local import LocalChannel
from tests.fakes.access import AllowAll
from tests.fakes.access_manager import agent_servicer, desk
from tests.fakes.rpc import running
from tests.fakes.stores.access import MemoryStore
from tests.fakes.tokens import ISSUER_FOR_TESTS
from tests.rpc.gateway.test_groups_rpc import register

TOKEN = ISSUER_FOR_TESTS.token("planner")
BEARER = (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    agents = (await asyncio.to_thread(desk, MemoryStore(), tmp_path)).manager.agents
    await register(agents, "planner", hints=Hints(priority=3, weight=7))
    add = agent_pb2_grpc.add_AgentServiceServicer_to_server
    servicer = (add, agent_servicer(agents), agent_pb2.DESCRIPTOR)
    async with running(servicer, authorizer=AllowAll()) as server:
        yield kernel_on(LocalChannel(server._pipeline))


async def test_a_session_is_joined_by_other_gateways_later_and_in_other_words(kernel: Kernel) -> None:
    here, there = KernelChildren(kernel), KernelChildren(kernel)
    labels = {"door": "session", "door-seen": "1"}
    first = await here.register(TOKEN, "d-1", kind="codex", name="codex t1", labels=labels)
    later = {**labels, "door-seen": "901"}
    again = await there.register(TOKEN, "d-1", kind="codex-exec", name="codex review t1", labels=later)

    assert (first.agent, first.tenant) == (again.agent, again.tenant)
    assert again.token
    found = await kernel.agents.GetAgent(agent_pb2.GetAgentRequest(name="agents/d-1"), metadata=BEARER)
    assert (found.agent.parent, found.agent.kind) == ("agents/planner", "codex")
    assert (found.agent.display_name, dict(found.agent.labels)) == ("codex t1", labels)
    assert (found.agent.hints.priority, found.agent.hints.weight) == (3, 1)


async def test_what_a_gateway_registered_that_died_before_it_said_what_it_is_is_said_by_the_next_one(
    kernel: Kernel,
) -> None:
    bare = agent_pb2.RegisterAgentRequest(agent_id="d-1", request_id="door-d-1")
    await kernel.agents.RegisterAgent(bare, metadata=BEARER)
    await KernelChildren(kernel).register(TOKEN, "d-1", kind="codex", name="t1", labels={"door": "session"})

    child = await KernelChildren(kernel).get(TOKEN, "d-1")
    assert child.labels == {"door": "session"}


async def test_the_tree_below_one_session_is_listed_without_it(kernel: Kernel) -> None:
    children = KernelChildren(kernel)
    for child in ("d-1", "d-2"):
        await children.register(TOKEN, child, kind="codex", name=child, labels={"door": "session"})
    below = ISSUER_FOR_TESTS.token("d-1", parent="planner")
    await children.register(below, "d-3", kind="codex", name="d-3", labels={"door": "session"})

    assert {each.id for each in await children.below(TOKEN, "d-1")} - {"d-1"} == {"d-3"}
    assert {each.id for each in await children.below(TOKEN)} >= {"d-1", "d-2", "d-3"}
    await children.end(TOKEN, "d-1")
    assert [(await children.get(TOKEN, each)).killed for each in ("d-1", "d-2", "d-3")] == [True, False, True]
