from aios.api.common.v1 import options_pb2 as _options_pb2
from aios.api.common.v1 import quotas_pb2 as _quotas_pb2
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

class LinkKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LINK_KIND_UNSPECIFIED: _ClassVar[LinkKind]
    LINK_KIND_RELATED: _ClassVar[LinkKind]
    LINK_KIND_DERIVED_FROM: _ClassVar[LinkKind]
    LINK_KIND_SUPERSEDES: _ClassVar[LinkKind]
    LINK_KIND_CONTRADICTS: _ClassVar[LinkKind]

class Residence(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESIDENCE_UNSPECIFIED: _ClassVar[Residence]
    RESIDENCE_MEMORY: _ClassVar[Residence]
    RESIDENCE_STORAGE: _ClassVar[Residence]

class PutMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUT_MODE_UNSPECIFIED: _ClassVar[PutMode]
    PUT_MODE_CREATE: _ClassVar[PutMode]
    PUT_MODE_REPLACE: _ClassVar[PutMode]

class NoteView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTE_VIEW_UNSPECIFIED: _ClassVar[NoteView]
    NOTE_VIEW_BASIC: _ClassVar[NoteView]
    NOTE_VIEW_FULL: _ClassVar[NoteView]

class NoteOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTE_ORDER_UNSPECIFIED: _ClassVar[NoteOrder]
    NOTE_ORDER_UPDATE_TIME_DESC: _ClassVar[NoteOrder]
    NOTE_ORDER_CREATE_TIME: _ClassVar[NoteOrder]

class SearchMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEARCH_MODE_UNSPECIFIED: _ClassVar[SearchMode]
    SEARCH_MODE_LEXICAL: _ClassVar[SearchMode]
    SEARCH_MODE_SEMANTIC: _ClassVar[SearchMode]
    SEARCH_MODE_HYBRID: _ClassVar[SearchMode]
LINK_KIND_UNSPECIFIED: LinkKind
LINK_KIND_RELATED: LinkKind
LINK_KIND_DERIVED_FROM: LinkKind
LINK_KIND_SUPERSEDES: LinkKind
LINK_KIND_CONTRADICTS: LinkKind
RESIDENCE_UNSPECIFIED: Residence
RESIDENCE_MEMORY: Residence
RESIDENCE_STORAGE: Residence
PUT_MODE_UNSPECIFIED: PutMode
PUT_MODE_CREATE: PutMode
PUT_MODE_REPLACE: PutMode
NOTE_VIEW_UNSPECIFIED: NoteView
NOTE_VIEW_BASIC: NoteView
NOTE_VIEW_FULL: NoteView
NOTE_ORDER_UNSPECIFIED: NoteOrder
NOTE_ORDER_UPDATE_TIME_DESC: NoteOrder
NOTE_ORDER_CREATE_TIME: NoteOrder
SEARCH_MODE_UNSPECIFIED: SearchMode
SEARCH_MODE_LEXICAL: SearchMode
SEARCH_MODE_SEMANTIC: SearchMode
SEARCH_MODE_HYBRID: SearchMode

class NoteLink(_message.Message):
    __slots__ = ("note", "kind", "weight")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    note: str
    kind: LinkKind
    weight: float
    def __init__(self, note: _Optional[str] = ..., kind: _Optional[_Union[LinkKind, str]] = ..., weight: _Optional[float] = ...) -> None: ...

class Note(_message.Message):
    __slots__ = ("name", "key", "content", "tags", "context", "keywords", "category", "links", "metadata", "importance", "expire_time", "create_time", "update_time", "access_time", "etag", "size_bytes", "residence", "writer", "untrusted")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    IMPORTANCE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESIDENCE_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    UNTRUSTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    key: str
    content: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    context: str
    keywords: _containers.RepeatedScalarFieldContainer[str]
    category: str
    links: _containers.RepeatedCompositeFieldContainer[NoteLink]
    metadata: _containers.ScalarMap[str, str]
    importance: float
    expire_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    access_time: _timestamp_pb2.Timestamp
    etag: str
    size_bytes: int
    residence: Residence
    writer: str
    untrusted: bool
    def __init__(self, name: _Optional[str] = ..., key: _Optional[str] = ..., content: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., context: _Optional[str] = ..., keywords: _Optional[_Iterable[str]] = ..., category: _Optional[str] = ..., links: _Optional[_Iterable[_Union[NoteLink, _Mapping]]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., importance: _Optional[float] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., access_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., size_bytes: _Optional[int] = ..., residence: _Optional[_Union[Residence, str]] = ..., writer: _Optional[str] = ..., untrusted: bool = ...) -> None: ...

class PutNoteRequest(_message.Message):
    __slots__ = ("note", "mode", "request_id")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    note: Note
    mode: PutMode
    request_id: str
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ..., mode: _Optional[_Union[PutMode, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class PutNoteResponse(_message.Message):
    __slots__ = ("note", "created")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    note: Note
    created: bool
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ..., created: bool = ...) -> None: ...

class GetNoteRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetNoteResponse(_message.Message):
    __slots__ = ("note",)
    NOTE_FIELD_NUMBER: _ClassVar[int]
    note: Note
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ...) -> None: ...

class UpdateNoteRequest(_message.Message):
    __slots__ = ("note", "update_mask", "request_id")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    note: Note
    update_mask: _field_mask_pb2.FieldMask
    request_id: str
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class UpdateNoteResponse(_message.Message):
    __slots__ = ("note",)
    NOTE_FIELD_NUMBER: _ClassVar[int]
    note: Note
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ...) -> None: ...

class DeleteNoteRequest(_message.Message):
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

class DeleteNoteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListNotesRequest(_message.Message):
    __slots__ = ("parent", "key_prefix", "tags", "category", "updated_after", "order", "view", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    KEY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    key_prefix: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    category: str
    updated_after: _timestamp_pb2.Timestamp
    order: NoteOrder
    view: NoteView
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., key_prefix: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., category: _Optional[str] = ..., updated_after: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., order: _Optional[_Union[NoteOrder, str]] = ..., view: _Optional[_Union[NoteView, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNotesResponse(_message.Message):
    __slots__ = ("notes", "next_page_token")
    NOTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    notes: _containers.RepeatedCompositeFieldContainer[Note]
    next_page_token: str
    def __init__(self, notes: _Optional[_Iterable[_Union[Note, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SearchNotesRequest(_message.Message):
    __slots__ = ("parent", "query", "limit", "mode", "tags", "key_prefix", "min_score", "link_depth", "view", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    KEY_PREFIX_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    LINK_DEPTH_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    query: str
    limit: int
    mode: SearchMode
    tags: _containers.RepeatedScalarFieldContainer[str]
    key_prefix: str
    min_score: float
    link_depth: int
    view: NoteView
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., query: _Optional[str] = ..., limit: _Optional[int] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., tags: _Optional[_Iterable[str]] = ..., key_prefix: _Optional[str] = ..., min_score: _Optional[float] = ..., link_depth: _Optional[int] = ..., view: _Optional[_Union[NoteView, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class NoteHit(_message.Message):
    __slots__ = ("note", "score", "lexical_score", "semantic_score", "linked_from")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LEXICAL_SCORE_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_SCORE_FIELD_NUMBER: _ClassVar[int]
    LINKED_FROM_FIELD_NUMBER: _ClassVar[int]
    note: Note
    score: float
    lexical_score: float
    semantic_score: float
    linked_from: str
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ..., score: _Optional[float] = ..., lexical_score: _Optional[float] = ..., semantic_score: _Optional[float] = ..., linked_from: _Optional[str] = ...) -> None: ...

class SearchNotesResponse(_message.Message):
    __slots__ = ("hits", "next_page_token")
    HITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[NoteHit]
    next_page_token: str
    def __init__(self, hits: _Optional[_Iterable[_Union[NoteHit, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class LinkNotesRequest(_message.Message):
    __slots__ = ("name", "add", "remove", "both_ways", "etag", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    BOTH_WAYS_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    add: _containers.RepeatedCompositeFieldContainer[NoteLink]
    remove: _containers.RepeatedScalarFieldContainer[str]
    both_ways: bool
    etag: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., add: _Optional[_Iterable[_Union[NoteLink, _Mapping]]] = ..., remove: _Optional[_Iterable[str]] = ..., both_ways: bool = ..., etag: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class LinkNotesResponse(_message.Message):
    __slots__ = ("note",)
    NOTE_FIELD_NUMBER: _ClassVar[int]
    note: Note
    def __init__(self, note: _Optional[_Union[Note, _Mapping]] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("note_count", "used_bytes", "resident_bytes", "resident_count", "quota_bytes", "high_water_bytes", "evicted_count", "restored_count", "mean_residence", "quotas")
    NOTE_COUNT_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    HIGH_WATER_BYTES_FIELD_NUMBER: _ClassVar[int]
    EVICTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESTORED_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEAN_RESIDENCE_FIELD_NUMBER: _ClassVar[int]
    QUOTAS_FIELD_NUMBER: _ClassVar[int]
    note_count: int
    used_bytes: int
    resident_bytes: int
    resident_count: int
    quota_bytes: int
    high_water_bytes: int
    evicted_count: int
    restored_count: int
    mean_residence: _duration_pb2.Duration
    quotas: _containers.RepeatedCompositeFieldContainer[_quotas_pb2.QuotaUsage]
    def __init__(self, note_count: _Optional[int] = ..., used_bytes: _Optional[int] = ..., resident_bytes: _Optional[int] = ..., resident_count: _Optional[int] = ..., quota_bytes: _Optional[int] = ..., high_water_bytes: _Optional[int] = ..., evicted_count: _Optional[int] = ..., restored_count: _Optional[int] = ..., mean_residence: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., quotas: _Optional[_Iterable[_Union[_quotas_pb2.QuotaUsage, _Mapping]]] = ...) -> None: ...
