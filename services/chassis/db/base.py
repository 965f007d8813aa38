"""What a service sees of its database, whichever engine is behind it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeVar

import sqlalchemy

from services.chassis.rpc.errors import KernelError

T = TypeVar("T")

WAIT_SECONDS: Final = 30.0
"""Longest time a transaction may wait and run before its caller is told that the database is away."""


class Database(ABC):
    """A service's own database.

    `fn` is plain synchronous SQLAlchemy Core code on one connection inside one transaction. It may run more
    than once (a conflict, a failed group commit), so it must change nothing but the database, and must not
    commit. Several databases of one process need different names: the name labels the metrics.
    """

    dialect: str
    """`sqlite` or `postgresql`."""

    @abstractmethod
    async def write(self, fn: Callable[[sqlalchemy.Connection], T], *, turn: str = "") -> T:
        """Run `fn` in a serializable transaction; return once its effect survives power loss.

        Those of this process with the same `turn`, if one is named, run one after the other: they change the
        same row, and at once all but one would be run again.

        What `fn` raises rolls it back and is raised here. Raises DiskFull, ServiceUnavailable or
        DataCorrupt. A cancelled caller does not know whether the transaction took effect.
        """

    @abstractmethod
    async def read(self, fn: Callable[[sqlalchemy.Connection], T]) -> T:
        """Run `fn` on one consistent snapshot that includes every write acknowledged before.

        Raises ServiceUnavailable or DataCorrupt; a statement that writes fails.
        """

    @abstractmethod
    async def migrate(self) -> None:
        """Bring the schema up to the newest revision. Safe when several processes start at once."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is queued and close all connections."""

    async def problem(self) -> str | None:
        """Readiness check: None when a query is answered."""
        try:
            await self.read(lambda conn: conn.execute(sqlalchemy.select(1)).scalar_one())
        except KernelError as error:
            return error.message
        return None
