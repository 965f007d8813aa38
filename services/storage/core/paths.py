"""Paths of files: relative, slash-separated, one spelling each; keys of a database, not of a file system.

A path that is not in its one spelling is refused, not repaired: access decided on the name as it was sent.
"""

import unicodedata

from services.storage.errors import PathInvalid
from services.storage.model import ROOT

MAX_PATH_BYTES = 1024
MAX_NAME_BYTES = 255
MAX_DEPTH = 64
_UNSAFE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, line and paragraph separators
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def check(path: str) -> str:
    """Return the path if it is allowed; "" is the root.

    Raises PathInvalid for an absolute path, an empty, `.` or `..` part, a backslash, a control character, a
    character that reorders text on a screen, a spelling that is not in Unicode form C, and a path that is too
    long or too deep.
    """
    if path == ROOT:
        return path
    parts = path.split("/")
    problem = _bad_character(path)
    if problem:
        raise _invalid(path, problem)
    if any(part in ("", ".", "..") for part in parts):
        raise _invalid(path, "a path is relative and has no empty, '.' or '..' part")
    if unicodedata.normalize("NFC", path) != path:
        raise _invalid(path, "a path is spelt in Unicode normalization form C")
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        raise _invalid(path, f"a name has at most {MAX_NAME_BYTES} bytes")
    if len(path.encode()) > MAX_PATH_BYTES or len(parts) > MAX_DEPTH:
        raise _invalid(path, f"a path has at most {MAX_PATH_BYTES} bytes and {MAX_DEPTH} parts")
    return path


def check_entry(path: str) -> str:
    """Return the path if it is allowed and not the root.

    Raises PathInvalid.
    """
    if path == ROOT:
        raise _invalid(path, "the root directory cannot be used here")
    return check(path)


def parent(path: str) -> str:
    """Return the path of the directory that holds `path`; the root is its own parent."""
    return path.rpartition("/")[0]


def ancestors(path: str) -> list[str]:
    """List the directories above `path`, outermost first, without the root."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def contains(directory: str, path: str) -> bool:
    """Tell whether `path` lies below `directory`. Nothing lies below itself."""
    return path != directory and (directory == ROOT or path.startswith(directory + "/"))


def covers(directory: str, path: str) -> bool:
    """Tell whether `path` is `directory` or lies below it."""
    return path == directory or contains(directory, path)


def join(directory: str, relative: str) -> str:
    """Return the path of what lies at a relative path below a directory; not checked."""
    return f"{directory}/{relative}" if directory else relative


def rebase(path: str, old: str, new: str) -> str:
    """Replace the beginning `old` of a path by `new`; checks the result.

    Raises PathInvalid when the new path is too long or too deep.
    """
    return check_entry(new + path[len(old) :])


def relative(path: str, directory: str) -> str:
    """Return the part of `path` below `directory`."""
    return path[len(directory) + 1 :] if directory else path


def below(directory: str) -> tuple[str, str]:
    """Return the bounds (inclusive, exclusive) of the keys of everything below `directory`, in byte order.

    `0` is the character after `/`. For the root the upper bound is above every path.
    """
    return (directory + "/", directory + "0") if directory else ("", "\U0010ffff")


def _bad_character(path: str) -> str:
    for character in path:
        if unicodedata.category(character) in _UNSAFE:
            return "a path has no control characters"
        if character == "\\":
            return "the separator is a slash, not a backslash"
        if character in _BIDI:
            return "a path has no characters that reorder text"
    return ""


def _invalid(path: str, why: str) -> PathInvalid:
    shown = path[:200].encode("unicode_escape").decode()
    return PathInvalid(f"path {shown!r}: {why}", metadata={"path": shown, "rule": why})
