"""Writes embeddings as OpenAI's clients read them. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

_BYTES_PER_TOKEN: Final = 4


def vectors(model: str, texts: Iterable[str], found: Iterable[Sequence[float]]) -> dict[str, Any]:
    """Tell the vectors, in the order of the texts.

    Always as numbers, also to who asks for base64: every client reads those. The kernel's embedding splits no
    text into tokens, but clients want to know how much they sent: a token is told for each four bytes.
    """
    tokens = sum(-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts)
    data = [
        {"object": "embedding", "index": index, "embedding": list(each)} for index, each in enumerate(found)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}
