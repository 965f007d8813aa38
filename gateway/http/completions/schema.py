"""What clients send to `/v1/completions`. Fields that change nothing here are not read. Pure."""

from msgspec import Raw, Struct


class StreamOptions(Struct):
    """What a stream tells besides."""

    include_usage: bool | None = None


class Body(Struct):
    """A whole request."""

    prompt: Raw = Raw(b"")
    model: str | None = None
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | list[str] | None = None
    logprobs: int | None = None
    logit_bias: Raw = Raw(b"")
    prompt_cache_key: str | None = None
