"""What clients send to `/v1/embeddings`. Fields that change nothing here are not read. Pure."""

from msgspec import Raw, Struct


class Body(Struct):
    """A whole request."""

    input: Raw
    model: str | None = None
    dimensions: int | None = None
