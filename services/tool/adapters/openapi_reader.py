"""OpenAPI documents are read in a worker process of little memory and time."""

from typing import Final

from services.chassis import codec
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.worker_process import MIB
from services.chassis.runtime.workers import (
    WorkerError,
    WorkerPool,
    WorkersBusy,
    WorkerSpec,
    WorkersUnavailable,
)
from services.tool.core.openapi import Read
from services.tool.errors import TooManyCalls

SPEC: Final = WorkerSpec(
    name="openapi",
    target="services.tool.adapters.openapi_handler:reading",
    memory=256 * MIB,
    cpu=4.0,
    wall=10.0,
    longest_answer=16 * MIB,
    niceness=5,
)


class OpenApiReader:
    """The Documents port. `close` it."""

    def __init__(self, spec: WorkerSpec = SPEC) -> None:
        self._pool = WorkerPool(spec, poison=PoisonList(), most_waiting=16, most_of_one=4)

    async def read(self, tenant: str, document: bytes) -> Read:
        """Return what a document offers. Raises InvalidRequest, TooManyCalls."""
        try:
            answer = await self._pool.call(document, source=tenant)
        except (WorkersBusy, WorkersUnavailable) as error:
            text = "too many documents are being read just now"
            raise TooManyCalls(text, retry_after=1.0) from error
        except WorkerError as error:
            text = "reading it takes more time or memory than it may"
            raise InvalidRequest.field("document", text) from error
        found = codec.decode(Read, answer)
        if found.problem:
            raise InvalidRequest.field("document", found.problem)
        return found

    async def close(self) -> None:
        """End the worker."""
        await self._pool.close()
