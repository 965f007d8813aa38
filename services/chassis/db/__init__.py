"""One way to use SQL for every service: synchronous SQLAlchemy Core functions, run off the event loop.

Called by stores, from the event loop. On SQLite their functions run on one writer thread and a few reader
threads, on PostgreSQL in a greenlet over the asynchronous driver.
"""

from services.chassis.db.base import Database
from services.chassis.db.opening import open_database

__all__ = ["Database", "open_database"]
