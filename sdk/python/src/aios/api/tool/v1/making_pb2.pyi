from aios.api.common.v1 import options_pb2 as _options_pb2
from aios.api.tool.v1 import resources_pb2 as _resources_pb2
from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DraftState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DRAFT_STATE_UNSPECIFIED: _ClassVar[DraftState]
    DRAFT_STATE_DRAFT: _ClassVar[DraftState]
    DRAFT_STATE_TESTED: _ClassVar[DraftState]
    DRAFT_STATE_OWN: _ClassVar[DraftState]
    DRAFT_STATE_SHARED: _ClassVar[DraftState]
DRAFT_STATE_UNSPECIFIED: DraftState
DRAFT_STATE_DRAFT: DraftState
DRAFT_STATE_TESTED: DraftState
DRAFT_STATE_OWN: DraftState
DRAFT_STATE_SHARED: DraftState

class ToolExample(_message.Message):
    __slots__ = ("arguments_json", "result_json", "result_schema_json")
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    RESULT_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    arguments_json: str
    result_json: str
    result_schema_json: str
    def __init__(self, arguments_json: _Optional[str] = ..., result_json: _Optional[str] = ..., result_schema_json: _Optional[str] = ...) -> None: ...

class ToolExampleResult(_message.Message):
    __slots__ = ("passed", "problem", "result_json")
    PASSED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    passed: bool
    problem: str
    result_json: str
    def __init__(self, passed: bool = ..., problem: _Optional[str] = ..., result_json: _Optional[str] = ...) -> None: ...

class ToolTest(_message.Message):
    __slots__ = ("sha256", "source_sha256", "interpreter", "sandbox", "passed", "examples", "test_time")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SOURCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    INTERPRETER_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    TEST_TIME_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    source_sha256: str
    interpreter: str
    sandbox: str
    passed: bool
    examples: _containers.RepeatedCompositeFieldContainer[ToolExampleResult]
    test_time: _timestamp_pb2.Timestamp
    def __init__(self, sha256: _Optional[str] = ..., source_sha256: _Optional[str] = ..., interpreter: _Optional[str] = ..., sandbox: _Optional[str] = ..., passed: bool = ..., examples: _Optional[_Iterable[_Union[ToolExampleResult, _Mapping]]] = ..., test_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ToolDraft(_message.Message):
    __slots__ = ("name", "title", "description", "parameters_schema_json", "result_schema_json", "python", "examples", "timeout", "max_concurrency", "returns_untrusted", "state", "sha256", "test", "tool", "effect", "approval", "shared_version", "untrusted", "create_time", "update_time", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    RESULT_SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    RETURNS_UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    SHARED_VERSION_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    description: str
    parameters_schema_json: str
    result_schema_json: str
    python: _resources_pb2.PythonDriver
    examples: _containers.RepeatedCompositeFieldContainer[ToolExample]
    timeout: _duration_pb2.Duration
    max_concurrency: int
    returns_untrusted: bool
    state: DraftState
    sha256: str
    test: ToolTest
    tool: str
    effect: _resources_pb2.ToolEffect
    approval: str
    shared_version: int
    untrusted: bool
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    etag: str
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., parameters_schema_json: _Optional[str] = ..., result_schema_json: _Optional[str] = ..., python: _Optional[_Union[_resources_pb2.PythonDriver, _Mapping]] = ..., examples: _Optional[_Iterable[_Union[ToolExample, _Mapping]]] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_concurrency: _Optional[int] = ..., returns_untrusted: bool = ..., state: _Optional[_Union[DraftState, str]] = ..., sha256: _Optional[str] = ..., test: _Optional[_Union[ToolTest, _Mapping]] = ..., tool: _Optional[str] = ..., effect: _Optional[_Union[_resources_pb2.ToolEffect, str]] = ..., approval: _Optional[str] = ..., shared_version: _Optional[int] = ..., untrusted: bool = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ...) -> None: ...

class ToolVersion(_message.Message):
    __slots__ = ("name", "draft", "number", "sha256", "approval", "current", "diff", "share_time", "revoke_time", "revoke_reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    DIFF_FIELD_NUMBER: _ClassVar[int]
    SHARE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVOKE_TIME_FIELD_NUMBER: _ClassVar[int]
    REVOKE_REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    draft: ToolDraft
    number: int
    sha256: str
    approval: str
    current: bool
    diff: str
    share_time: _timestamp_pb2.Timestamp
    revoke_time: _timestamp_pb2.Timestamp
    revoke_reason: str
    def __init__(self, name: _Optional[str] = ..., draft: _Optional[_Union[ToolDraft, _Mapping]] = ..., number: _Optional[int] = ..., sha256: _Optional[str] = ..., approval: _Optional[str] = ..., current: bool = ..., diff: _Optional[str] = ..., share_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., revoke_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., revoke_reason: _Optional[str] = ...) -> None: ...

class DraftToolRequest(_message.Message):
    __slots__ = ("draft", "request_id")
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    draft: ToolDraft
    request_id: str
    def __init__(self, draft: _Optional[_Union[ToolDraft, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DraftToolResponse(_message.Message):
    __slots__ = ("draft",)
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    draft: ToolDraft
    def __init__(self, draft: _Optional[_Union[ToolDraft, _Mapping]] = ...) -> None: ...

class GetDraftRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetDraftResponse(_message.Message):
    __slots__ = ("draft",)
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    draft: ToolDraft
    def __init__(self, draft: _Optional[_Union[ToolDraft, _Mapping]] = ...) -> None: ...

class ListDraftsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDraftsResponse(_message.Message):
    __slots__ = ("drafts", "next_page_token")
    DRAFTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    drafts: _containers.RepeatedCompositeFieldContainer[ToolDraft]
    next_page_token: str
    def __init__(self, drafts: _Optional[_Iterable[_Union[ToolDraft, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteDraftRequest(_message.Message):
    __slots__ = ("name", "etag", "allow_missing", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    ALLOW_MISSING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    allow_missing: bool
    request_id: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., allow_missing: bool = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteDraftResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TestDraftRequest(_message.Message):
    __slots__ = ("name", "etag", "own")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    own: bool
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., own: bool = ...) -> None: ...

class TestDraftResponse(_message.Message):
    __slots__ = ("draft",)
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    draft: ToolDraft
    def __init__(self, draft: _Optional[_Union[ToolDraft, _Mapping]] = ...) -> None: ...

class ShareDraftRequest(_message.Message):
    __slots__ = ("name", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class ShareDraftResponse(_message.Message):
    __slots__ = ("draft",)
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    draft: ToolDraft
    def __init__(self, draft: _Optional[_Union[ToolDraft, _Mapping]] = ...) -> None: ...

class ListToolVersionsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListToolVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[ToolVersion]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[ToolVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetToolVersionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetToolVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: ToolVersion
    def __init__(self, version: _Optional[_Union[ToolVersion, _Mapping]] = ...) -> None: ...

class RollBackToolRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RollBackToolResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: ToolVersion
    def __init__(self, version: _Optional[_Union[ToolVersion, _Mapping]] = ...) -> None: ...

class RevokeToolRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class RevokeToolResponse(_message.Message):
    __slots__ = ("revoked_count",)
    REVOKED_COUNT_FIELD_NUMBER: _ClassVar[int]
    revoked_count: int
    def __init__(self, revoked_count: _Optional[int] = ...) -> None: ...
