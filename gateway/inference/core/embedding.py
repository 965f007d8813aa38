"""The built-in embedding model: the kernel's own hashing of words and character n-grams. Pure."""

from collections.abc import Sequence

MODEL = "aios-hashing-ngrams"


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Return one vector of unit length per text; a text without letters or digits gives zeros.

    Takes a while on its first call, and milliseconds per page after that: run it in a thread.
    """
    # A gateway that is never asked for embeddings starts without numpy.
    import numpy as np  # noqa: PLC0415 - see above

    from services.chassis import embedding  # noqa: PLC0415 - see above

    return [np.frombuffer(embedding.embed(_words(text)), dtype="<f4").tolist() for text in texts]


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()
