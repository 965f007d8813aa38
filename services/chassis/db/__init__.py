"""One way to use SQL for every service: synchronous SQLAlchemy Core functions, run off the event loop."""

from services.chassis.db.base import Database
from services.chassis.db.opening import open_database

__all__ = ["Database", "open_database"]
