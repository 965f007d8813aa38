"""How often a schema comes back to itself for one part of its value. Pure.

A schema that refers to what contains it is followed as deep as the value goes. Where it comes back once for
each part of the value, as a tree does, checking stays in proportion to the value; where it comes back twice,
each level of the value doubles the work. So what matters is how many references back lie along one way down
the value, and ways part where values do: between the names of an object, and between elements and members.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Returns:
    """The references back of one schema, by the part of the value that they are about."""

    here: int = 0
    """About the value itself."""
    elements: int = 0
    """About any one element of an array."""
    named: Mapping[str, int] = field(default_factory=dict)
    """About members of an object with these names."""
    others: int = 0
    """About any one other member."""

    @property
    def most(self) -> int:
        """Along any one way down the value."""
        return self.here + max(self.elements, self.others, *self.named.values(), 0)

    def beside(self, other: "Returns") -> "Returns":
        """Return those of two schemas that speak of the same value."""
        if not other.most:
            return self
        if not self.most:
            return other
        names = self.named.keys() | other.named.keys()
        return Returns(
            self.here + other.here,
            self.elements + other.elements,
            {name: self.named.get(name, self.others) + other.named.get(name, other.others) for name in names},
            self.others + other.others,
        )


NO_RETURNS: Final = Returns()
ONE_RETURN: Final = Returns(here=1)


@dataclass(frozen=True, slots=True)
class Circle:
    """What is come back to, at its largest."""

    parts: int = 0
    returns: int = 0
    """Along any one way down the value."""

    def visits(self, returns: int, depth: int, limit: int) -> int:
        """Return how often what is come back to may look at one part of a value, as far as `limit`.

        `returns` lead there along a way of `depth` levels, and each time its own lead there again.
        """
        reached, ways = returns, 0
        for _ in range(depth):
            ways += reached
            reached *= self.returns
            if self.parts * ways > limit:
                break
        return self.parts * ways


NO_CIRCLE: Final = Circle()
