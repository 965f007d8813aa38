"""The built-in embedding: hashed character n-grams. Pure, deterministic, needs no download.

The hashing trick over character n-grams (Weinberger et al., ICML 2009; Bojanowski et al., TACL 2017): each
n-gram adds a sign to one of DIMENSIONS components; the vector is scaled to unit length, so that a dot product
is a cosine.
"""

import zlib
from collections.abc import Sequence

import numpy as np

MODEL = "aios-hashing-ngrams"
DIMENSIONS = 256
NGRAMS = (3, 4, 5)


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Return one vector of DIMENSIONS components per text; a text without letters or digits gives zeros."""
    return [_embed_one(text) for text in texts]


def _embed_one(text: str) -> list[float]:
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for word in "".join(char if char.isalnum() else " " for char in text.lower()).split():
        padded = f"<{word}>"
        for size in NGRAMS:
            for start in range(max(1, len(padded) - size + 1)):
                digest = zlib.crc32(padded[start : start + size].encode())
                vector[(digest >> 1) % DIMENSIONS] += 1.0 if digest & 1 else -1.0
    length = float(np.linalg.norm(vector))
    return (vector / length if length else vector).tolist()
