"""What agents, trees and tenants keep is counted exactly, and capped, on every database."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.db import Database, open_database
from services.chassis.db.usage import UsageBook, tables
from services.chassis.quotas import Cap, Level, Owner
from services.chassis.rpc.errors import QuotaExceeded

METADATA: Final = sa.MetaData()
USAGE, TREES = tables(METADATA)
CAPS: Final = {"notes": Cap(3, 5, 7), "note_bytes": Cap(100, 100, 1000)}
MIGRATION: Final = '''
"""Usage."""
from alembic import op
from services.chassis.db import usage

revision = "0001"
down_revision = None

def upgrade() -> None:
    op.create_table(usage.USAGE, *usage.usage_columns())
    op.create_table(usage.TREES, *usage.tree_columns())
'''
ROOT: Final = Owner("acme", "root", "root")
CHILD: Final = Owner("acme", "child", "root")
OTHER: Final = Owner("acme", "other", "other")
BOOK: Final = UsageBook(USAGE, TREES)


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Open each database in turn."""
    postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path}/usage.db"
    (tmp_path / "0001_usage.py").write_text(MIGRATION)
    database = open_database(str(url), schema="usage", migrations=tmp_path)
    await database.migrate()
    yield database
    await database.close()


def charging(owner: Owner, **changes: int) -> Callable[[sa.Connection], None]:
    """Return a transaction that charges an owner."""
    return lambda conn: BOOK.charge(conn, [(owner, changes)], CAPS)


async def used(database: Database, owner: Owner, quota: str = "notes") -> dict[Level, int]:
    """Return what is used at every level."""
    told = await database.read(lambda conn: BOOK.told(conn, owner, CAPS))
    return {one.level: one.used for one in told if one.quota == quota}


async def test_what_is_kept_counts_for_agent_tree_and_tenant(database: Database) -> None:
    await database.write(charging(ROOT, notes=2))
    await database.write(charging(CHILD, notes=1))
    await database.write(charging(OTHER, notes=3))

    assert await used(database, CHILD) == {Level.AGENT: 1, Level.TREE: 3, Level.TENANT: 6}


@pytest.mark.parametrize(
    ("charges", "level"),
    [
        ([(ROOT, 4)], Level.AGENT),
        ([(ROOT, 3), (CHILD, 3)], Level.TREE),
        ([(ROOT, 3), (CHILD, 2), (OTHER, 3)], Level.TENANT),
    ],
)
async def test_the_level_whose_cap_would_be_passed_is_named_and_nothing_is_kept(
    database: Database, charges: list[tuple[Owner, int]], level: Level
) -> None:
    *before, (owner, notes) = charges
    for one, change in before:
        await database.write(charging(one, notes=change))
    sums = await used(database, owner)

    with pytest.raises(QuotaExceeded) as refused:
        await database.write(charging(owner, notes=notes))

    assert refused.value.metadata["level"] == level.value
    assert refused.value.metadata["quota"] == "notes"
    assert refused.value.quota is not None
    assert await used(database, owner) == sums


async def test_what_goes_makes_room_again(database: Database) -> None:
    await database.write(charging(ROOT, notes=3))
    await database.write(charging(ROOT, notes=-2))
    await database.write(charging(ROOT, notes=2))

    assert (await used(database, ROOT))[Level.AGENT] == 3


async def test_less_is_allowed_above_a_cap_that_was_lowered(database: Database) -> None:
    await database.write(charging(ROOT, note_bytes=100))
    lowered = {"note_bytes": Cap(10, 10, 10)}

    await database.write(lambda conn: BOOK.charge(conn, [(ROOT, {"note_bytes": -50})], lowered))

    assert (await used(database, ROOT, "note_bytes"))[Level.TENANT] == 50


async def test_a_tree_that_was_not_named_is_remembered(database: Database) -> None:
    await database.write(charging(CHILD, notes=2))
    await database.write(charging(Owner("acme", "child", ""), notes=-1))

    assert (await used(database, ROOT))[Level.TREE] == 1


async def test_what_was_kept_before_a_tree_was_known_moves_to_the_tree(database: Database) -> None:
    await database.write(charging(Owner("acme", "child", ""), notes=2))
    await database.write(charging(CHILD, notes=1))

    assert (await used(database, ROOT))[Level.TREE] == 3
    assert (await used(database, Owner("acme", "x", "child")))[Level.TREE] == 0


async def test_writers_of_one_tenant_take_turns_and_none_runs_twice(database: Database) -> None:
    runs = []

    def charge(conn: sa.Connection) -> None:
        runs.append(1)
        BOOK.charge(conn, [(ROOT, {"notes": 1})], {"notes": Cap.flat(100)})

    await asyncio.gather(*(database.write(charge, turn="acme") for _ in range(40)))

    assert (await used(database, ROOT))[Level.TENANT] == len(runs) == 40


async def test_what_belongs_to_the_tenant_counts_for_it_alone(database: Database) -> None:
    await database.write(charging(Owner("acme", "", ""), notes=2))

    assert await used(database, Owner("acme", "", "")) == {Level.TENANT: 2}


async def test_several_owners_are_charged_together_or_not_at_all(database: Database) -> None:
    owed = [(CHILD, {"notes": 2, "note_bytes": 7}), (OTHER, {"notes": 3}), (ROOT, {"note_bytes": 93})]
    await database.write(lambda conn: BOOK.charge(conn, owed, CAPS))

    with pytest.raises(QuotaExceeded):
        await database.write(
            lambda conn: BOOK.charge(conn, [(CHILD, {"notes": 1}), (OTHER, {"notes": 1})], CAPS)
        )

    assert await used(database, CHILD) == {Level.AGENT: 2, Level.TREE: 2, Level.TENANT: 5}
    assert (await used(database, ROOT, "note_bytes"))[Level.TREE] == 100


async def test_tenants_do_not_share_a_cap(database: Database) -> None:
    for tenant in ("acme", "other"):
        await database.write(charging(Owner(tenant, "root", "root"), notes=3))

    assert (await used(database, ROOT))[Level.TENANT] == 3


async def test_an_agent_that_is_forgotten_leaves_the_sums(database: Database) -> None:
    await database.write(charging(ROOT, notes=2))
    await database.write(charging(CHILD, notes=1, note_bytes=9))

    await database.write(lambda conn: BOOK.forget(conn, "acme", "child"))

    assert await used(database, CHILD) == {Level.AGENT: 0, Level.TREE: 2, Level.TENANT: 2}
    assert (await used(database, ROOT, "note_bytes"))[Level.TENANT] == 0


STEPS: Final = st.lists(
    st.tuples(st.sampled_from("abcd"), st.booleans(), st.integers(-3, 4)), min_size=1, max_size=30
)


@given(steps=STEPS)
@settings(deadline=None)
def test_the_sums_are_those_of_all_charges_that_were_let_in(steps: list[Any]) -> None:
    engine = sa.create_engine("sqlite://")
    METADATA.create_all(engine)
    trees = {"a": "a", "b": "a", "c": "c", "d": "a"}
    kept: Counter[str] = Counter()
    with engine.connect() as conn:
        for agent, names_tree, wanted in steps:
            change = max(wanted, -kept[agent])
            try:
                with conn.begin_nested():
                    owner = Owner("acme", agent, trees[agent] if names_tree else "")
                    BOOK.charge(conn, [(owner, {"notes": change})], CAPS)
            except QuotaExceeded:
                continue
            kept[agent] += change
        for agent, tree in trees.items():
            BOOK.settled(conn, Owner("acme", agent, tree))
        for agent, tree in trees.items():
            told = {
                one.level: one.used
                for one in BOOK.told(conn, Owner("acme", agent, tree), CAPS)
                if one.quota == "notes"
            }
            in_tree = sum(count for other, count in kept.items() if trees[other] == tree)
            assert told == {Level.AGENT: kept[agent], Level.TREE: in_tree, Level.TENANT: kept.total()}
    engine.dispose()
