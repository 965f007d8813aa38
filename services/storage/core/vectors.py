"""Built-in embedding by hashed character n-grams, and exact nearest neighbours.

It needs no model and no download; it finds texts that share words and word parts. Feature hashing after
Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009 (signed buckets).
"""

import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.storage.core.words import words

DIMENSIONS = 256
_GRAM = 3
_WORDS = 4096
Vector = npt.NDArray[np.float32]


def embed(text: str) -> bytes:
    """Embed a text: DIMENSIONS float32 of length 1, little endian; all zero when there is no word in it."""
    grams: Counter[str] = Counter()
    for word in words(text)[:_WORDS]:
        padded = f"^{word}$"
        grams[padded] += 2  # a shared whole word counts more than shared parts
        for at in range(len(padded) - _GRAM + 1):
            grams[padded[at : at + _GRAM]] += 1
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for gram, count in grams.items():
        bits = zlib.crc32(gram.encode())
        vector[bits % DIMENSIONS] += (1.0 if bits & 0x80000000 else -1.0) * np.sqrt(count)
    return pack(unit(vector))


def unit(vector: Vector) -> Vector:
    """Scale to length 1; a zero vector stays zero."""
    length = float(np.linalg.norm(vector))
    return vector if length == 0.0 else (vector / length).astype(np.float32)


def pack(vector: Vector) -> bytes:
    """Write a vector as little-endian float32."""
    return vector.astype("<f4").tobytes()


def unpack(data: bytes) -> Vector:
    """Read what `pack` wrote."""
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)


def cosine(query: bytes, candidates: Sequence[bytes]) -> list[float]:
    """Return the cosine of each candidate with the query; 0 where the lengths differ or a vector is zero."""
    target = unit(unpack(query))
    same = [i for i, data in enumerate(candidates) if len(data) == len(query)]
    scores = [0.0] * len(candidates)
    if same:
        matrix = np.stack([unpack(candidates[i]) for i in same])
        lengths = np.linalg.norm(matrix, axis=1)
        cosines = matrix @ target / np.where(lengths == 0.0, 1.0, lengths)
        for i, value in zip(same, cosines, strict=True):
            scores[i] = float(value)
    return scores
