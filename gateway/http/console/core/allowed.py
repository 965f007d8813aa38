"""The calls that the console's pages may make. What is not named here is not offered to a browser. Pure.

Left out are those that hand out credentials or take secrets, what providers of tools do, uploads, and calls
that cost a model's time without showing something of an agent's.
"""

from collections.abc import Mapping
from typing import Final

_BY_AREA: Final[Mapping[str, tuple[str, str]]] = {
    "agent": (
        "AgentService",
        "GetAgent ListAgents UpdateAgent SuspendAgent ResumeAgent KillAgent ClearUntrusted WatchAgents",
    ),
    "access": (
        "AccessService",
        (
            "WhoAmI ReviewAccess GetUsage QueryAudit VerifyAudit "
            "ListGroups GetGroup ListMembers CreateGroup DeleteGroup AddMember RemoveMember "
            "ListGrants CreateGrant RevokeGrant "
            "ListPolicies GetPolicy ListPolicyVersions ValidatePolicy PutPolicy DeletePolicy "
            "ListApprovals GetApproval GetApprovalArguments DecideApproval WatchApprovals ListApprovalRules "
            "ListPersons GetPerson"
        ),
    ),
    "scheduler": (
        "SchedulerService",
        (
            "GetQueue GetPolicy SetPolicy ListSyscalls ExplainWait ExplainWaits CancelSyscall WatchSchedule "
            "ListPastSyscalls ListSyscallUsage CountSyscalls "
            "GetUsage"
        ),
    ),
    "context": (
        "ContextService",
        "GetContext ListContexts ListMessages AssembleWindow PinMessage ForkContext ListSnapshots GetUsage",
    ),
    "memory": ("MemoryService", "GetNote ListNotes SearchNotes GetUsage"),
    "storage": (
        "StorageService",
        (
            "StatFile ListFiles SearchFiles ListVersions DiffVersions RollbackFile ListTrash RestoreFile "
            "ListShares WatchFiles QueryRecords ListCollections GetUsage"
        ),
    ),
    "tool": (
        "ToolService",
        (
            "ListTools GetTool ListCalls GetCall CancelCall ListMcpServers GetEgressPolicy ListDrafts "
            "GetDraft ListToolVersions GetToolVersion RevokeTool RollBackTool GetUsage"
        ),
    ),
    "inference": ("InferenceService", "ListModels WatchGeneration CancelGeneration CountTokens GetUsage"),
}

ALLOWED: Final = frozenset(
    f"/aios.api.{area}.v1.{service}/{method}"
    for area, (service, methods) in _BY_AREA.items()
    for method in methods.split()
)
"""Paths of methods, as on the wire."""

SHORT: Final[Mapping[str, str]] = {
    f"{area}/{method}": f"/aios.api.{area}.v1.{service}/{method}"
    for area, (service, methods) in _BY_AREA.items()
    for method in methods.split()
}
"""The same by short names, such as `scheduler/WatchSchedule`."""
