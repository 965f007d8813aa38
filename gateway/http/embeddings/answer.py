"""Writes embeddings as OpenAI's clients read them. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any


def vectors(model: str, found: Iterable[Sequence[float]]) -> dict[str, Any]:
    """Tell the vectors, in the order of the texts.

    Always as numbers, also to who asks for base64: every client reads those. The kernel's embedding splits no
    text into tokens, so none are counted.
    """
    data = [
        {"object": "embedding", "index": index, "embedding": list(each)} for index, each in enumerate(found)
    ]
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 0, "total_tokens": 0}}
