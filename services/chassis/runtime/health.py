"""The gRPC health service. Anybody may ask, so nothing that a client does keeps the process from telling.

The library's own holds a lock while it writes to a watcher: one that reads nothing would stop the process
from reporting, and from ending.
"""

from typing import Any, Final

import grpc
from grpc_health.v1.health_pb2 import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)

from services.chassis.notifier import ChangeNotifier

MOST_WATCHES: Final = 32
"""Watches that are open at once."""

Context = grpc.aio.ServicerContext[Any, Any]


class Health:
    """Tells whether the process and each of its services serve."""

    def __init__(self) -> None:
        self._known: dict[str, HealthCheckResponse.ServingStatus] = {"": HealthCheckResponse.SERVING}
        self._changes = ChangeNotifier()
        self._leaving = False
        self.watches = 0
        """How many are open."""

    def set(self, service: str, status: HealthCheckResponse.ServingStatus) -> None:
        """Say how a service stands; empty: the process."""
        if not self._leaving and self._known.get(service) != status:
            self._known[service] = status
            self._changes.notify()

    def leave(self) -> None:
        """Say for good that nothing serves any more: the process is stopping."""
        self._leaving = True
        self._known = dict.fromkeys(self._known, HealthCheckResponse.NOT_SERVING)
        self._changes.notify()

    async def Check(  # noqa: N802 - the name in the contract
        self, request: HealthCheckRequest, context: Context
    ) -> HealthCheckResponse:
        """Tell how a service stands now."""
        status = self._known.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return HealthCheckResponse(status=status)

    async def List(  # noqa: N802 - the name in the contract
        self, _request: HealthListRequest, _context: Context
    ) -> HealthListResponse:
        """Tell how everything stands now."""
        told = {name: HealthCheckResponse(status=status) for name, status in self._known.items()}
        return HealthListResponse(statuses=told)

    async def Watch(  # noqa: N802 - the name in the contract
        self, request: HealthCheckRequest, context: Context
    ) -> None:
        """Tell how a service stands, now and whenever that changes."""
        if self.watches >= MOST_WATCHES:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watches are open")
        self.watches += 1
        try:
            with self._changes.subscribe() as changes:
                told = None
                while True:
                    status = self._known.get(request.service, HealthCheckResponse.SERVICE_UNKNOWN)
                    if status != told:
                        await context.write(HealthCheckResponse(status=status))
                        told = status
                    await changes.wait()
        finally:
            self.watches -= 1
