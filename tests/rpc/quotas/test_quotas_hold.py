"""Every quota is refused at the cap of an agent, of its tree and of its tenant, and told."""

from pathlib import Path
from typing import Any

import pytest

from aios.api.common.v1 import quotas_pb2
from services.chassis.quotas import caps_of
from services.chassis.rpc.client import Metadata
from services.chassis.rpc.errors import KernelError
from tests.fakes import tokens
from tests.fakes.quotas import CHILD, OTHER, ROOT, tight
from tests.rpc.quotas.makers import MANAGERS, UNIT, Make

LEVELS = {
    "agent": quotas_pb2.QUOTA_LEVEL_AGENT,
    "tree": quotas_pb2.QUOTA_LEVEL_TREE,
    "tenant": quotas_pb2.QUOTA_LEVEL_TENANT,
}
REASONS = {"running_calls": "TOO_MANY_CALLS"}
"""What is full for the moment only; the others are full until something goes."""
MAKES_ROOM = {"trash"}
"""What is full is emptied from its other end instead: nobody is refused."""
QUOTAS = [
    (manager, quota)
    for manager, known in MANAGERS.items()
    for quota in known.makes
    if quota not in known.of_tenant and quota not in MAKES_ROOM
]
OF_TENANTS = [(manager, quota) for manager, known in MANAGERS.items() for quota in sorted(known.of_tenant)]


def unit_of(quota: str) -> int:
    return UNIT if quota.endswith("bytes") else 1


class Makers:
    """Makes things as agents, each by a number of its own."""

    def __init__(self, stub: Any, make: Make) -> None:
        self._stub = stub
        self._make = make
        self._made = 0

    async def make(self, agent: str) -> None:
        self._made += 1
        await self._make(self._stub, agent, self._made)

    async def refused(self, agent: str) -> KernelError:
        with pytest.raises(KernelError) as refused:
            await self.make(agent)
        return refused.value


@pytest.mark.parametrize(("manager", "quota"), QUOTAS)
async def test_a_quota_holds_for_an_agent_its_tree_and_its_tenant(
    manager: str, quota: str, tmp_path: Path
) -> None:
    known, unit = MANAGERS[manager], unit_of(quota)
    stub = await known.build(tight(known.config(), quota, unit), tmp_path)
    agents = Makers(stub, known.makes[quota])

    refusals = []
    for agent, fits in ((ROOT, 2), (CHILD, 1), (OTHER, 1)):
        for _ in range(fits):
            await agents.make(agent)
        refusals.append(await agents.refused(agent))

    for error, (level, limit) in zip(refusals, {"agent": 2, "tree": 3, "tenant": 4}.items(), strict=True):
        assert error.reason == REASONS.get(quota, "QUOTA_EXCEEDED")
        assert error.metadata["quota"] == quota
        assert error.metadata["level"] == level
        assert error.metadata["limit"] == str(limit * unit)
        assert error.quota is not None
    assert await used(known, stub, tokens.metadata(ROOT), quota) == {"agent": 2, "tree": 3, "tenant": 0}
    admin = await used(known, stub, tokens.metadata("boss", kind="admin"), quota)
    assert admin["tenant"] == 4, "only administrators are told what others keep"


async def test_a_full_trash_keeps_nobody_from_deleting(tmp_path: Path) -> None:
    known = MANAGERS["storage"]
    stub = await known.build(tight(known.config(), "trash"), tmp_path)
    agents = Makers(stub, known.makes["trash"])
    for agent in (ROOT, ROOT, CHILD, OTHER, ROOT, CHILD, OTHER):
        await agents.make(agent)

    told = [(await used(known, stub, tokens.metadata(agent), "trash")) for agent in (ROOT, CHILD, OTHER)]

    assert [one["agent"] for one in told] == [2, 1, 1]
    assert [one["tree"] for one in told] == [3, 3, 1]


@pytest.mark.parametrize(("manager", "quota"), OF_TENANTS)
async def test_a_quota_of_what_belongs_to_the_tenant_holds_for_it(
    manager: str, quota: str, tmp_path: Path
) -> None:
    known = MANAGERS[manager]
    stub = await known.build(tight(known.config(), quota), tmp_path)
    admin = Makers(stub, known.makes[quota])
    for _ in range(4):
        await admin.make("")

    error = await admin.refused("")

    assert (error.reason, error.metadata["quota"]) == ("QUOTA_EXCEEDED", quota)
    assert (error.metadata["level"], error.metadata["limit"]) == ("tenant", "4")
    assert (await used(known, stub, tokens.metadata("boss", kind="admin"), quota))["tenant"] == 4


async def used(known: Any, stub: Any, who: Metadata, quota: str) -> dict[str, int]:
    """Return what is told to be used, in units."""
    told = {one.level: one for one in (await known.usage(stub, who)).quotas if one.quota == quota}
    return {name: -(-told[level].used // unit_of(quota)) for name, level in LEVELS.items()}


def test_every_quota_of_a_manager_has_a_test() -> None:
    for name, known in MANAGERS.items():
        assert caps_of(known.config()).keys() == known.makes.keys(), name
