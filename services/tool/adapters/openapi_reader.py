"""OpenAPI documents are read in worker processes of little memory and time."""

from typing import Final

import msgspec

from services.chassis.rpc.errors import InvalidRequest
from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.worker_process import MIB
from services.chassis.runtime.workers import (
    WorkerDied,
    WorkerError,
    WorkerFailed,
    WorkerOverran,
    WorkerPool,
    Poisoned,
    WorkerSpec,
)
from services.tool.core.openapi import Read
from services.tool.errors import DocumentsBusy

SPEC: Final = WorkerSpec(
    name="openapi",
    target="services.tool.adapters.openapi_handler:reading",
    memory=256 * MIB,
    cpu=4.0,
    wall=10.0,
    longest_answer=16 * MIB,
    niceness=5,
)


class _Answer(Read):
    """What a worker tells."""


class OpenApiReader:
    """The Documents port."""

    def __init__(self, spec: WorkerSpec = SPEC) -> None:
        self._pool = WorkerPool(spec, poison=PoisonList(), most_waiting=16, most_of_one=4)

    async def read(self, tenant: str, document: bytes) -> Read:
        """Return what a document offers. Raises InvalidRequest, DocumentsBusy."""
