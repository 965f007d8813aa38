"""`kernel.quotas`: what agents keep, and may keep, of each countable thing."""

from collections.abc import Iterable
from typing import Final

from aios._transport import Transport
from aios._wire.common import agent_name
from aios.api.access.v1 import access_pb2
from aios.api.common.v1 import quotas_pb2
from aios.api.context.v1 import context_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from aios.types.quotas import QuotaLevel, QuotaUsage

_LEVELS: Final[dict[int, QuotaLevel]] = {
    quotas_pb2.QUOTA_LEVEL_AGENT: "agent",
    quotas_pb2.QUOTA_LEVEL_TREE: "tree",
    quotas_pb2.QUOTA_LEVEL_TENANT: "tenant",
}


class Quotas:
    """Tells what is used of every quota."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def usage(self, *, agent: str = "me", timeout: float | None = None) -> dict[str, list[QuotaUsage]]:
        """Return what an agent, its tree and its tenant use of each quota, by manager.

        `timeout` bounds each manager's answer. Unit: seconds.
        """
        name, call = agent_name(agent), self._transport.call
        access = await call(
            access_pb2.GetUsageRequest(name=name), access_pb2.GetUsageResponse, timeout=timeout
        )
        context = await call(
            context_pb2.GetUsageRequest(name=name), context_pb2.GetUsageResponse, timeout=timeout
        )
        memory = await call(
            memory_pb2.GetUsageRequest(name=name), memory_pb2.GetUsageResponse, timeout=timeout
        )
        storage = await call(
            storage_pb2.GetUsageRequest(name=name), storage_pb2.GetUsageResponse, timeout=timeout
        )
        tool = await call(tool_pb2.GetUsageRequest(name=name), tool_pb2.GetUsageResponse, timeout=timeout)
        return {
            "access": _read(access.quotas),
            "context": _read(context.quotas),
            "memory": _read(memory.quotas),
            "storage": _read(storage.quotas),
            "tool": _read(tool.quotas),
        }


def _read(quotas: Iterable[quotas_pb2.QuotaUsage]) -> list[QuotaUsage]:
    """Read those of levels that this version knows."""
    return [
        QuotaUsage(quota=one.quota, level=_LEVELS[one.level], used=one.used, limit=one.limit)
        for one in quotas
        if one.level in _LEVELS
    ]
