"""A purge over real processes that are killed in the middle of it."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from aios.errors import NotFound
from aios.kernel import Kernel
from tests.fakes.waiting import until
from tests.system.cluster import Cluster, cluster

pytestmark = [pytest.mark.torture, pytest.mark.system, pytest.mark.timeout(300)]

DOOMED = "doomed-agent-7"
MANAGERS = ("access", "context", "memory", "storage", "tool")


def mentions(folder: Path) -> set[str]:
    """Return the tables of all databases, and the blobs, that tell of the doomed agents."""
    found = set()
    for name in MANAGERS:
        with sqlite3.connect(f"file:{folder / name}.db?mode=ro", uri=True) as conn:
            tables = [row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for row in conn.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - names of our own tables
                    text = " ".join(
                        cell.decode("latin-1") if isinstance(cell, bytes) else str(cell) for cell in row
                    )
                    if DOOMED in text:
                        found.add(f"{name}.{table}")
    return found | {str(path) for path in (folder / "storage").rglob(f"*{DOOMED}*")}


async def fill(kernel: Kernel, number: int) -> None:
    """Let an agent keep something everywhere."""
    for each in range(20):
        await kernel.memory.put(f"note-{each}", f"text {number} {each}")
        await kernel.files.write(f"file-{each}", bytes([number % 256]) * 70_000)
    await kernel.contexts.create("talk", messages="hello")


async def gone(admin: Kernel, agent: str) -> bool:
    """Tell whether an agent is forgotten."""
    try:
        await admin.agents.get(agent)
    except NotFound:
        return True
    return False


async def kill_in_turn(kernel: Cluster, done: asyncio.Event) -> None:
    """Kill the managers one after the other while the purge goes on."""
    for name in ("memory", "access", "storage", "access", "context", "tool"):
        if done.is_set():
            return
        kernel.kill(name)
        await kernel.restarted(name)
        await asyncio.sleep(0.5)


async def test_a_purge_that_is_killed_everywhere_leaves_nothing_but_what_was_copied() -> None:
    async with cluster(extra={"AIOS_ACCESS_PURGE_SETTLE": "2"}) as kernel, kernel.admin() as admin:
        folder = kernel.plan.data_dir
        doomed = await kernel.agent(admin, DOOMED)
        critic = await kernel.agent(admin, "critic")
        await fill(doomed, 0)
        for number in range(5):
            child = admin.as_agent(await doomed.agents.register(f"{DOOMED}-{number}"))
            await fill(child, number + 1)
        await doomed.files.share("file-0", "critic")
        await critic.files.copy("file-0", "copied", agent=DOOMED)
        await admin.agents.kill(DOOMED)
        assert mentions(folder)

        await admin.agents.purge(DOOMED, reason="asked for")
        done = asyncio.Event()
        killer = asyncio.create_task(kill_in_turn(kernel, done))
        async with asyncio.timeout(120):
            while not await gone(admin, DOOMED):  # noqa: ASYNC110 - another process forgets it
                await asyncio.sleep(0.5)
        done.set()
        await killer

        await until(lambda: not mentions(folder))
        assert await critic.files.read("copied") == bytes(70_000)
        assert (await admin.access.verify_audit()).intact
        ends = await admin.access.audit(action="agent.purge", limit=None)
        assert sum(one.note.startswith("purged:") for one in ends) == 6
