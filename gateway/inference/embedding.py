"""The built-in embedding model: the kernel's own hashing of words and character n-grams. Pure."""

from collections.abc import Sequence

import numpy as np

from services.chassis import embedding

MODEL = "aios-hashing-ngrams"


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Return one vector of unit length per text; a text without letters or digits gives zeros."""
    return [np.frombuffer(embedding.embed(_words(text)), dtype="<f4").tolist() for text in texts]


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()
