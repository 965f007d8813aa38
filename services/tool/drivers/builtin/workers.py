"""The worker processes in which the built-in tools search and query: what a file does to them ends there."""

import json
from collections.abc import Sequence
from typing import Any, Final

from services.chassis.auth.identity import Scope
from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.worker_process import WorkerSpec
from services.chassis.runtime.workers import (
    Poisoned,
    WorkerDied,
    WorkerError,
    WorkerOverran,
    WorkerPool,
    WorkersBusy,
    WorkersUnavailable,
)
from services.tool.drivers.builtin.limits import MIB
from services.tool.drivers.builtin.messages import Refused, answered, packed
from services.tool.errors import ToolBusy, ToolFailed

_WORKERS: Final = 2
_TEXT: Final = WorkerSpec(
    name="text tools",
    target="services.tool.drivers.builtin.text_worker:reading",
    memory=384 * MIB,
    cpu=5.0,
    wall=20.0,
    longest_answer=MIB,
    site=False,
    niceness=1,
)
_CSV: Final = WorkerSpec(
    name="csv tool",
    target="services.tool.drivers.builtin.csv_worker:querying",
    memory=512 * MIB,
    cpu=8.0,
    wall=20.0,
    longest_answer=MIB,
    site=False,
    niceness=1,
    once=True,
)


class Workers:
    """Pools that start with the first question. `close` them."""

    def __init__(self) -> None:
        poison = PoisonList()
        self._text = WorkerPool(_TEXT, poison=poison, size=_WORKERS)
        self._csv = WorkerPool(_CSV, poison=poison, size=_WORKERS)

    async def read(self, scope: Scope, asked: Any, texts: Sequence[bytes]) -> Any:
        """Search texts or query a JSON text. Raises ToolFailed and ToolBusy."""
        return await _ask(self._text, scope, asked, texts)

    async def query(self, scope: Scope, asked: Any, files: Sequence[bytes]) -> Any:
        """Ask CSV files, in a process that has seen nobody else's. Raises ToolFailed and ToolBusy."""
        return await _ask(self._csv, scope, asked, files)

    async def close(self) -> None:
        """End all processes."""
        await self._text.close()
        await self._csv.close()


async def _ask(pool: WorkerPool, scope: Scope, asked: Any, parts: Sequence[bytes]) -> Any:
    try:
        told = await pool.call(packed(asked, parts), source=(scope.tenant, scope.tree or scope.agent))
        return json.loads(answered(told))
    except Refused as error:
        raise ToolFailed(str(error)) from error
    except (WorkersBusy, WorkersUnavailable) as error:
        raise ToolBusy(f"queries wait: {error}", retry_after=1.0) from error
    except Poisoned as error:
        raise ToolFailed("this question has ended the process that works on it twice") from error
    except (WorkerOverran, WorkerDied) as error:
        raise ToolFailed("it takes too much time or memory: ask for less") from error
    except WorkerError as error:
        raise ToolFailed("it cannot be answered") from error
