"""The bodies of requests, as typed models. Fields that are not here are ignored."""

import msgspec


class Source(msgspec.Struct):
    """Where the content of an image or a document lies."""

    type: str = ""
    data: str = ""
    media_type: str = ""


class Block(msgspec.Struct):
    """A block of content of any type; which fields it has depends on `type`."""

    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")
    tool_use_id: str | None = None
    content: "str | list[Block] | None" = None
    is_error: bool | None = None
    source: Source | str | None = None


class Message(msgspec.Struct):
    """One turn."""

    role: str
    content: str | list[Block]


class Tool(msgspec.Struct):
    """A tool. Those with a type of the vendor's own and no schema run there, not at the client."""

    name: str = ""
    description: str | None = None
    input_schema: msgspec.Raw = msgspec.Raw(b"")
    type: str | None = None


class ToolChoice(msgspec.Struct):
    """Whether tools may be called."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Format(msgspec.Struct):
    """The form of the answer."""

    type: str
    schema: msgspec.Raw = msgspec.Raw(b"")


class OutputConfig(msgspec.Struct):
    """How the answer shall be."""

    format: Format | None = None


class Metadata(msgspec.Struct):
    """What the client says about its user."""

    user_id: str | None = None


class Counted(msgspec.Struct):
    """What `count_tokens` looks at, which is what the prompt is made of."""

    messages: list[Message]
    model: str = ""
    system: str | list[Block] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None


class Request(Counted, kw_only=True):
    """Everything that is understood of a request for an answer."""

    max_tokens: int
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: Metadata | None = None
    stream: bool | None = None
    service_tier: str | None = None
    speed: str | None = None
