"""What is used of quotas, as the SDK tells it."""

from typing import Any

from aios.api.common.v1 import quotas_pb2
from aios.calls.quotas import Quotas
from aios.types.quotas import QuotaUsage


class Answering:
    """A transport to managers that all use two of three things; one tells a level of a later version too."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def call(self, request: Any, response: type[Any], *, timeout: float | None = None) -> Any:
        self.asked.append(f"{request.DESCRIPTOR.file.package} {request.name} {timeout}")
        known = quotas_pb2.QuotaUsage(quota="things", level=quotas_pb2.QUOTA_LEVEL_TREE, used=2, limit=3)
        later = quotas_pb2.QuotaUsage(quota="things", level=9)  # type: ignore[arg-type]
        return response(quotas=[known, later])


async def test_every_manager_is_asked_for_the_agent() -> None:
    transport = Answering()

    found = await Quotas(transport).usage(agent="critic", timeout=3)  # type: ignore[arg-type]

    assert list(found) == ["access", "context", "inference", "memory", "scheduler", "storage", "tool"]
    assert found["tool"] == [QuotaUsage(quota="things", level="tree", used=2, limit=3)]
    assert transport.asked[0] == "aios.api.access.v1 agents/critic 3"
    assert len(transport.asked) == 7
