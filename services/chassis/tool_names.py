"""What a model calls the tools it is shown: names that model APIs take, and the way back. Pure.

The kernel's names have up to 128 characters, dots among them; many APIs take 64 of `[A-Za-z0-9_-]`. A table
is made for one request, of all names in it. A name that such an API takes is left as it is; another one gets
the characters that can stay and a digest of itself: no two names meet, and each is the same in every request.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import partial
from itertools import count
from typing import Final

LONGEST: Final = 64
_TAKEN_AS_IS: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OTHERS: Final = re.compile(r"[^A-Za-z0-9_-]")
_DIGEST: Final = 10


class ModelNames:
    """The names of one request, both ways."""

    def __init__(self, names: Iterable[str]) -> None:
        self._shown: dict[str, str] = {}
        self._real: dict[str, str] = {}
        # In an order of their own, so that the table depends on the names alone; those that stay come first.
        for name in sorted(set(names), key=lambda name: (not fits(name), name)):
            shown = name if fits(name) else self._free(name)
            self._shown[name], self._real[shown] = shown, name

    def shown(self, name: str) -> str:
        """Return what the model calls a tool."""
        return self._shown.get(name) or (name if fits(name) else _alias(name, 0))

    def real(self, shown: str) -> str:
        """Return which tool a model means; a name that it made up stays what it is."""
        return self._real.get(shown, shown)

    def _free(self, name: str) -> str:
        return next(shown for shown in map(partial(_alias, name), count()) if shown not in self._real)


def fits(name: str) -> bool:
    """Tell whether every model API takes a name as it is."""
    return _TAKEN_AS_IS.fullmatch(name) is not None


def _alias(name: str, attempt: int) -> str:
    told = f"{attempt}\0{name}" if attempt else name
    digest = hashlib.sha256(told.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{_OTHERS.sub('_', name)[: LONGEST - _DIGEST - 1]}_{digest}"
