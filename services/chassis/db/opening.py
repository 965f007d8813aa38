"""Opening a database: the URL says which engine."""

from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from services.chassis.db.base import Database
from services.chassis.runtime.metrics import DatabaseMetrics


def open_database(
    url: str,
    *,
    schema: str = "",
    migrations: Path | None = None,
    name: str = "main",
    metrics: DatabaseMetrics | None = None,
) -> Database:
    """Open the database behind a URL (sqlite:///path or postgresql://...). Nothing connects yet.

    `schema` is the PostgreSQL schema that the service owns; SQLite has a file per service instead.
    `migrations` is the directory of Alembic revision files. Raises ValueError for any other URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:  # its text may quote the URL, and that a password
        raise ValueError("expected a URL such as sqlite:///path or postgresql://host/name") from None
    metrics = metrics or DatabaseMetrics(CollectorRegistry())
    if parsed.get_backend_name() == "sqlite":
        from services.chassis.db.sqlite import SqliteDatabase  # noqa: PLC0415 - only the engine in use

        return SqliteDatabase(parsed, migrations=migrations, name=name, metrics=metrics)
    if parsed.get_backend_name() == "postgresql":
        from services.chassis.db.postgres import PostgresDatabase  # noqa: PLC0415 - same

        return PostgresDatabase(parsed, schema=schema, migrations=migrations, name=name, metrics=metrics)
    raise ValueError(f"no support for databases of the kind {parsed.get_backend_name()}")
