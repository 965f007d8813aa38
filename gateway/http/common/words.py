"""Tells the kernel's errors about fields by the names that the client used. Pure."""

import copy
import re
from dataclasses import dataclass, field
from typing import Final

from services.chassis.rpc.errors import FieldViolation, KernelError

_WRAPPER: Final = "generation."
_END: Final = re.compile(r"[.\[]|$")


@dataclass(slots=True)
class Words:
    """Which field of the client each field of the kernel's request came from.

    The longest known beginning of a path is replaced; what follows it stays.
    """

    paths: dict[str, str] = field(default_factory=dict)

    def say(self, ours: str, theirs: str) -> None:
        """Note where a field came from, such as `messages[0]` from `input[2]`."""
        self.paths[ours] = theirs

    def translate(self, path: str) -> str:
        """Return the client's name of a field."""
        path = path.removeprefix(_WRAPPER)
        ends = [found.start() for found in _END.finditer(path)]
        for end in reversed(ends):
            theirs = self.paths.get(path[:end])
            if theirs is not None:
                return (theirs + path[end:]).lstrip(".")
        return path

    def reword(self, error: KernelError) -> KernelError:
        """Return the error with the client's names in place of the kernel's."""
        if not error.violations:
            return error
        told = copy.copy(error)
        told.violations = [
            FieldViolation(self.translate(each.field), each.description) for each in error.violations
        ]
        before = [f"{each.field}: {each.description}" for each in error.violations]
        if error.message == "; ".join(before[:3]):
            told.message = "; ".join(f"{each.field}: {each.description}" for each in told.violations[:3])
        return told
