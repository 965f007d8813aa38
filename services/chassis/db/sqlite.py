"""SQLite: one writer thread that commits waiting transactions in groups, and a few reader threads.

A durable commit costs an fsync, so transactions that wait together share one: each in a savepoint of its
own, each acknowledged only after the commit.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from services.chassis.db.base import WAIT_SECONDS, Database
from services.chassis.db.failures import typed
from services.chassis.db.migrations import file_lock, is_current, upgrade
from services.chassis.rpc.errors import ServiceUnavailable
from services.chassis.runtime.metrics import DatabaseMetrics
from services.chassis.runtime.private_files import make_file, own_file

T = TypeVar("T")

_BUSY_SECONDS: Final = 5.0
_MIGRATION_SECONDS: Final = 120.0
_READERS: Final = 4
_LARGEST_GROUP: Final = 64
_MOST_WAITING: Final = 10_000


@dataclass(slots=True)
class _Job:
    fn: Callable[[sqlalchemy.Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    abandoned: bool = False
    """Set when its caller no longer waits; a job that has not begun is then skipped."""


_Outcome = tuple[Any, BaseException | None]


class SqliteDatabase(Database):
    """A SQLite file. See Database."""

    dialect = "sqlite"

    def __init__(self, url: URL, *, migrations: Path | None, name: str, metrics: DatabaseMetrics) -> None:
        if not url.database or url.database == ":memory:":
            raise ValueError("a SQLite database needs a file: sqlite:///path")
        self.path = Path(url.database)
        self._url = url
        self._migrations = migrations
        self._writer_engine = _engine(url, size=1, begin="BEGIN IMMEDIATE")
        self._reader_engine = _engine(url, size=_READERS, begin="BEGIN", query_only=True)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix=f"{name}-reader")
        self._writer = threading.Thread(target=self._work, name=f"{name}-writer", daemon=True)
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._waiting = metrics.queue.labels(name)
        self._commit_seconds = metrics.commit.labels(name)
        self._batch_size = metrics.batch.labels(name)
        self._retries = metrics.retries.labels(name)

    async def write(self, fn: Callable[[sqlalchemy.Connection], T], *, turn: str = "") -> T:  # noqa: ARG002 - the port's
        """Queue a transaction for the writer, the only one, and wait for its commit."""
        if self._closed or self._queue.qsize() >= _MOST_WAITING:
            raise ServiceUnavailable("the database's queue is full or closed", retry_after=1.0)
        if not self._writer.is_alive():
            self._writer.start()
        loop = asyncio.get_running_loop()
        job = _Job(fn, loop, loop.create_future())
        self._waiting.inc()
        self._queue.put(job)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                result: T = await job.future
        except TimeoutError:
            raise ServiceUnavailable("the database did not commit in time", retry_after=1.0) from None
        except SQLAlchemyError as error:
            raise (typed(error) or error) from error
        finally:
            job.abandoned = True
        return result

    async def read(self, fn: Callable[[sqlalchemy.Connection], T]) -> T:
        """Run `fn` on a reader thread."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await loop.run_in_executor(self._readers, self._read, fn)
        except TimeoutError:
            raise ServiceUnavailable("the database did not answer in time", retry_after=1.0) from None
        except SQLAlchemyError as error:
            raise (typed(error) or error) from error

    async def migrate(self) -> None:
        """Upgrade under a file lock, in one transaction."""
        await asyncio.to_thread(self._migrate)

    async def close(self) -> None:
        """Commit what is queued, then close."""
        self._closed = True
        self._queue.put(None)
        if self._writer.is_alive():
            await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._dispose)

    def _dispose(self) -> None:
        self._readers.shutdown(wait=True)
        self._reader_engine.dispose()
        self._writer_engine.dispose()

    def _read(self, fn: Callable[[sqlalchemy.Connection], T]) -> T:
        with self._reader_engine.connect() as conn, conn.begin():
            return fn(conn)

    def _migrate(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_file(self.path)  # SQLite gives its log and index the modes of this file
        for beside in ("-wal", "-shm"):
            own_file(self.path.with_name(self.path.name + beside))
        engine = _engine(self._url, size=0, begin="BEGIN IMMEDIATE", busy=_MIGRATION_SECONDS)
        lock = self.path.with_name(self.path.name + ".migrate-lock")
        with file_lock(lock, timeout=_MIGRATION_SECONDS), engine.begin() as conn:
            if self._migrations is not None and not is_current(conn, self._migrations):
                upgrade(conn, self._migrations)

    def _work(self) -> None:
        """Commit groups until None arrives. Runs on the writer thread."""
        while (first := self._queue.get()) is not None:
            group, more = self._gather(first)
            if group:
                self._commit_group(group)
            if not more:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """Return the jobs that wait now, and whether more may come.

        Nothing is waited for: what comes while one group commits is the next group, so groups grow with the
        load and a lone write is not delayed.
        """
        group, more = [first], True
        while len(group) < _LARGEST_GROUP and more:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                more = False
            else:
                group.append(job)
        self._waiting.dec(len(group))
        return [job for job in group if not job.abandoned], more

    def _commit_group(self, group: list[_Job]) -> None:
        if len(group) == 1:
            self._commit_alone(group[0])
            return
        outcomes: list[_Outcome]
        try:
            with self._writer_engine.connect() as conn, conn.begin() as transaction:
                # Nobody is told before the commit: until then even a job that went well may be lost.
                outcomes = [_attempt(conn, job) for job in group]
                self._commit(transaction)
        except (SQLAlchemyError, _GroupLost):
            # SQLite rolls the whole transaction back on some failures; alone, each job gets its own answer.
            self._retries.inc(len(group))
            for job in group:
                self._commit_alone(job)
            return
        self._batch_size.observe(len(group))
        group[0].loop.call_soon_threadsafe(_deliver, group, outcomes)

    def _commit_alone(self, job: _Job) -> None:
        outcome: _Outcome
        try:
            with self._writer_engine.connect() as conn, conn.begin() as transaction:
                outcome = (job.fn(conn), None)
                self._commit(transaction)
        except Exception as error:  # noqa: BLE001 - not swallowed: raised where the caller waits
            outcome = (None, error)
        else:
            self._batch_size.observe(1)
        job.loop.call_soon_threadsafe(_deliver, [job], [outcome])

    def _commit(self, transaction: sqlalchemy.RootTransaction) -> None:
        began = time.perf_counter()
        transaction.commit()
        self._commit_seconds.observe(time.perf_counter() - began)


class _GroupLost(Exception):
    """SQLite rolled back the transaction that the group shares."""


def _attempt(conn: sqlalchemy.Connection, job: _Job) -> _Outcome:
    """Run one job of a group in its savepoint: its failure undoes its own changes and nobody else's.

    Raises _GroupLost where SQLite has rolled back the whole transaction instead (a full disk, for one). The
    jobs before this one have then lost their changes, and those after it would each commit at once.
    """
    try:
        with conn.begin_nested():
            return job.fn(conn), None
    except Exception as error:
        driver = conn.connection.dbapi_connection
        if isinstance(driver, sqlite3.Connection) and driver.in_transaction:
            return None, error
        raise _GroupLost from error


def _deliver(group: Sequence[_Job], outcomes: Sequence[_Outcome]) -> None:
    """Wake the callers of a committed group. Runs on the event loop."""
    for job, (result, error) in zip(group, outcomes, strict=True):
        if job.future.done():
            continue
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)


def _engine(
    url: URL, *, size: int, begin: str, query_only: bool = False, busy: float = _BUSY_SECONDS
) -> Engine:
    pool: dict[str, Any] = {"poolclass": NullPool}
    if size:
        pool = {"poolclass": QueuePool, "pool_size": size, "max_overflow": 0, "pool_timeout": WAIT_SECONDS}
    engine = sqlalchemy.create_engine(url, connect_args={"check_same_thread": False, "timeout": busy}, **pool)

    @sqlalchemy.event.listens_for(engine, "connect")
    def connected(driver: Any, _record: object) -> None:
        # The driver's own transactions begin late and lose updates: SQLAlchemy begins them below instead.
        driver.isolation_level = None
        cursor = driver.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        if query_only:
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @sqlalchemy.event.listens_for(engine, "begin")
    def began(conn: sqlalchemy.Connection) -> None:
        conn.exec_driver_sql(begin)

    return engine
