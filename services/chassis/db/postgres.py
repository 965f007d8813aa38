"""PostgreSQL through the async engine: serializable transactions, run again after a conflict."""

import asyncio
import contextlib
import hashlib
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from services.chassis.db.base import WAIT_SECONDS, Database
from services.chassis.db.failures import conflict, typed
from services.chassis.db.migrations import is_current, upgrade
from services.chassis.rpc.errors import ServiceUnavailable
from services.chassis.runtime.metrics import DatabaseMetrics

T = TypeVar("T")

_ATTEMPTS: Final = 8
_FIRST_DELAY: Final = 0.005
_POOL: Final[dict[str, Any]] = {
    "pool_size": 10,
    "max_overflow": 10,
    "pool_timeout": 10,
    "pool_pre_ping": True,
}
_MIGRATION_SECONDS: Final = 120
_SCHEMA: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


class PostgresDatabase(Database):
    """A schema in a PostgreSQL database. See Database."""

    dialect = "postgresql"

    def __init__(
        self, url: URL, *, schema: str, migrations: Path | None, name: str, metrics: DatabaseMetrics
    ) -> None:
        self._schema = schema or "public"
        if not _SCHEMA.fullmatch(self._schema):
            raise ValueError(f"{schema!r} is no plain schema name")
        self._migrations = migrations
        settings = f"-c search_path={self._schema},public -c statement_timeout={int(WAIT_SECONDS * 1000)}"
        self._url = url.set(drivername="postgresql+psycopg")
        self._connect_args = {"options": settings}
        engine = create_async_engine(self._url, connect_args=self._connect_args, **_POOL)
        self._engine = engine
        self._writer = engine.execution_options(isolation_level="SERIALIZABLE")
        self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = metrics.queue.labels(name)
        self._commit_seconds = metrics.commit.labels(name)
        self._batch_size = metrics.batch.labels(name)
        self._retries = metrics.retries.labels(name)

    async def write(self, fn: Callable[[sqlalchemy.Connection], T], *, turn: str = "") -> T:
        """Run `fn` in a serializable transaction; run it again after a conflict."""
        self._waiting.inc()
        # Held here until the last that waits is through: nobody else keeps a turn alive.
        lock = self._turns.setdefault(turn, asyncio.Lock()) if turn else None
        try:
            async with asyncio.timeout(WAIT_SECONDS), lock or contextlib.nullcontext():
                return await self._write(fn)
        except TimeoutError:
            raise ServiceUnavailable("the database did not commit in time", retry_after=1.0) from None
        except SQLAlchemyError as error:
            raise (typed(error) or error) from error
        finally:
            self._waiting.dec()

    async def read(self, fn: Callable[[sqlalchemy.Connection], T]) -> T:
        """Run `fn` in a read-only transaction on one snapshot."""
        try:
            async with asyncio.timeout(WAIT_SECONDS), self._reader.connect() as conn, conn.begin():
                return await conn.run_sync(fn)
        except TimeoutError:
            raise ServiceUnavailable("the database did not answer in time", retry_after=1.0) from None
        except SQLAlchemyError as error:
            raise (typed(error) or error) from error

    async def migrate(self) -> None:
        """Upgrade under an advisory lock, in one transaction."""
        try:
            await asyncio.to_thread(self._migrate)
        except SQLAlchemyError as error:
            raise (typed(error) or error) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def _write(self, fn: Callable[[sqlalchemy.Connection], T]) -> T:
        delay = _FIRST_DELAY
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._attempt(fn)
            except SQLAlchemyError as error:
                if not conflict(error):
                    raise
            self._retries.inc()
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            delay *= 2
        return await self._attempt(fn)

    async def _attempt(self, fn: Callable[[sqlalchemy.Connection], T]) -> T:
        async with self._writer.connect() as conn, conn.begin() as transaction:
            result = await conn.run_sync(fn)
            began = time.perf_counter()
            await transaction.commit()
            self._commit_seconds.observe(time.perf_counter() - began)
            self._batch_size.observe(1)
            return result

    def _migrate(self) -> None:
        """Migrate on a connection of its own: reading and importing revisions would block the event loop."""
        engine = sqlalchemy.create_engine(self._url, connect_args=self._connect_args, poolclass=NullPool)
        key = int.from_bytes(hashlib.sha256(f"aios:{self._schema}".encode()).digest()[:8], signed=True)
        with engine.begin() as conn:
            conn.execute(sqlalchemy.text(f"SET LOCAL statement_timeout = '{_MIGRATION_SECONDS}s'"))
            conn.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(key)))
            conn.execute(sqlalchemy.schema.CreateSchema(self._schema, if_not_exists=True))
            if self._migrations is not None and not is_current(conn, self._migrations):
                upgrade(conn, self._migrations)
