"""What clients send to `/v1/chat/completions`. Fields that change nothing here are not read. Pure."""

from msgspec import Raw, Struct


class Part(Struct):
    """A part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None


class CalledFunction(Struct):
    """The function that an assistant called."""

    name: str
    arguments: str | None = None


class CalledCustom(Struct):
    """The tool with free input that an assistant called."""

    name: str
    input: str | None = None


class Call(Struct):
    """A tool call of an assistant."""

    id: str
    type: str = "function"
    function: CalledFunction | None = None
    custom: CalledCustom | None = None


class Message(Struct):
    """One message of the conversation."""

    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    audio: Raw = Raw(b"")
    function_call: Raw = Raw(b"")


class Function(Struct):
    """A function that may be called."""

    name: str
    description: str | None = None
    parameters: Raw = Raw(b"")


class Custom(Struct):
    """A tool with free input that may be called."""

    name: str
    description: str | None = None


class Tool(Struct):
    """A tool on offer."""

    type: str
    function: Function | None = None
    custom: Custom | None = None


class Named(Struct):
    """The name of a tool."""

    name: str


class NamedTool(Struct):
    """A tool, named."""

    type: str
    function: Named | None = None
    custom: Named | None = None


class Allowed(Struct):
    """Some of the tools."""

    mode: str
    tools: list[NamedTool]


class Choice(Struct):
    """Which tool to call, or which may be called."""

    type: str
    function: Named | None = None
    custom: Named | None = None
    allowed_tools: Allowed | None = None


class JsonSchema(Struct):
    """The schema of an answer."""

    schema: Raw = Raw(b"")


class Format(Struct):
    """The form of an answer."""

    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(Struct):
    """What a stream tells besides."""

    include_usage: bool | None = None


class Body(Struct):
    """A whole request."""

    messages: list[Message]
    model: str | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: Format | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Raw = Raw(b"")
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    modalities: list[str] | None = None
    audio: Raw = Raw(b"")
    web_search_options: Raw = Raw(b"")
    functions: Raw = Raw(b"")
    function_call: Raw = Raw(b"")
    moderation: Raw = Raw(b"")
