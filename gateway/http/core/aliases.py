"""Which of the kernel's models a client's name stands for. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

ANY = "*"


@dataclass(frozen=True, slots=True)
class Served:
    """The models that backends serve, or served when they were last there.

    While a model's backends are away, its name must not come to mean another model.
    """

    names: frozenset[str] = frozenset()
    default: str = ""
    """The one that an empty name stands for; empty while none is known."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """The configured names, read from `theirs=ours` texts."""

    served: Callable[[], Served]
    names: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, asked: str) -> str:
        """Return the model to ask the kernel for; empty is its default.

        A served name stands for itself, before any alias. A name that nothing is known of is returned as it
        is, so that the kernel refuses it.
        """
        if not asked or asked in self.served().names:
            return asked
        if asked in self.names:
            return self.names[asked]
        return self.names.get(ANY, asked)

    def shown(self, asked: str) -> str:
        """Return the name under which an answer is told before it is known what answered."""
        return self.resolve(asked) or self.served().default or asked


def parse(texts: Iterable[str]) -> dict[str, str]:
    """Read `theirs=ours` texts. Raises ValueError for one without `=` or without a left side."""
    names: dict[str, str] = {}
    for text in texts:
        theirs, equals, ours = text.partition("=")
        if not equals or not theirs.strip():
            raise ValueError(f"{text!r} is not of the form theirs=ours")
        names[theirs.strip()] = ours.strip()
    return names
