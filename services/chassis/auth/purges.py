"""How a manager follows the purges of killed agents: access says whose, the manager deletes and confirms."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import grpc

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from services.chassis.auth.identity import Scope
from services.chassis.rpc.client import ServiceCredential
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.logs import logger
from services.chassis.streams import lost

_log = logger(__name__)

LOOK_SECONDS: Final = 2.0
"""Time between two looks."""
_AT_ONCE: Final = 1000
_CALL_SECONDS: Final = 10.0

Delete = Callable[[Scope], Awaitable[Mapping[str, int]]]


class PurgeFollower:
    """Deletes what access says is to be purged, and confirms it.

    `delete(scope)` deletes everything of an agent and returns what and how many. It may be cut anywhere and
    runs again: access goes on to name an agent until its purge is confirmed.
    """

    def __init__(
        self,
        stub: "agent_pb2_grpc.AgentServiceAsyncStub",
        credential: ServiceCredential,
        manager: str,
        delete: Delete,
    ) -> None:
        self._stub = stub
        self._credential = credential
        self._manager = manager
        self._delete = delete

    async def look(self) -> None:
        """Purge whom access names until it names nobody.

        One that fails does not keep the others waiting; its error is raised at the end. Raises KernelError
        when access cannot be asked.
        """
        tried: set[tuple[str, str, int]] = set()
        failure: Exception | None = None
        while purges := [one for one in await self._waiting() if _key(one) not in tried]:
            for purge in purges:
                tried.add(_key(purge))
                try:
                    await self._purge(purge)
                except (KernelError, OSError) as error:
                    failure = error
        if failure is not None:
            raise failure

    async def _waiting(self) -> list[agent_pb2.Purge]:
        request = agent_pb2.GetPurgesRequest(manager=self._manager, page_size=_AT_ONCE)
        metadata = await self._credential.metadata()
        try:
            answer = await self._stub.GetPurges(request, metadata=metadata, timeout=_CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise lost(error) from error
        return list(answer.purges)

    async def _purge(self, purge: agent_pb2.Purge) -> None:
        counts = await self._delete(Scope(purge.tenant, purge.agent.removeprefix("agents/")))
        request = agent_pb2.ConfirmPurgeRequest(manager=self._manager, purge=purge, counts=counts)
        metadata = await self._credential.metadata()
        try:
            await self._stub.ConfirmPurge(request, metadata=metadata, timeout=_CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise lost(error) from error
        if counts:
            _log.info("purged a killed agent", number=purge.number, rows=sum(counts.values()))


def _key(purge: agent_pb2.Purge) -> tuple[str, str, int]:
    return purge.tenant, purge.agent, purge.number
