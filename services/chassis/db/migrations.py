"""Alembic without its command line: revision files in a directory, applied in the caller's transaction.

A revision file is an ordinary Alembic one (`revision`, `down_revision`, `upgrade()` with `op`); env.py is
not needed.
"""

import fcntl
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy

from services.chassis.rpc.errors import ServiceUnavailable

_REVISION: Final = re.compile(r"^(revision|down_revision)\b[^=\n]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
_POLL_SECONDS: Final = 0.05
_VERSION_TABLE: Final = "alembic_version"


def is_current(conn: sqlalchemy.Connection, directory: Path) -> bool:
    """Tell whether the database is at the newest revision, without importing Alembic (300 ms)."""
    if not sqlalchemy.inspect(conn).has_table(_VERSION_TABLE):
        return False
    table = sqlalchemy.table(_VERSION_TABLE, sqlalchemy.column("version_num"))
    return set(conn.execute(sqlalchemy.select(table.c.version_num)).scalars()) == heads(directory)


def heads(directory: Path) -> set[str]:
    """Return the revisions that no other one follows."""
    found: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for file in directory.glob("*.py"):
        for kind, revision in _REVISION.findall(file.read_text()):
            found[kind].add(revision)
    return found["revision"] - found["down_revision"]


def upgrade(conn: sqlalchemy.Connection, directory: Path) -> None:
    """Apply every missing revision in the transaction of `conn`."""
    from alembic.config import Config  # noqa: PLC0415 - slow to import and rarely needed
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory(str(directory), version_locations=[str(directory)])

    def missing(revision: Any, _context: Any) -> Any:
        # What alembic's own upgrade command calls.
        return script._upgrade_revs("heads", revision)  # noqa: SLF001 - there is no public form

    with EnvironmentContext(Config(), script, fn=missing) as environment:
        environment.configure(connection=conn, transactional_ddl=True, version_table=_VERSION_TABLE)
        environment.run_migrations()


@contextmanager
def file_lock(path: Path, *, timeout: float) -> Iterator[None]:
    """Hold an exclusive lock on a file; the system frees it if the process dies.

    Raises ServiceUnavailable when another process holds it for longer than `timeout` seconds. Blocks: run
    it in a thread.
    """
    deadline = time.monotonic() + timeout
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServiceUnavailable(f"another process migrates {path.stem}") from None
            time.sleep(_POLL_SECONDS)
        yield
