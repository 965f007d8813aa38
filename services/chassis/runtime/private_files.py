"""Files and directories that are this user's alone: made so, and made so again where they were left open.

The kernel's data directory holds keys, tokens and everything agents wrote. Whoever may write in it could put
a database of theirs in place of one of ours, so it must be a directory of this user's that nobody else may
enter. One exception: a volume mounted for a group (Kubernetes' fsGroup) belongs to root, and this process may
not change its mode; what lies in it is then closed file by file.
"""

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ROOT: Final = 0


class NotPrivate(Exception):
    """A directory that cannot be this user's alone. The message says in a line which one and why."""


def private_umask() -> None:
    """Let whatever this process and its children make be its user's alone."""
    os.umask(_OTHERS)


def own_directory(path: Path, *, create: bool = False) -> list[Path]:
    """Close a directory and what lies in it to other users. Returns what was open to them.

    A directory inside it that is closed already is not searched. A missing one is made where `create` says
    so. Blocks: run it in a thread. Raises NotPrivate: it is a link, another user's, shared by all, or holds
    what another user put there.
    """
    if create:
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NotPrivate(f"{path}: {str(error.strerror).lower()}") from None
    done: list[Path] = []
    try:
        descriptor = os.open(path, _OPEN | os.O_DIRECTORY)
    except FileNotFoundError:
        return done
    except OSError as error:
        if path.is_symlink():
            raise NotPrivate(f"{path} is a link: name the directory itself") from None
        raise NotPrivate(f"{path}: {str(error.strerror).lower()}") from None
    try:
        _close_root(descriptor, path, done)
        _close_entries(descriptor, path, done)
    finally:
        os.close(descriptor)
    return done


def own_file(path: Path) -> bool:
    """Close a file of this user's to others; returns whether it was open. Another user's is left as it is."""
    try:
        mode = _open_mode(path.stat())
    except FileNotFoundError:
        return False
    if mode is not None:
        path.chmod(mode)
    return mode is not None


def make_file(path: Path) -> None:
    """Make an empty file that is this user's alone, where there is none; close the one that is there."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        own_file(path)


def write_new(path: Path, content: bytes) -> None:
    """Write a private file durably unless it exists; of several writers at once the first wins."""
    temporary = _temporary(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
        _sync_folder(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Write a private file durably in the place of what is there."""
    _temporary(path, content).replace(path)
    _sync_folder(path.parent)


def _close_root(descriptor: int, path: Path, done: list[Path]) -> None:
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        if not _is_mounted_for_us(status):
            raise NotPrivate(f"{path} belongs to another user (uid {status.st_uid})")
        if status.st_mode & stat.S_IWOTH:
            raise NotPrivate(f"{path} is a volume that everybody may write to: name a directory inside it")
        return
    if status.st_mode & stat.S_ISVTX or path == Path(path.anchor):
        raise NotPrivate(f"{path} is shared by all users: name a directory inside it")
    mode = _open_mode(status)
    if mode is not None:
        os.fchmod(descriptor, mode)
        done.append(path)


def _is_mounted_for_us(status: os.stat_result) -> bool:
    """Whether it is what Kubernetes makes of a volume for a group: root's, setgid, the group's to write."""
    groups = {os.getegid(), *os.getgroups()} - {_ROOT}
    wanted = stat.S_ISGID | stat.S_IRWXG
    return status.st_uid == _ROOT and status.st_gid in groups and status.st_mode & wanted == wanted


def _close_entries(directory: int, path: Path, done: list[Path]) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                _close_entry(directory, entry, path / entry.name, done)
            except FileNotFoundError:
                continue  # a log or a temporary file of a process that runs


def _close_entry(directory: int, entry: os.DirEntry[str], path: Path, done: list[Path]) -> None:
    status = entry.stat(follow_symlinks=False)
    if status.st_uid != os.geteuid():
        if status.st_uid == _ROOT:
            return  # lost+found, or what root mounted here
        raise NotPrivate(f"{path} belongs to another user (uid {status.st_uid})")
    mode = _open_mode(status)
    if mode is None or not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return
    # By its name, not opened: closing a second descriptor of a database would drop the locks of the first.
    os.chmod(entry.name, mode, dir_fd=directory)
    done.append(path)
    if stat.S_ISDIR(status.st_mode):
        descriptor = os.open(entry.name, _OPEN, dir_fd=directory)
        try:
            _close_entries(descriptor, path, done)
        finally:
            os.close(descriptor)


def _open_mode(status: os.stat_result) -> int | None:
    """Return the mode that takes every right of others from what is ours; None: they have none."""
    if status.st_uid != os.geteuid() or not status.st_mode & _OTHERS:
        return None
    return stat.S_IMODE(status.st_mode) & 0o700


def _temporary(path: Path, content: bytes) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
