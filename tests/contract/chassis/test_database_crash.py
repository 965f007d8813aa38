"""An acknowledged write survives kill -9, and so does a migration cut in the middle."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

from services.chassis.db import open_database

REPOSITORY = Path(__file__).parents[3]
FULL = 2
"""SQLite: wait for the disk at every commit."""

WRITER = """
import asyncio, sys
from pathlib import Path

from services.chassis.db import open_database
from sqlalchemy import Column, Integer, MetaData, Table, insert
from services.chassis.db import open_database

NOTES = Table("notes", MetaData(), Column("number", Integer, primary_key=True))

async def worker(database, numbers):
    while True:
        number = next(numbers)
        await database.write(lambda conn: conn.execute(insert(NOTES).values(number=number)))
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()

async def main():
    database = open_database(sys.argv[1])
    await database.migrate()
    await database.write(lambda conn: NOTES.create(conn))
    numbers = iter(range(10**9))
    await asyncio.gather(*(worker(database, numbers) for _ in range(8)))

asyncio.run(main())
"""

CUT_MIGRATION = """
import os, signal
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

def upgrade():
    op.create_table("half", sa.Column("key", sa.String, primary_key=True))
    os.kill(os.getpid(), signal.SIGKILL)
"""

MIGRATOR = """
import asyncio, sys
from pathlib import Path

from services.chassis.db import open_database
from services.chassis.db import open_database

asyncio.run(open_database(sys.argv[1], migrations=Path(sys.argv[2])).migrate())
"""


async def test_every_acknowledged_write_is_there_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, f"sqlite:///{path}", stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    assert process.stdout is not None
    acknowledged = [int(await process.stdout.readline()) for _ in range(200)]
    process.send_signal(signal.SIGKILL)
    rest = await process.stdout.read()
    await process.wait()
    complete = rest[: rest.rfind(b"\n") + 1]
    acknowledged += [int(line) for line in complete.split()]
    with sqlite3.connect(path) as connection:
        present = {row[0] for row in connection.execute("SELECT number FROM notes")}
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()

    assert set(acknowledged) <= present
    assert integrity == "ok"


def test_a_migration_killed_half_way_leaves_nothing(tmp_path: Path) -> None:
    path, migrations = tmp_path / "m.db", tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_cut.py").write_text(CUT_MIGRATION)
    killed = subprocess.run(
        [sys.executable, "-c", MIGRATOR, f"sqlite:///{path}", str(migrations)], cwd=REPOSITORY, check=False
    )
    (migrations / "0001_cut.py").write_text(CUT_MIGRATION.replace("os.kill(os.getpid(), signal.SIGKILL)", ""))
    again = subprocess.run(
        [sys.executable, "-c", MIGRATOR, f"sqlite:///{path}", str(migrations)], cwd=REPOSITORY, check=False
    )

    assert (killed.returncode, again.returncode) == (-signal.SIGKILL, os.EX_OK)


async def test_every_connection_that_writes_waits_for_the_disk(tmp_path: Path) -> None:
    """A kill cannot tell: only a loss of power shows what was acknowledged before it lay on the disk."""
    database = open_database(f"sqlite:///{tmp_path}/notes.db")
    await database.migrate()

    modes = await database.write(
        lambda conn: [
            conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")
        ]
    )

    await database.close()
    assert modes == ["wal", FULL]
