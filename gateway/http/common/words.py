"""Tells the kernel's errors about fields by the names that the client used. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.http.errors import anew
from services.chassis.rpc.errors import FieldViolation, KernelError

_WRAPPER: Final = "generation."
_ABOUT: Final[Mapping[str, tuple[str, ...]]] = {
    "CONSTRAINT_INVALID": ("constraint.json_schema", "tools"),
    "PROMPT_TOO_LONG": ("messages", "prompt"),
    "MODEL_NOT_FOUND": ("model",),
}
"""The fields that a reason is about; the first that the client sent."""
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
        """Return the client's name of a field; a name that nothing is known of stays."""
        return self._find(path.removeprefix(_WRAPPER)) or path.removeprefix(_WRAPPER)

    def reword(self, error: KernelError) -> KernelError:
        """Return the error with the client's names in place of the kernel's.

        An error that names no field, but is about one by its nature, gets that one.
        """
        told = anew(error)
        told.violations = [
            FieldViolation(self.translate(each.field), each.description) for each in error.violations
        ]
        if not told.violations:
            about = self._about(error)
            told.violations = [FieldViolation(about, error.message)] if about else []
            return told
        before = [f"{each.field}: {each.description}" for each in error.violations]
        if error.message == "; ".join(before[:3]):
            told.message = "; ".join(f"{each.field}: {each.description}" for each in told.violations[:3])
        return told

    def _about(self, error: KernelError) -> str:
        capability = error.metadata.get("capability", "")
        fields = _ABOUT.get(error.reason, ())
        if capability.startswith("constraint"):
            fields = ("constraint",)
        elif capability.endswith("_penalty"):
            fields = (f"sampling.{capability}",)
        return next((found for each in fields if (found := self._find(each))), "")

    def _find(self, path: str) -> str:
        ends = [found.start() for found in _END.finditer(path)]
        for end in reversed(ends):
            theirs = self.paths.get(path[:end])
            if theirs is not None:
                return (theirs + path[end:]).lstrip(".")
        return ""
