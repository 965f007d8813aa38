"""One way to use SQL for every service: synchronous SQLAlchemy Core functions, run off the event loop."""

from services.chassis.database.base import Database, open_database

__all__ = ["Database", "open_database"]
