from aios.api.common.v1 import options_pb2 as _options_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGENT_STATE_UNSPECIFIED: _ClassVar[AgentState]
    AGENT_STATE_ACTIVE: _ClassVar[AgentState]
    AGENT_STATE_SUSPENDED: _ClassVar[AgentState]
    AGENT_STATE_KILLED: _ClassVar[AgentState]

class SchedulingClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCHEDULING_CLASS_UNSPECIFIED: _ClassVar[SchedulingClass]
    SCHEDULING_CLASS_REALTIME: _ClassVar[SchedulingClass]
    SCHEDULING_CLASS_INTERACTIVE: _ClassVar[SchedulingClass]
    SCHEDULING_CLASS_NORMAL: _ClassVar[SchedulingClass]
    SCHEDULING_CLASS_BATCH: _ClassVar[SchedulingClass]
    SCHEDULING_CLASS_IDLE: _ClassVar[SchedulingClass]

class OldKeys(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OLD_KEYS_UNSPECIFIED: _ClassVar[OldKeys]
    OLD_KEYS_KEEP: _ClassVar[OldKeys]
    OLD_KEYS_END: _ClassVar[OldKeys]
    OLD_KEYS_END_WITH_TOKENS: _ClassVar[OldKeys]
AGENT_STATE_UNSPECIFIED: AgentState
AGENT_STATE_ACTIVE: AgentState
AGENT_STATE_SUSPENDED: AgentState
AGENT_STATE_KILLED: AgentState
SCHEDULING_CLASS_UNSPECIFIED: SchedulingClass
SCHEDULING_CLASS_REALTIME: SchedulingClass
SCHEDULING_CLASS_INTERACTIVE: SchedulingClass
SCHEDULING_CLASS_NORMAL: SchedulingClass
SCHEDULING_CLASS_BATCH: SchedulingClass
SCHEDULING_CLASS_IDLE: SchedulingClass
OLD_KEYS_UNSPECIFIED: OldKeys
OLD_KEYS_KEEP: OldKeys
OLD_KEYS_END: OldKeys
OLD_KEYS_END_WITH_TOKENS: OldKeys

class SchedulingHints(_message.Message):
    __slots__ = ("scheduling_class", "weight", "priority", "max_wait", "deadline", "policy")
    SCHEDULING_CLASS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    scheduling_class: SchedulingClass
    weight: int
    priority: int
    max_wait: _duration_pb2.Duration
    deadline: _duration_pb2.Duration
    policy: str
    def __init__(self, scheduling_class: _Optional[_Union[SchedulingClass, str]] = ..., weight: _Optional[int] = ..., priority: _Optional[int] = ..., max_wait: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., deadline: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., policy: _Optional[str] = ...) -> None: ...

class PolicyNames(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class SchedulingCaps(_message.Message):
    __slots__ = ("highest_class", "highest_weight", "lowest_priority", "policies", "shortest_deadline")
    HIGHEST_CLASS_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    LOWEST_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    SHORTEST_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    highest_class: SchedulingClass
    highest_weight: int
    lowest_priority: int
    policies: PolicyNames
    shortest_deadline: _duration_pb2.Duration
    def __init__(self, highest_class: _Optional[_Union[SchedulingClass, str]] = ..., highest_weight: _Optional[int] = ..., lowest_priority: _Optional[int] = ..., policies: _Optional[_Union[PolicyNames, _Mapping]] = ..., shortest_deadline: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Agent(_message.Message):
    __slots__ = ("name", "parent", "display_name", "kind", "state", "hints", "labels", "etag", "create_time", "update_time", "tenant", "caps", "ancestors", "tenant_weight", "untrusted_since", "purging", "untrusted_source", "expire_time", "untrusted_texts")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CAPS_FIELD_NUMBER: _ClassVar[int]
    ANCESTORS_FIELD_NUMBER: _ClassVar[int]
    TENANT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_SINCE_FIELD_NUMBER: _ClassVar[int]
    PURGING_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_SOURCE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_TEXTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    parent: str
    display_name: str
    kind: str
    state: AgentState
    hints: SchedulingHints
    labels: _containers.ScalarMap[str, str]
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    tenant: str
    caps: SchedulingCaps
    ancestors: _containers.RepeatedScalarFieldContainer[str]
    tenant_weight: int
    untrusted_since: _timestamp_pb2.Timestamp
    purging: bool
    untrusted_source: str
    expire_time: _timestamp_pb2.Timestamp
    untrusted_texts: bool
    def __init__(self, name: _Optional[str] = ..., parent: _Optional[str] = ..., display_name: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[_Union[AgentState, str]] = ..., hints: _Optional[_Union[SchedulingHints, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., tenant: _Optional[str] = ..., caps: _Optional[_Union[SchedulingCaps, _Mapping]] = ..., ancestors: _Optional[_Iterable[str]] = ..., tenant_weight: _Optional[int] = ..., untrusted_since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., purging: bool = ..., untrusted_source: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., untrusted_texts: bool = ...) -> None: ...

class Credential(_message.Message):
    __slots__ = ("token", "expire_time")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    token: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, token: _Optional[str] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RegisterAgentRequest(_message.Message):
    __slots__ = ("parent", "agent_id", "display_name", "kind", "hints", "labels", "request_id", "tenant", "caps", "ttl", "exist_ok")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PARENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    HINTS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CAPS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    EXIST_OK_FIELD_NUMBER: _ClassVar[int]
    parent: str
    agent_id: str
    display_name: str
    kind: str
    hints: SchedulingHints
    labels: _containers.ScalarMap[str, str]
    request_id: str
    tenant: str
    caps: SchedulingCaps
    ttl: _duration_pb2.Duration
    exist_ok: bool
    def __init__(self, parent: _Optional[str] = ..., agent_id: _Optional[str] = ..., display_name: _Optional[str] = ..., kind: _Optional[str] = ..., hints: _Optional[_Union[SchedulingHints, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., request_id: _Optional[str] = ..., tenant: _Optional[str] = ..., caps: _Optional[_Union[SchedulingCaps, _Mapping]] = ..., ttl: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., exist_ok: bool = ...) -> None: ...

class RegisterAgentResponse(_message.Message):
    __slots__ = ("agent", "credential", "agent_key", "existed")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    AGENT_KEY_FIELD_NUMBER: _ClassVar[int]
    EXISTED_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    credential: Credential
    agent_key: str
    existed: bool
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., credential: _Optional[_Union[Credential, _Mapping]] = ..., agent_key: _Optional[str] = ..., existed: bool = ...) -> None: ...

class IssueAgentKeyRequest(_message.Message):
    __slots__ = ("name", "old_keys", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OLD_KEYS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    old_keys: OldKeys
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., old_keys: _Optional[_Union[OldKeys, str]] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class IssueAgentKeyResponse(_message.Message):
    __slots__ = ("agent", "credential", "agent_key")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    AGENT_KEY_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    credential: Credential
    agent_key: str
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., credential: _Optional[_Union[Credential, _Mapping]] = ..., agent_key: _Optional[str] = ...) -> None: ...

class GetAgentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAgentsResponse(_message.Message):
    __slots__ = ("agents", "next_page_token")
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[Agent]
    next_page_token: str
    def __init__(self, agents: _Optional[_Iterable[_Union[Agent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateAgentRequest(_message.Message):
    __slots__ = ("agent", "update_mask")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class SuspendAgentRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SuspendAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class ResumeAgentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResumeAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class ClearUntrustedRequest(_message.Message):
    __slots__ = ("name", "descendants", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCENDANTS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    descendants: bool
    reason: str
    def __init__(self, name: _Optional[str] = ..., descendants: bool = ..., reason: _Optional[str] = ...) -> None: ...

class ClearUntrustedResponse(_message.Message):
    __slots__ = ("agent", "cleared_count")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    CLEARED_COUNT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    cleared_count: int
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., cleared_count: _Optional[int] = ...) -> None: ...

class KillAgentRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class KillAgentResponse(_message.Message):
    __slots__ = ("agent", "killed_count")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    KILLED_COUNT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    killed_count: int
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., killed_count: _Optional[int] = ...) -> None: ...

class WatchAgentsRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class WatchAgentsResponse(_message.Message):
    __slots__ = ("agent", "initial", "revision")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    initial: bool
    revision: int
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., initial: bool = ..., revision: _Optional[int] = ...) -> None: ...

class PurgeAgentRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id", "kill")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    kill: bool
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., kill: bool = ...) -> None: ...

class PurgeAgentResponse(_message.Message):
    __slots__ = ("agent",)
    AGENT_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ...) -> None: ...

class Purge(_message.Message):
    __slots__ = ("tenant", "agent", "number")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    agent: str
    number: int
    def __init__(self, tenant: _Optional[str] = ..., agent: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class GetPurgesRequest(_message.Message):
    __slots__ = ("manager", "page_size")
    MANAGER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    manager: str
    page_size: int
    def __init__(self, manager: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class GetPurgesResponse(_message.Message):
    __slots__ = ("purges",)
    PURGES_FIELD_NUMBER: _ClassVar[int]
    purges: _containers.RepeatedCompositeFieldContainer[Purge]
    def __init__(self, purges: _Optional[_Iterable[_Union[Purge, _Mapping]]] = ...) -> None: ...

class ConfirmPurgeRequest(_message.Message):
    __slots__ = ("manager", "purge", "counts")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MANAGER_FIELD_NUMBER: _ClassVar[int]
    PURGE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    manager: str
    purge: Purge
    counts: _containers.ScalarMap[str, int]
    def __init__(self, manager: _Optional[str] = ..., purge: _Optional[_Union[Purge, _Mapping]] = ..., counts: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ConfirmPurgeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
