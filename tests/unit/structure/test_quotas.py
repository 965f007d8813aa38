"""Every method that changes something says what it adds to, by the name of a quota that its manager caps."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.common.v1.quotas_pb2 import QuotaUsage
from aios.api.context.v1 import context_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from gateway.config import GatewayConfig
from services.access.config import AccessConfig
from services.chassis.quotas import caps_of
from services.chassis.rpc.methods import Effect, Method, table
from services.chassis.runtime.process import CommonConfig
from services.context.config import ContextConfig
from services.memory.config import MemoryConfig
from services.scheduler.config import SchedulerConfig
from services.storage.config import StorageConfig
from services.tool.config import ToolConfig

NOTHING: Final = "nothing"
"""Said by a method that changes something and leaves nothing more behind."""
ELSEWHERE: Final = {
    "grants": {"storage"},
    "denials": {"access"},
    "persons": {"access"},
    "approval_rules": {"access"},
}
"""Quotas that something else caps: access keeps the grants that shares are, the log of denials bounds what it
takes of them. Administrators make bounded numbers."""
EVERYWHERE: Final = caps_of(CommonConfig()).keys()
"""Quotas that each process has."""

WITHOUT_REPLY: Final = {"ShareFile", "RevokeShare", "CallTool"}
"""What access does and remembers, what the ledger of calls remembers, and what there is nothing of."""

MANAGERS: Final[dict[str, tuple[Any, ...]]] = {
    "storage": (StorageConfig, storage_pb2.DESCRIPTOR),
    "memory": (MemoryConfig, memory_pb2.DESCRIPTOR),
    "access": (AccessConfig, access_pb2.DESCRIPTOR, agent_pb2.DESCRIPTOR),
    "scheduler": (SchedulerConfig, scheduler_pb2.DESCRIPTOR),
    "inference": (GatewayConfig, inference_pb2.DESCRIPTOR),
    "tool": (ToolConfig, tool_pb2.DESCRIPTOR),
    "context": (ContextConfig, context_pb2.DESCRIPTOR),
}


def methods() -> Iterator[tuple[str, Method]]:
    for manager, (_, *descriptors) in MANAGERS.items():
        for method in table(*descriptors).values():
            yield manager, method


METHODS: Final = list(methods())


def test_a_method_that_changes_something_says_what_it_adds_to() -> None:
    for _, method in METHODS:
        if method.effect is not Effect.READ or method.endless:
            assert method.creates, f"{method.label} says neither quotas nor {NOTHING!r}"
        if NOTHING in method.creates:
            assert method.creates == (NOTHING,)


@pytest.mark.parametrize("manager", MANAGERS)
def test_what_a_method_adds_to_has_a_cap(manager: str) -> None:
    known = {*caps_of(MANAGERS[manager][0]()), *EVERYWHERE, NOTHING}
    known |= {quota for quota, managers in ELSEWHERE.items() if manager in managers}

    for owner, method in METHODS:
        assert owner != manager or set(method.creates) <= known, method.label


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_cap_is_that_of_something_that_a_method_adds_to(manager: str) -> None:
    added = {quota for owner, method in METHODS if owner == manager for quota in method.creates}

    assert caps_of(MANAGERS[manager][0]()).keys() <= added


def test_a_quota_has_one_keeper() -> None:
    kept = [quota for config, *_ in MANAGERS.values() for quota in caps_of(config()) if quota != "replies"]

    assert len(kept) == len(set(kept))


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_manager_tells_what_is_used_of_quotas(manager: str) -> None:
    _, *descriptors = MANAGERS[manager]
    usage = [method for path, method in table(*descriptors).items() if path.endswith("/GetUsage")]

    assert len(usage) == 1
    assert usage[0].effect is Effect.READ
    assert usage[0].response.DESCRIPTOR.fields_by_name["quotas"].message_type is QuotaUsage.DESCRIPTOR


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_repeatable_request_counts_its_answer(manager: str) -> None:
    for owner, method in METHODS:
        names = method.request.DESCRIPTOR.fields_by_name
        changes = "request_id" in names and method.effect is not Effect.READ
        if owner == manager and changes and method.label.rpartition("/")[2] not in WITHOUT_REPLY:
            assert "replies" in method.creates, method.label
