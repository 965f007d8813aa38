"""What clients of Responses send, as far as it is read. Fields that are not here are ignored."""

import msgspec
from msgspec import Raw


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a message's content, or of a tool's output."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None


Content = str | list[Part] | None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model may call."""

    type: str = ""
    name: str = ""
    description: str | None = None
    parameters: Raw = Raw(b"")
    strict: bool | None = None
    tools: list["Tool"] | None = None
    """Of a namespace."""
    format: Raw = Raw(b"")
    """Of a custom tool: what its text has to look like."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of the input. Which fields count depends on its type; other types may bring other values."""

    type: str = ""
    role: str = ""
    content: Content = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Raw = Raw(b"")
    input: Raw = Raw(b"")
    output: Raw = Raw(b"")
    tools: list[Raw] | None = None
    encrypted_content: Raw = Raw(b"")


class AllowedTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that `allowed_tools` names."""

    type: str = ""
    name: str = ""
    namespace: str | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which tool is to be called."""

    type: str = ""
    name: str = ""
    namespace: str | None = None
    mode: str = "auto"
    tools: list[AllowedTool] | None = None


class Grammar(msgspec.Struct, frozen=True, kw_only=True):
    """What a custom tool's text has to look like."""

    definition: str | None = None


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """What the text has to look like."""

    type: str = "text"
    name: str | None = None
    schema: Raw = Raw(b"")
    strict: bool | None = None
    description: str | None = None


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the text."""

    format: Format | None = None
    verbosity: str | None = None


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation, by its id."""

    id: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What creating, counting and compacting have in common."""

    model: str | None = None
    input: str | list[Item] | None = None
    instructions: str | None = None
    tools: list[Raw] | None = None
    tool_choice: str | Choice | None = None
    text: Text | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    conversation: str | Named | None = None
    truncation: str | None = None
    prompt: Raw = Raw(b"")
    prompt_cache_key: str | None = None
    service_tier: str | None = None


class Create(Asked, frozen=True, kw_only=True):
    """The body of `POST /v1/responses`."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    background: bool | None = None
    stream: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/conversations` and of a change of one."""

    items: list[Item] | None = None
    metadata: dict[str, str] | None = None


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/conversations/{conversation}/items`."""

    items: list[Item]
