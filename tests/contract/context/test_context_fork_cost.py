"""What a fork costs: the same few rows and bytes, however long the history is."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aios.api.context.v1 import context_pb2, resources_pb2
from services.context.store.sql import MIGRATIONS, SqlStore
from tests.fakes.clock import FakeClock
from tests.fakes.context import context_service, context_stub
from tests.fakes.databases import migrated
from tests.fakes.tokens import metadata

PLANNER = metadata("planner")
TABLES = ("contexts", "branch_uses", "messages")


def stored(path: Path) -> dict[str, tuple[int, int]]:
    """Return rows and bytes of bodies, by table."""
    with closing(sqlite3.connect(path)) as db:
        found = {}
        for table in TABLES:
            body = "0" if table == "branch_uses" else "coalesce(sum(length(body)), 0)"
            rows, size = db.execute(f"select count(*), {body} from {table}").fetchone()  # noqa: S608 - fixed names
            found[table] = (rows, size)
        return found


async def cost_of_a_fork(path: Path, history: int) -> dict[str, tuple[int, int]]:
    """Return the rows and bytes that a fork of a conversation of so many messages adds, by table."""
    clock = FakeClock()
    async with (
        migrated(f"sqlite:///{path}", MIGRATIONS) as database,
        context_stub(context_service(store=SqlStore(database, clock), clock=clock)) as stub,
    ):
        said = resources_pb2.Message(message={"role": "ROLE_USER", "content": "word " * 50}, token_count=50)
        await stub.CreateContext(
            context_pb2.CreateContextRequest(
                context=resources_pb2.Context(name="agents/me/contexts/trip"), messages=[said] * history
            ),
            metadata=PLANNER,
        )
        before = await asyncio.to_thread(stored, path)
        await stub.ForkContext(
            context_pb2.ForkContextRequest(name="agents/me/contexts/fork", source="agents/me/contexts/trip"),
            metadata=PLANNER,
        )
        after = await asyncio.to_thread(stored, path)
        fork = await stub.ListMessages(
            context_pb2.ListMessagesRequest(name="agents/me/contexts/fork", page_size=1000),
            metadata=PLANNER,
        )
    assert len(fork.messages) == history
    return {name: (after[name][0] - before[name][0], after[name][1] - before[name][1]) for name in TABLES}


@pytest.mark.parametrize("history", [100, 200])
async def test_a_fork_stores_as_much_for_a_long_history_as_for_a_short_one(
    tmp_path: Path, history: int
) -> None:
    short = await cost_of_a_fork(tmp_path / "short.db", 10)
    long = await cost_of_a_fork(tmp_path / "long.db", history)

    assert long["messages"] == short["messages"] == (0, 0)
    assert long["branch_uses"] == short["branch_uses"]
    assert long["contexts"][0] == short["contexts"][0] == 1
    # Only the digits of counters grow with the history.
    assert 0 < long["contexts"][1] - short["contexts"][1] < 32
