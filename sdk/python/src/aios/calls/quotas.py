"""`kernel.quotas`: what agents keep, and may keep, of each countable thing."""

from collections.abc import Iterable
from typing import Any, Final

from aios._transport import Transport
from aios._wire.common import agent_name
from aios.api.access.v1 import access_pb2
from aios.api.common.v1 import quotas_pb2
from aios.api.context.v1 import context_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from aios.types.quotas import QuotaLevel, QuotaUsage

_LEVELS: Final[dict[int, QuotaLevel]] = {
    quotas_pb2.QUOTA_LEVEL_AGENT: "agent",
    quotas_pb2.QUOTA_LEVEL_TREE: "tree",
    quotas_pb2.QUOTA_LEVEL_TENANT: "tenant",
}

_MANAGERS: Final[dict[str, tuple[type[Any], type[Any]]]] = {
    "access": (access_pb2.GetUsageRequest, access_pb2.GetUsageResponse),
    "context": (context_pb2.GetUsageRequest, context_pb2.GetUsageResponse),
    "inference": (inference_pb2.GetUsageRequest, inference_pb2.GetUsageResponse),
    "memory": (memory_pb2.GetUsageRequest, memory_pb2.GetUsageResponse),
    "scheduler": (scheduler_pb2.GetUsageRequest, scheduler_pb2.GetUsageResponse),
    "storage": (storage_pb2.GetUsageRequest, storage_pb2.GetUsageResponse),
    "tool": (tool_pb2.GetUsageRequest, tool_pb2.GetUsageResponse),
}


class Quotas:
    """Tells what is used of every quota."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def usage(self, *, agent: str = "me", timeout: float | None = None) -> dict[str, list[QuotaUsage]]:
        """Return what an agent, its tree and its tenant use of each quota, by manager.

        `timeout` bounds each manager's answer. Unit: seconds.
        """
        name = agent_name(agent)
        found = {}
        for manager, (request, response) in _MANAGERS.items():
            answer = await self._transport.call(request(name=name), response, timeout=timeout)
            found[manager] = _read(answer.quotas)
        return found


def _read(quotas: Iterable[quotas_pb2.QuotaUsage]) -> list[QuotaUsage]:
    """Read those of levels that this version knows."""
    return [
        QuotaUsage(quota=one.quota, level=_LEVELS[one.level], used=one.used, limit=one.limit)
        for one in quotas
        if one.level in _LEVELS
    ]
