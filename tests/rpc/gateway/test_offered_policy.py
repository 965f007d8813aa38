"""A policy that an installed package offers is named like a built-in one, and no list is repeated for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from services.access.config import AccessConfig, installed_policies
from services.access.main import assemble
from services.access.service.agents import AgentService, NewAgent
from services.access.servicer import AgentServicer
from services.chassis.dispatch.scheduling import Caps, Hints
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.config import load
from services.chassis.runtime.process import Process
from services.scheduler.core.policies import BUILT_IN
from tests.fakes import offered_policy
from tests.fakes.access_manager import ADMIN, NEW, desk
from tests.fakes.kernel import chat, small_kernel
from tests.fakes.rpc import connected
from tests.fakes.stores.access import MemoryStore
from tests.fakes.tokens import metadata

BUILT_IN_NAMES = {policy.name for policy in BUILT_IN}


@pytest.fixture
def lifo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    folder = tmp_path / "site"
    folder.mkdir()
    offered_policy.install(monkeypatch, folder, "lifo")
    return "lifo"


def allowed(config: AccessConfig | None = None) -> tuple[str, ...]:
    """Return the policies that an access process with this configuration lets agents name."""
    return (config or AccessConfig()).settings(installed_policies()).scheduling_policies


async def test_an_installed_policy_is_put_in_charge_and_named_in_hints_and_caps(
    lifo: str, tmp_path: Path
) -> None:
    names = await asyncio.to_thread(allowed)
    access = await asyncio.to_thread(desk, MemoryStore(), tmp_path, scheduling_policies=names)
    agents = access.manager.agents
    capped = NewAgent(id="capped", hints=Hints(policy=lifo), caps=Caps(policies=frozenset({lifo})))
    await agents.register(ADMIN, capped, NEW)
    async with small_kernel(access=agents) as kernel, kernel.inference() as stub:
        assert kernel.scheduler is not None
        async with connected(kernel.scheduler) as channel:
            scheduler: Any = scheduler_pb2_grpc.SchedulerServiceStub(channel)
            policy = scheduler_pb2.Policy(name=lifo, parameters={"cap": 4})
            await scheduler.SetPolicy(
                scheduler_pb2.SetPolicyRequest(policy=policy), metadata=metadata("ops", kind="admin")
            )
            told = await scheduler.GetPolicy(
                scheduler_pb2.GetPolicyRequest(), metadata=metadata("ops", kind="admin")
            )
        by_registration = await stub.Generate(chat("hi", max_tokens=2), metadata=metadata("capped"))
        hints = agent_pb2.SchedulingHints(policy=lifo)
        by_call = await stub.Generate(chat("ho", max_tokens=2, hints=hints), metadata=metadata("capped"))

    assert {each.policy.name for each in told.classes} == {lifo}
    assert set(told.available) == BUILT_IN_NAMES | {lifo}
    assert by_registration.finished.usage.completion_tokens == by_call.finished.usage.completion_tokens == 2


async def test_an_installed_policy_is_in_charge_from_the_start_when_it_is_configured(lifo: str) -> None:
    async with small_kernel(scheduler={"policy": lifo}) as kernel, kernel.inference() as stub:
        answer = await stub.Generate(chat("hi", max_tokens=2), metadata=metadata())

        assert answer.finished.usage.completion_tokens == 2


def test_a_policy_that_only_the_scheduler_has_is_added_by_its_name_alone() -> None:
    config = load(AccessConfig, {"AIOS_ACCESS_ADDITIONAL_SCHEDULING_POLICIES": "slack,fifo"}, "AIOS_ACCESS_")
    names = allowed(config)

    assert set(names) == BUILT_IN_NAMES | {"slack"}
    assert len(names) == len(set(names))


def test_a_list_of_ones_own_is_not_widened_by_what_is_installed(lifo: str) -> None:
    config = load(AccessConfig, {"AIOS_ACCESS_SCHEDULING_POLICIES": "fifo,rr"}, "AIOS_ACCESS_")

    assert allowed(config) == ("fifo", "rr")
    assert lifo in allowed()


async def test_a_policy_that_is_installed_nowhere_is_refused_at_registration(tmp_path: Path) -> None:
    names = await asyncio.to_thread(allowed)
    access = await asyncio.to_thread(desk, MemoryStore(), tmp_path, scheduling_policies=names)
    with pytest.raises(KernelError) as refused:
        await access.manager.agents.register(ADMIN, NewAgent(id="a", hints=Hints(policy="lifo")), NEW)

    assert refused.value.reason == "UNKNOWN_SCHEDULING_POLICY"


async def registered_by_a_process(folder: Path, policy: str) -> str:
    """Assemble an access process and register an agent; returns the policy that it has then."""
    process = Process("access", {"AIOS_DATA_DIR": str(folder)})
    async with process.stack:
        process.stack.push_async_callback(process.tasks.stop)
        app = await assemble(process)
        servicers: list[Any] = [servicer for _, servicer, _ in app.servicers]
        agents: AgentService = next(each._agents for each in servicers if isinstance(each, AgentServicer))
        made = await agents.register(ADMIN, NewAgent(id="a", hints=Hints(policy=policy)), NEW)
    return made.agent.hints.policy


def test_an_access_process_knows_what_is_installed_beside_it(
    lifo: str, tmp_path: Path, blocked_loop_detector: BlockBuster
) -> None:
    blocked_loop_detector.deactivate()  # a process reads its own files once, before it serves anybody
    assert asyncio.run(registered_by_a_process(tmp_path, lifo)) == lifo
