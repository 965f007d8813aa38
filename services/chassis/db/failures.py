"""What a database driver's failures mean to a caller."""

from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.chassis.rpc.errors import DataCorrupt, DiskFull, KernelError, ServiceUnavailable

_SQLITE_FULL: Final = ("SQLITE_FULL",)
_SQLITE_CORRUPT: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_SQLITE_AWAY: Final = (
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_IOERR",
    "SQLITE_CANTOPEN",
    "SQLITE_READONLY_DBMOVED",
)

_PG_FULL: Final = "53100"
_PG_CORRUPT: Final = ("XX001", "XX002")
_PG_AWAY: Final = ("08", "53", "57")
_PG_CONFLICT: Final = ("40001", "40P01")


def typed(error: SQLAlchemyError) -> KernelError | None:
    """Return the typed form of an outage of the database; None for what the statement itself caused."""
    if isinstance(error, PoolTimeout):
        return ServiceUnavailable("the database is busy", retry_after=0.5)
    if not isinstance(error, DBAPIError):
        return None
    sqlite = str(getattr(error.orig, "sqlite_errorname", ""))
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if sqlite.startswith(_SQLITE_FULL) or state == _PG_FULL:
        return DiskFull("the disk of the database is full")
    if sqlite.startswith(_SQLITE_CORRUPT) or state in _PG_CORRUPT:
        return DataCorrupt("the database is damaged")
    away = sqlite.startswith(_SQLITE_AWAY) or state.startswith(_PG_AWAY) or state in _PG_CONFLICT
    if away or error.connection_invalidated or _lost_connection(error, state):
        return ServiceUnavailable("the database is not available", retry_after=0.5)
    return None


def conflict(error: SQLAlchemyError) -> bool:
    """Tell whether a transaction lost against a concurrent one and may be run again."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _PG_CONFLICT


def _lost_connection(error: DBAPIError, state: str) -> bool:
    # psycopg reports a server that is away as an OperationalError without a state.
    return (
        not state
        and type(error.orig).__module__.startswith("psycopg")
        and "Operational" in type(error).__name__
    )
