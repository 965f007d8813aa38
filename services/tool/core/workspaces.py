"""An agent's files in the hands of a program: what it was given, and what has become of them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.tool.core.files import MAX_EDITS, FileEdit, check_own

MAX_FILES: Final = MAX_EDITS
MAX_BYTES: Final = 16 * 1024 * 1024
"""Most bytes that are checked out at once."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Files that were checked out, by path, and what each was read at."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    etags: Mapping[str, str] = field(default_factory=dict)
    untrusted: bool = False
    """Whether nobody vouches for one of them."""

    def changes(self, after: Mapping[str, bytes], removed: Iterable[str] = ()) -> list[FileEdit]:
        """Return what a program changed, as edits of the agent's files, by path.

        `after`: files that it left, changed or not; `removed`: files that are gone. Both are what the
        program says: only what was checked out can be removed, and names are those of the agent's own files.
        Raises BadPath for any other.
        """
        made = {check_own(path): data for path, data in after.items()}
        edits = [
            FileEdit(path, self.etags.get(path, ""), data)
            for path, data in made.items()
            if self.files.get(path) != data
        ]
        gone = {path for path in removed if path in self.files and path not in made}
        edits += [FileEdit(path, self.etags[path], None) for path in gone]
        return sorted(edits, key=lambda edit: edit.path)
