from aios.api.access.v1 import resources_pb2 as _resources_pb2
from aios.api.common.v1 import options_pb2 as _options_pb2
from aios.api.common.v1 import quotas_pb2 as _quotas_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApprovalDecision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPROVAL_DECISION_UNSPECIFIED: _ClassVar[ApprovalDecision]
    APPROVAL_DECISION_APPROVE: _ClassVar[ApprovalDecision]
    APPROVAL_DECISION_REJECT: _ClassVar[ApprovalDecision]

class AuditFault(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIT_FAULT_UNSPECIFIED: _ClassVar[AuditFault]
    AUDIT_FAULT_ENTRY_CHANGED: _ClassVar[AuditFault]
    AUDIT_FAULT_ENTRY_MISSING: _ClassVar[AuditFault]
    AUDIT_FAULT_TAIL_CUT: _ClassVar[AuditFault]
    AUDIT_FAULT_REWRITTEN: _ClassVar[AuditFault]
    AUDIT_FAULT_UNSEALED: _ClassVar[AuditFault]
    AUDIT_FAULT_KEY_MISSING: _ClassVar[AuditFault]
    AUDIT_FAULT_ERASURE_UNTOLD: _ClassVar[AuditFault]
    AUDIT_FAULT_HEADS_MISSING: _ClassVar[AuditFault]
    AUDIT_FAULT_HEADS_REWOUND: _ClassVar[AuditFault]
    AUDIT_FAULT_HEADS_CHANGED: _ClassVar[AuditFault]

class MadeFate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MADE_FATE_UNSPECIFIED: _ClassVar[MadeFate]
    MADE_FATE_SUSPEND: _ClassVar[MadeFate]
    MADE_FATE_KILL: _ClassVar[MadeFate]
APPROVAL_DECISION_UNSPECIFIED: ApprovalDecision
APPROVAL_DECISION_APPROVE: ApprovalDecision
APPROVAL_DECISION_REJECT: ApprovalDecision
AUDIT_FAULT_UNSPECIFIED: AuditFault
AUDIT_FAULT_ENTRY_CHANGED: AuditFault
AUDIT_FAULT_ENTRY_MISSING: AuditFault
AUDIT_FAULT_TAIL_CUT: AuditFault
AUDIT_FAULT_REWRITTEN: AuditFault
AUDIT_FAULT_UNSEALED: AuditFault
AUDIT_FAULT_KEY_MISSING: AuditFault
AUDIT_FAULT_ERASURE_UNTOLD: AuditFault
AUDIT_FAULT_HEADS_MISSING: AuditFault
AUDIT_FAULT_HEADS_REWOUND: AuditFault
AUDIT_FAULT_HEADS_CHANGED: AuditFault
MADE_FATE_UNSPECIFIED: MadeFate
MADE_FATE_SUSPEND: MadeFate
MADE_FATE_KILL: MadeFate

class CheckRequest(_message.Message):
    __slots__ = ("principal", "action", "resource", "untrusted", "effect")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    principal: _resources_pb2.Principal
    action: str
    resource: str
    untrusted: bool
    effect: str
    def __init__(self, principal: _Optional[_Union[_resources_pb2.Principal, _Mapping]] = ..., action: _Optional[str] = ..., resource: _Optional[str] = ..., untrusted: bool = ..., effect: _Optional[str] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: _resources_pb2.Decision
    def __init__(self, decision: _Optional[_Union[_resources_pb2.Decision, _Mapping]] = ...) -> None: ...

class BatchCheckRequest(_message.Message):
    __slots__ = ("checks",)
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[CheckRequest]
    def __init__(self, checks: _Optional[_Iterable[_Union[CheckRequest, _Mapping]]] = ...) -> None: ...

class BatchCheckResponse(_message.Message):
    __slots__ = ("decisions",)
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Decision]
    def __init__(self, decisions: _Optional[_Iterable[_Union[_resources_pb2.Decision, _Mapping]]] = ...) -> None: ...

class WatchRevisionRequest(_message.Message):
    __slots__ = ("heartbeat", "watcher")
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    WATCHER_FIELD_NUMBER: _ClassVar[int]
    heartbeat: _duration_pb2.Duration
    watcher: str
    def __init__(self, heartbeat: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., watcher: _Optional[str] = ...) -> None: ...

class RuleChange(_message.Message):
    __slots__ = ("tenant", "agents", "mark")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    agents: _containers.RepeatedScalarFieldContainer[str]
    mark: bool
    def __init__(self, tenant: _Optional[str] = ..., agents: _Optional[_Iterable[str]] = ..., mark: bool = ...) -> None: ...

class MarkUntrustedRequest(_message.Message):
    __slots__ = ("tenant", "agent", "source")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    agent: str
    source: str
    def __init__(self, tenant: _Optional[str] = ..., agent: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class MarkUntrustedResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class ConfirmRevisionRequest(_message.Message):
    __slots__ = ("watcher", "revision")
    WATCHER_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    watcher: str
    revision: int
    def __init__(self, watcher: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class ConfirmRevisionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchRevisionResponse(_message.Message):
    __slots__ = ("revision", "revoked_tokens", "heartbeat", "epoch", "changes", "complete")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REVOKED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    revision: int
    revoked_tokens: _containers.RepeatedCompositeFieldContainer[_resources_pb2.RevokedToken]
    heartbeat: bool
    epoch: str
    changes: _containers.RepeatedCompositeFieldContainer[RuleChange]
    complete: bool
    def __init__(self, revision: _Optional[int] = ..., revoked_tokens: _Optional[_Iterable[_Union[_resources_pb2.RevokedToken, _Mapping]]] = ..., heartbeat: bool = ..., epoch: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[RuleChange, _Mapping]]] = ..., complete: bool = ...) -> None: ...

class CreateGroupRequest(_message.Message):
    __slots__ = ("group", "request_id")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    group: _resources_pb2.Group
    request_id: str
    def __init__(self, group: _Optional[_Union[_resources_pb2.Group, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateGroupResponse(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: _resources_pb2.Group
    def __init__(self, group: _Optional[_Union[_resources_pb2.Group, _Mapping]] = ...) -> None: ...

class GetGroupRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetGroupResponse(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: _resources_pb2.Group
    def __init__(self, group: _Optional[_Union[_resources_pb2.Group, _Mapping]] = ...) -> None: ...

class ListGroupsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "member")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    member: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., member: _Optional[str] = ...) -> None: ...

class ListGroupsResponse(_message.Message):
    __slots__ = ("groups", "next_page_token")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Group]
    next_page_token: str
    def __init__(self, groups: _Optional[_Iterable[_Union[_resources_pb2.Group, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteGroupRequest(_message.Message):
    __slots__ = ("name", "etag", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteGroupResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AddMemberRequest(_message.Message):
    __slots__ = ("group", "member", "request_id")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    group: str
    member: str
    request_id: str
    def __init__(self, group: _Optional[str] = ..., member: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class AddMemberResponse(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: _resources_pb2.Group
    def __init__(self, group: _Optional[_Union[_resources_pb2.Group, _Mapping]] = ...) -> None: ...

class RemoveMemberRequest(_message.Message):
    __slots__ = ("group", "member", "request_id")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    group: str
    member: str
    request_id: str
    def __init__(self, group: _Optional[str] = ..., member: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RemoveMemberResponse(_message.Message):
    __slots__ = ("group",)
    GROUP_FIELD_NUMBER: _ClassVar[int]
    group: _resources_pb2.Group
    def __init__(self, group: _Optional[_Union[_resources_pb2.Group, _Mapping]] = ...) -> None: ...

class ListMembersRequest(_message.Message):
    __slots__ = ("group", "page_size", "page_token")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    group: str
    page_size: int
    page_token: str
    def __init__(self, group: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMembersResponse(_message.Message):
    __slots__ = ("members", "next_page_token")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Member]
    next_page_token: str
    def __init__(self, members: _Optional[_Iterable[_Union[_resources_pb2.Member, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CreateGrantRequest(_message.Message):
    __slots__ = ("grant", "request_id")
    GRANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    grant: _resources_pb2.Grant
    request_id: str
    def __init__(self, grant: _Optional[_Union[_resources_pb2.Grant, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateGrantResponse(_message.Message):
    __slots__ = ("grant",)
    GRANT_FIELD_NUMBER: _ClassVar[int]
    grant: _resources_pb2.Grant
    def __init__(self, grant: _Optional[_Union[_resources_pb2.Grant, _Mapping]] = ...) -> None: ...

class RevokeGrantRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RevokeGrantResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListGrantsRequest(_message.Message):
    __slots__ = ("grantee", "resource", "page_size", "page_token")
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grantee: str
    resource: str
    page_size: int
    page_token: str
    def __init__(self, grantee: _Optional[str] = ..., resource: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListGrantsResponse(_message.Message):
    __slots__ = ("grants", "next_page_token")
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    grants: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Grant]
    next_page_token: str
    def __init__(self, grants: _Optional[_Iterable[_Union[_resources_pb2.Grant, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PutPolicyRequest(_message.Message):
    __slots__ = ("policy", "request_id")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    policy: _resources_pb2.Policy
    request_id: str
    def __init__(self, policy: _Optional[_Union[_resources_pb2.Policy, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class PutPolicyResponse(_message.Message):
    __slots__ = ("policy", "warnings")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    policy: _resources_pb2.Policy
    warnings: _containers.RepeatedCompositeFieldContainer[_resources_pb2.PolicyFinding]
    def __init__(self, policy: _Optional[_Union[_resources_pb2.Policy, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[_resources_pb2.PolicyFinding, _Mapping]]] = ...) -> None: ...

class ValidatePolicyRequest(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ValidatePolicyResponse(_message.Message):
    __slots__ = ("valid", "findings")
    VALID_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    findings: _containers.RepeatedCompositeFieldContainer[_resources_pb2.PolicyFinding]
    def __init__(self, valid: bool = ..., findings: _Optional[_Iterable[_Union[_resources_pb2.PolicyFinding, _Mapping]]] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: _resources_pb2.Policy
    def __init__(self, policy: _Optional[_Union[_resources_pb2.Policy, _Mapping]] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies", "next_page_token")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Policy]
    next_page_token: str
    def __init__(self, policies: _Optional[_Iterable[_Union[_resources_pb2.Policy, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListPolicyVersionsRequest(_message.Message):
    __slots__ = ("name", "page_size", "page_token")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    page_size: int
    page_token: str
    def __init__(self, name: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPolicyVersionsResponse(_message.Message):
    __slots__ = ("policies", "next_page_token")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Policy]
    next_page_token: str
    def __init__(self, policies: _Optional[_Iterable[_Union[_resources_pb2.Policy, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeletePolicyRequest(_message.Message):
    __slots__ = ("name", "etag", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeletePolicyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RequestApprovalRequest(_message.Message):
    __slots__ = ("tenant", "approval", "lifetime", "request_id", "arguments", "description")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    approval: _resources_pb2.Approval
    lifetime: _duration_pb2.Duration
    request_id: str
    arguments: str
    description: str
    def __init__(self, tenant: _Optional[str] = ..., approval: _Optional[_Union[_resources_pb2.Approval, _Mapping]] = ..., lifetime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., request_id: _Optional[str] = ..., arguments: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class RequestApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: _resources_pb2.Approval
    def __init__(self, approval: _Optional[_Union[_resources_pb2.Approval, _Mapping]] = ...) -> None: ...

class UseApprovalRequest(_message.Message):
    __slots__ = ("tenant", "name", "agent", "arguments_sha256", "request_id", "resource_version")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_VERSION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    agent: str
    arguments_sha256: str
    request_id: str
    resource_version: str
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., agent: _Optional[str] = ..., arguments_sha256: _Optional[str] = ..., request_id: _Optional[str] = ..., resource_version: _Optional[str] = ...) -> None: ...

class UseApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: _resources_pb2.Approval
    def __init__(self, approval: _Optional[_Union[_resources_pb2.Approval, _Mapping]] = ...) -> None: ...

class GetApprovalRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: _resources_pb2.Approval
    def __init__(self, approval: _Optional[_Union[_resources_pb2.Approval, _Mapping]] = ...) -> None: ...

class ListApprovalsRequest(_message.Message):
    __slots__ = ("states", "agent", "page_size", "page_token")
    STATES_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[_resources_pb2.ApprovalState]
    agent: str
    page_size: int
    page_token: str
    def __init__(self, states: _Optional[_Iterable[_Union[_resources_pb2.ApprovalState, str]]] = ..., agent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListApprovalsResponse(_message.Message):
    __slots__ = ("approvals", "next_page_token")
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    approvals: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Approval]
    next_page_token: str
    def __init__(self, approvals: _Optional[_Iterable[_Union[_resources_pb2.Approval, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchApprovalsRequest(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: str
    def __init__(self, agent: _Optional[str] = ...) -> None: ...

class WatchApprovalsResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: _resources_pb2.Approval
    def __init__(self, approval: _Optional[_Union[_resources_pb2.Approval, _Mapping]] = ...) -> None: ...

class DecideApprovalRequest(_message.Message):
    __slots__ = ("name", "decision", "comment", "arguments_sha256", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    decision: ApprovalDecision
    comment: str
    arguments_sha256: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., decision: _Optional[_Union[ApprovalDecision, str]] = ..., comment: _Optional[str] = ..., arguments_sha256: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DecideApprovalResponse(_message.Message):
    __slots__ = ("approval",)
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    approval: _resources_pb2.Approval
    def __init__(self, approval: _Optional[_Union[_resources_pb2.Approval, _Mapping]] = ...) -> None: ...

class GetApprovalArgumentsRequest(_message.Message):
    __slots__ = ("name", "offset", "max_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    offset: int
    max_bytes: int
    def __init__(self, name: _Optional[str] = ..., offset: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class GetApprovalArgumentsResponse(_message.Message):
    __slots__ = ("content", "shown", "next_offset", "total_bytes", "arguments_sha256", "untrusted")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_SHA256_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    shown: str
    next_offset: int
    total_bytes: int
    arguments_sha256: str
    untrusted: bool
    def __init__(self, content: _Optional[bytes] = ..., shown: _Optional[str] = ..., next_offset: _Optional[int] = ..., total_bytes: _Optional[int] = ..., arguments_sha256: _Optional[str] = ..., untrusted: bool = ...) -> None: ...

class CreatePersonRequest(_message.Message):
    __slots__ = ("person_id", "tenant", "display_name", "administrator", "request_id")
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    ADMINISTRATOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    person_id: str
    tenant: str
    display_name: str
    administrator: bool
    request_id: str
    def __init__(self, person_id: _Optional[str] = ..., tenant: _Optional[str] = ..., display_name: _Optional[str] = ..., administrator: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class CreatePersonResponse(_message.Message):
    __slots__ = ("person", "person_key")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    PERSON_KEY_FIELD_NUMBER: _ClassVar[int]
    person: _resources_pb2.Person
    person_key: str
    def __init__(self, person: _Optional[_Union[_resources_pb2.Person, _Mapping]] = ..., person_key: _Optional[str] = ...) -> None: ...

class GetPersonRequest(_message.Message):
    __slots__ = ("name", "tenant")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class GetPersonResponse(_message.Message):
    __slots__ = ("person",)
    PERSON_FIELD_NUMBER: _ClassVar[int]
    person: _resources_pb2.Person
    def __init__(self, person: _Optional[_Union[_resources_pb2.Person, _Mapping]] = ...) -> None: ...

class ListPersonsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListPersonsResponse(_message.Message):
    __slots__ = ("persons", "next_page_token")
    PERSONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    persons: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Person]
    next_page_token: str
    def __init__(self, persons: _Optional[_Iterable[_Union[_resources_pb2.Person, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DisablePersonRequest(_message.Message):
    __slots__ = ("name", "tenant", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DisablePersonResponse(_message.Message):
    __slots__ = ("person",)
    PERSON_FIELD_NUMBER: _ClassVar[int]
    person: _resources_pb2.Person
    def __init__(self, person: _Optional[_Union[_resources_pb2.Person, _Mapping]] = ...) -> None: ...

class EnablePersonRequest(_message.Message):
    __slots__ = ("name", "tenant", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class EnablePersonResponse(_message.Message):
    __slots__ = ("person",)
    PERSON_FIELD_NUMBER: _ClassVar[int]
    person: _resources_pb2.Person
    def __init__(self, person: _Optional[_Union[_resources_pb2.Person, _Mapping]] = ...) -> None: ...

class IssuePersonKeyRequest(_message.Message):
    __slots__ = ("name", "tenant", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class IssuePersonKeyResponse(_message.Message):
    __slots__ = ("person", "person_key")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    PERSON_KEY_FIELD_NUMBER: _ClassVar[int]
    person: _resources_pb2.Person
    person_key: str
    def __init__(self, person: _Optional[_Union[_resources_pb2.Person, _Mapping]] = ..., person_key: _Optional[str] = ...) -> None: ...

class RevokePersonKeyRequest(_message.Message):
    __slots__ = ("name", "tenant", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    tenant: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., tenant: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RevokePersonKeyResponse(_message.Message):
    __slots__ = ("person",)
    PERSON_FIELD_NUMBER: _ClassVar[int]
    person: _resources_pb2.Person
    def __init__(self, person: _Optional[_Union[_resources_pb2.Person, _Mapping]] = ...) -> None: ...

class PutApprovalRuleRequest(_message.Message):
    __slots__ = ("rule", "request_id")
    RULE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    rule: _resources_pb2.ApprovalRule
    request_id: str
    def __init__(self, rule: _Optional[_Union[_resources_pb2.ApprovalRule, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class PutApprovalRuleResponse(_message.Message):
    __slots__ = ("rule",)
    RULE_FIELD_NUMBER: _ClassVar[int]
    rule: _resources_pb2.ApprovalRule
    def __init__(self, rule: _Optional[_Union[_resources_pb2.ApprovalRule, _Mapping]] = ...) -> None: ...

class ListApprovalRulesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListApprovalRulesResponse(_message.Message):
    __slots__ = ("rules", "next_page_token")
    RULES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[_resources_pb2.ApprovalRule]
    next_page_token: str
    def __init__(self, rules: _Optional[_Iterable[_Union[_resources_pb2.ApprovalRule, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteApprovalRuleRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteApprovalRuleResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AppendAuditRequest(_message.Message):
    __slots__ = ("tenant", "entries", "request_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    entries: _containers.RepeatedCompositeFieldContainer[_resources_pb2.AuditEntry]
    request_id: str
    def __init__(self, tenant: _Optional[str] = ..., entries: _Optional[_Iterable[_Union[_resources_pb2.AuditEntry, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class AppendAuditResponse(_message.Message):
    __slots__ = ("last_sequence",)
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    last_sequence: int
    def __init__(self, last_sequence: _Optional[int] = ...) -> None: ...

class QueryAuditRequest(_message.Message):
    __slots__ = ("agent", "action", "resource_prefix", "outcome", "start_time", "end_time", "syscall_id", "oldest_first", "page_size", "page_token")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_PREFIX_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SYSCALL_ID_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agent: str
    action: str
    resource_prefix: str
    outcome: _resources_pb2.AuditOutcome
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    syscall_id: str
    oldest_first: bool
    page_size: int
    page_token: str
    def __init__(self, agent: _Optional[str] = ..., action: _Optional[str] = ..., resource_prefix: _Optional[str] = ..., outcome: _Optional[_Union[_resources_pb2.AuditOutcome, str]] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., syscall_id: _Optional[str] = ..., oldest_first: bool = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class QueryAuditResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[_resources_pb2.AuditEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[_resources_pb2.AuditEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class VerifyAuditRequest(_message.Message):
    __slots__ = ("first_sequence", "last_sequence", "expected_head_hash", "expected_head_sequence")
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_HEAD_HASH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_HEAD_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    first_sequence: int
    last_sequence: int
    expected_head_hash: str
    expected_head_sequence: int
    def __init__(self, first_sequence: _Optional[int] = ..., last_sequence: _Optional[int] = ..., expected_head_hash: _Optional[str] = ..., expected_head_sequence: _Optional[int] = ...) -> None: ...

class EraseAuditRequest(_message.Message):
    __slots__ = ("agent", "reason")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    agent: str
    reason: str
    def __init__(self, agent: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class EraseAuditResponse(_message.Message):
    __slots__ = ("erased_count",)
    ERASED_COUNT_FIELD_NUMBER: _ClassVar[int]
    erased_count: int
    def __init__(self, erased_count: _Optional[int] = ...) -> None: ...

class VerifyAuditResponse(_message.Message):
    __slots__ = ("intact", "verified_count", "broken_sequence", "problem", "head_sequence", "head_hash", "head_signature", "signature_kid", "fault", "exported_sequence")
    INTACT_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_COUNT_FIELD_NUMBER: _ClassVar[int]
    BROKEN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HEAD_HASH_FIELD_NUMBER: _ClassVar[int]
    HEAD_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_KID_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    EXPORTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    intact: bool
    verified_count: int
    broken_sequence: int
    problem: str
    head_sequence: int
    head_hash: str
    head_signature: bytes
    signature_kid: str
    fault: AuditFault
    exported_sequence: int
    def __init__(self, intact: bool = ..., verified_count: _Optional[int] = ..., broken_sequence: _Optional[int] = ..., problem: _Optional[str] = ..., head_sequence: _Optional[int] = ..., head_hash: _Optional[str] = ..., head_signature: _Optional[bytes] = ..., signature_kid: _Optional[str] = ..., fault: _Optional[_Union[AuditFault, str]] = ..., exported_sequence: _Optional[int] = ...) -> None: ...

class AgentKeyCredential(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class PersonKeyCredential(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class ServiceKeyCredential(_message.Message):
    __slots__ = ("service", "key")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    service: str
    key: str
    def __init__(self, service: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class RenewCredential(_message.Message):
    __slots__ = ("token", "own_session")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    OWN_SESSION_FIELD_NUMBER: _ClassVar[int]
    token: str
    own_session: bool
    def __init__(self, token: _Optional[str] = ..., own_session: bool = ...) -> None: ...

class IssueTokenRequest(_message.Message):
    __slots__ = ("agent_key", "service_key", "renew", "person_key", "lifetime", "audience")
    AGENT_KEY_FIELD_NUMBER: _ClassVar[int]
    SERVICE_KEY_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    PERSON_KEY_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    agent_key: AgentKeyCredential
    service_key: ServiceKeyCredential
    renew: RenewCredential
    person_key: PersonKeyCredential
    lifetime: _duration_pb2.Duration
    audience: str
    def __init__(self, agent_key: _Optional[_Union[AgentKeyCredential, _Mapping]] = ..., service_key: _Optional[_Union[ServiceKeyCredential, _Mapping]] = ..., renew: _Optional[_Union[RenewCredential, _Mapping]] = ..., person_key: _Optional[_Union[PersonKeyCredential, _Mapping]] = ..., lifetime: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., audience: _Optional[str] = ...) -> None: ...

class IssueTokenResponse(_message.Message):
    __slots__ = ("token", "expire_time", "principal", "token_id")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    token: str
    expire_time: _timestamp_pb2.Timestamp
    principal: _resources_pb2.Principal
    token_id: str
    def __init__(self, token: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., principal: _Optional[_Union[_resources_pb2.Principal, _Mapping]] = ..., token_id: _Optional[str] = ...) -> None: ...

class ExchangeTokenRequest(_message.Message):
    __slots__ = ("token", "audience")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    token: str
    audience: str
    def __init__(self, token: _Optional[str] = ..., audience: _Optional[str] = ...) -> None: ...

class ExchangeTokenResponse(_message.Message):
    __slots__ = ("token", "expire_time")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    token: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, token: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RevokeTokenRequest(_message.Message):
    __slots__ = ("token", "token_id", "all", "agent", "revoke_key", "request_id", "made", "made_since")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    REVOKE_KEY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    MADE_SINCE_FIELD_NUMBER: _ClassVar[int]
    token: str
    token_id: str
    all: bool
    agent: str
    revoke_key: bool
    request_id: str
    made: MadeFate
    made_since: _timestamp_pb2.Timestamp
    def __init__(self, token: _Optional[str] = ..., token_id: _Optional[str] = ..., all: bool = ..., agent: _Optional[str] = ..., revoke_key: bool = ..., request_id: _Optional[str] = ..., made: _Optional[_Union[MadeFate, str]] = ..., made_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RevokeTokenResponse(_message.Message):
    __slots__ = ("revision", "ended_agents", "disabled_persons", "revoked_grants", "ended_agent_keys")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ENDED_AGENTS_FIELD_NUMBER: _ClassVar[int]
    DISABLED_PERSONS_FIELD_NUMBER: _ClassVar[int]
    REVOKED_GRANTS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AGENT_KEYS_FIELD_NUMBER: _ClassVar[int]
    revision: int
    ended_agents: int
    disabled_persons: int
    revoked_grants: int
    ended_agent_keys: int
    def __init__(self, revision: _Optional[int] = ..., ended_agents: _Optional[int] = ..., disabled_persons: _Optional[int] = ..., revoked_grants: _Optional[int] = ..., ended_agent_keys: _Optional[int] = ...) -> None: ...

class GetJwksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetJwksResponse(_message.Message):
    __slots__ = ("keys", "max_age")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[_resources_pb2.Jwk]
    max_age: _duration_pb2.Duration
    def __init__(self, keys: _Optional[_Iterable[_Union[_resources_pb2.Jwk, _Mapping]]] = ..., max_age: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("quotas",)
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    quotas: _containers.RepeatedCompositeFieldContainer[_quotas_pb2.QuotaUsage]
    def __init__(self, quotas: _Optional[_Iterable[_Union[_quotas_pb2.QuotaUsage, _Mapping]]] = ...) -> None: ...

class WhoAmIRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WhoAmIResponse(_message.Message):
    __slots__ = ("principal", "display_name", "expire_time", "sign_in_time", "administers_tenant", "administers_kernel", "untrusted")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    SIGN_IN_TIME_FIELD_NUMBER: _ClassVar[int]
    ADMINISTERS_TENANT_FIELD_NUMBER: _ClassVar[int]
    ADMINISTERS_KERNEL_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    principal: _resources_pb2.Principal
    display_name: str
    expire_time: _timestamp_pb2.Timestamp
    sign_in_time: _timestamp_pb2.Timestamp
    administers_tenant: bool
    administers_kernel: bool
    untrusted: bool
    def __init__(self, principal: _Optional[_Union[_resources_pb2.Principal, _Mapping]] = ..., display_name: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., sign_in_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., administers_tenant: bool = ..., administers_kernel: bool = ..., untrusted: bool = ...) -> None: ...

class AccessQuestion(_message.Message):
    __slots__ = ("action", "resource", "untrusted", "effect")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    action: str
    resource: str
    untrusted: bool
    effect: str
    def __init__(self, action: _Optional[str] = ..., resource: _Optional[str] = ..., untrusted: bool = ..., effect: _Optional[str] = ...) -> None: ...

class ReviewAccessRequest(_message.Message):
    __slots__ = ("subject", "questions")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    subject: str
    questions: _containers.RepeatedCompositeFieldContainer[AccessQuestion]
    def __init__(self, subject: _Optional[str] = ..., questions: _Optional[_Iterable[_Union[AccessQuestion, _Mapping]]] = ...) -> None: ...

class AccessReview(_message.Message):
    __slots__ = ("allowed", "reason", "policies", "expire_time", "effect_matters", "summary")
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    EFFECT_MATTERS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    allowed: bool
    reason: _resources_pb2.DecisionReason
    policies: _containers.RepeatedScalarFieldContainer[str]
    expire_time: _timestamp_pb2.Timestamp
    effect_matters: bool
    summary: str
    def __init__(self, allowed: bool = ..., reason: _Optional[_Union[_resources_pb2.DecisionReason, str]] = ..., policies: _Optional[_Iterable[str]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., effect_matters: bool = ..., summary: _Optional[str] = ...) -> None: ...

class ReviewAccessResponse(_message.Message):
    __slots__ = ("subject", "reviews", "revision")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REVIEWS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    subject: _resources_pb2.Principal
    reviews: _containers.RepeatedCompositeFieldContainer[AccessReview]
    revision: int
    def __init__(self, subject: _Optional[_Union[_resources_pb2.Principal, _Mapping]] = ..., reviews: _Optional[_Iterable[_Union[AccessReview, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...
