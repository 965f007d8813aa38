"""Which manager owns a method. Pure."""

from collections.abc import Mapping

MANAGERS: Mapping[str, str] = {
    "aios.api.agent.v1.AgentService": "access",
    "aios.api.access.v1.AccessService": "access",
    "aios.api.scheduler.v1.SchedulerService": "scheduler",
    "aios.api.context.v1.ContextService": "context",
    "aios.api.memory.v1.MemoryService": "memory",
    "aios.api.storage.v1.StorageService": "storage",
    "aios.api.tool.v1.ToolService": "tool",
}
"""Full name of each forwarded gRPC service, and the process behind it."""


def manager_of(path: str) -> str | None:
    """Return the process that owns a path such as `/aios.api.memory.v1.MemoryService/GetNote`, or None."""
    service, _, method = path.removeprefix("/").partition("/")
    return MANAGERS.get(service) if method else None
