"""The typed errors of the access manager."""

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import KernelError
from services.chassis.rpc.errors import QuotaExceeded as QuotaExceeded  # noqa: PLC0414 - told as this service's own


class AgentNotFound(KernelError):
    """No such agent in the caller's tenant."""

    reason = "AGENT_NOT_FOUND"
    code = Code.NOT_FOUND


class AgentExists(KernelError):
    """The agent id is taken."""

    reason = "AGENT_EXISTS"
    code = Code.ALREADY_EXISTS


class AgentTreeLimit(KernelError):
    """The agent tree would become too deep or too wide."""

    reason = "AGENT_TREE_LIMIT"
    code = Code.FAILED_PRECONDITION


class AgentAlive(KernelError):
    """The agent, or one below it, was not killed."""

    reason = "AGENT_ALIVE"
    code = Code.FAILED_PRECONDITION


class EtagMismatch(KernelError):
    """The etag is stale: read again and retry."""

    reason = "ETAG_MISMATCH"
    code = Code.ABORTED


class AlreadyExists(KernelError):
    """The rule exists already."""

    reason = "ALREADY_EXISTS"
    code = Code.ALREADY_EXISTS


class RuleNotFound(KernelError):
    """No such policy, group or grant in the caller's tenant."""

    reason = "RULE_NOT_FOUND"
    code = Code.NOT_FOUND


class RuleProtected(KernelError):
    """The rule is the kernel's own and cannot be changed."""

    reason = "RULE_PROTECTED"
    code = Code.FAILED_PRECONDITION


class GroupCycle(KernelError):
    """The group would become a member of itself."""

    reason = "GROUP_CYCLE"
    code = Code.FAILED_PRECONDITION


class PolicyInvalid(KernelError):
    """The policy text does not parse, breaks the schema or passes a bound; metadata holds the `bound`."""

    reason = "POLICY_INVALID"
    code = Code.INVALID_ARGUMENT


class PersonNotFound(KernelError):
    """No such person in the tenant."""

    reason = "PERSON_NOT_FOUND"
    code = Code.NOT_FOUND


class LastAdministrator(KernelError):
    """The person is the last active administrator of the tenant."""

    reason = "LAST_ADMINISTRATOR"
    code = Code.FAILED_PRECONDITION


class ApprovalNotFound(KernelError):
    """No such approval that the caller may see."""

    reason = "APPROVAL_NOT_FOUND"
    code = Code.NOT_FOUND


class ApprovalDecided(KernelError):
    """The approval has been decided or used already; metadata holds its `state`."""

    reason = "APPROVAL_DECIDED"
    code = Code.FAILED_PRECONDITION


class ApprovalExpired(KernelError):
    """The approval has expired."""

    reason = "APPROVAL_EXPIRED"
    code = Code.FAILED_PRECONDITION


class TooManyCalls(KernelError):
    """Too many wrong credentials or policy texts, or a watcher too slow; RetryInfo says when to come back."""

    reason = "TOO_MANY_CALLS"
    code = Code.RESOURCE_EXHAUSTED


class PolicyUnknown(KernelError):
    """The hints name a scheduling policy that this installation does not have."""

    reason = "UNKNOWN_SCHEDULING_POLICY"
    code = Code.INVALID_ARGUMENT
