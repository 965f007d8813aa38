"""The kernel's own embedding: hashed words and character n-grams, and exact cosines.

Needs no model and no download; finds texts that share words or parts of words. Feature hashing with signed
buckets after Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009; subword
n-grams after Bojanowski et al., "Enriching Word Vectors with Subword Information", TACL 2017.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

DIMENSIONS: Final = 256
SIZE: Final = 4 * DIMENSIONS
"""Bytes of one vector."""
_SIZES: Final = (3, 4)
_WORD_WEIGHT: Final = 2.0
_MOST_WORDS: Final = 2_048
_SIGN: Final = 0x80000000


def embed(words: Sequence[str]) -> bytes:
    """Embed a text given as its words: DIMENSIONS float32 of length 1, little endian; zeros without words.

    Frequent words count by the square root of their number. The commonest 2048 distinct words are used.
    """
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for word, count in Counter(words).most_common(_MOST_WORDS):
        padded = f"^{word}$"
        weight = count**0.5
        _add(vector, padded, _WORD_WEIGHT * weight)
        for size in _SIZES:
            for start in range(len(padded) - size + 1):
                _add(vector, padded[start : start + size], weight)
    length = float(np.linalg.norm(vector))
    return (vector / length if length else vector).astype("<f4").tobytes()


def cosines(query: bytes, candidates: Sequence[bytes]) -> list[float]:
    """Return the cosine of each candidate with the query; 0 where the lengths differ or a vector is zero.

    Vectors are float32, little endian, of any length and not necessarily scaled.
    """
    scores = [0.0] * len(candidates)
    same = [index for index, candidate in enumerate(candidates) if len(candidate) == len(query)]
    if same and query:
        target = np.frombuffer(query, dtype="<f4")
        matrix = np.frombuffer(b"".join(candidates[index] for index in same), dtype="<f4").reshape(
            len(same), -1
        )
        lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(target)
        cosines = matrix @ target / np.where(lengths == 0.0, 1.0, lengths)
        for index, cosine in zip(same, cosines.tolist(), strict=True):
            scores[index] = cosine
    return scores


def _add(vector: npt.NDArray[np.float32], gram: str, weight: float) -> None:
    bits = zlib.crc32(gram.encode())
    vector[bits % DIMENSIONS] += weight if bits & _SIGN else -weight
