"""Hostile programs in every sandbox of this machine: none reaches anything or outlives its job."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest

from services.chassis.sandbox.terms import EndKind, Limits, SandboxEnd, SandboxJob, SandboxLevel
from tests.fakes.isolation import LEVELS, need
from tests.hostile.corpus import ATTACKS, WORKS, WORKS_WITH_PROCESSES, Attack
from tests.hostile.world import World, hurt, victim, world

pytestmark = [pytest.mark.torture_tools, pytest.mark.timeout(120)]

MIB = 1024 * 1024
OVERSHOOT_BYTES = 400 * MIB
"""What jobs may take above their limit before the next look at them finds it, on a slow machine."""
SPARE_SECONDS = 15.0
"""What starting, ending and cleaning up may take, on a slow machine."""


FIRST_LANDLOCK = "kernel.landlock_abi = lambda: 1"
"""Of Linux 5.13: rights to files alone, without truncating, sockets, devices and signals."""


@pytest.fixture(
    params=[*((level, "") for level in LEVELS), (SandboxLevel.SINGLE, FIRST_LANDLOCK)],
    ids=["namespaces", "landlock", "single", "first-landlock"],
)
async def around(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Make a sandbox of each level with everything around it."""
    level, change = request.param
    await need(level.value)
    os.environ["AIOS_SECRET"] = "s3cr3t"
    inherited = os.open("/dev/null", os.O_RDWR)
    os.set_inheritable(inherited, True)  # noqa: FBT003
    try:
        async with world(level, change) as made:
            yield made
    finally:
        os.close(inherited)
        del os.environ["AIOS_SECRET"]


def job(around: World, attack: Attack, victim_pid: int) -> SandboxJob:
    """Return an attack as a job: Python with processes where the sandbox has them."""
    code = around.code(attack, victim_pid)
    limits = Limits(
        memory_bytes=512 * MIB, cpu_seconds=10, wall_seconds=attack.seconds, scratch_entries=10_000
    )
    if attack.shell:
        return SandboxJob(argv=("/bin/sh", "-c", code), limits=limits)
    if around.sandbox.level is SandboxLevel.SINGLE:
        return SandboxJob(argv=(), python=code, limits=limits)
    assert around.sandbox._means is not None
    return SandboxJob(argv=(*around.sandbox._means.python, "-c", code), limits=limits)


async def attacked(around: World, attack: Attack) -> SandboxEnd:
    """Run an attack and see that it did no harm."""
    if attack.shell and around.sandbox.level is SandboxLevel.SINGLE:
        pytest.skip("a sandbox of one process runs Python only")
    with victim(around.uid) as process:
        before = await asyncio.to_thread(around.owned)
        began = time.monotonic()
        end = await around.sandbox.run(job(around, attack, process.pid))
        took = time.monotonic() - began
        harm = await asyncio.to_thread(lambda: [*hurt(process), *around.harm()])
        left = await asyncio.to_thread(around.owned) - before
    escaped = [
        line for line in end.stdout.decode(errors="replace").splitlines() if line.startswith("ESCAPED")
    ]
    if attack.own and around.sandbox.level is SandboxLevel.NAMESPACES:
        escaped = []
    assert (escaped, harm, left) == ([], [], set())
    assert took < attack.seconds + SPARE_SECONDS
    assert end.memory_bytes < 512 * MIB + OVERSHOOT_BYTES
    assert len(end.stdout) <= Limits().kept_bytes
    assert around.sandbox.problem == ""
    return end


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_a_hostile_program_does_no_harm(around: World, attack: Attack) -> None:
    await attacked(around, attack)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("memory of many processes", {EndKind.MEMORY}),
        ("endless children", {EndKind.PROCESSES, EndKind.TIMEOUT, EndKind.EXITED}),
        ("a million links to one file", {EndKind.DISK}),
        ("a gigabyte of output", {EndKind.OUTPUT}),
    ],
)
async def test_what_no_limit_of_one_process_holds_is_seen_from_outside(
    around: World, name: str, how: set[EndKind]
) -> None:
    if around.sandbox.level is SandboxLevel.SINGLE:
        pytest.skip("a sandbox of one process is held by the limits of that one")

    end = await attacked(around, next(attack for attack in ATTACKS if attack.name == name))

    assert end.how in how


@pytest.mark.parametrize("attack", [a for a in ATTACKS if not a.shell], ids=lambda attack: attack.name)
async def test_hostile_python_does_no_harm(around: World, attack: Attack) -> None:
    """As the tools that are Python run, without processes."""
    if around.sandbox.level is SandboxLevel.SINGLE:
        pytest.skip("the other test is this one there")
    with victim(around.uid) as process:
        before = await asyncio.to_thread(around.owned)
        made = job(around, attack, process.pid)
        end = await around.sandbox.run(SandboxJob(argv=(), python=made.argv[-1], limits=made.limits))
        harm = await asyncio.to_thread(lambda: [*hurt(process), *around.harm()])
        left = await asyncio.to_thread(around.owned) - before
    escaped = [
        line for line in end.stdout.decode(errors="replace").splitlines() if line.startswith("ESCAPED")
    ]
    own = attack.own and around.sandbox.level is SandboxLevel.NAMESPACES
    assert ([] if own else escaped, harm, left) == ([], [], set())


@pytest.mark.parametrize("honest", [*WORKS, *WORKS_WITH_PROCESSES], ids=lambda attack: attack.name)
async def test_an_honest_program_works(around: World, honest: Attack) -> None:
    if honest in WORKS_WITH_PROCESSES and around.sandbox.level is SandboxLevel.SINGLE:
        pytest.skip("a sandbox of one process runs Python only")

    end = await attacked(around, honest)

    assert (end.how, end.stdout, end.stderr) == (EndKind.EXITED, b"works\n", b"")
