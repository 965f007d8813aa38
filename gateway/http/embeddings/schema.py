"""What clients send to `/v1/embeddings`. Fields that change nothing here are not read. Pure."""

from msgspec import Struct


class Body(Struct):
    """A whole request."""

    input: str | list[str | int | list[int]]
    model: str | None = None
    dimensions: int | None = None
