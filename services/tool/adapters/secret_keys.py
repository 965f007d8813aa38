"""The keys that seal secrets, in a file: one that is mounted, or one that is made beside the database."""

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.chassis.runtime.private_files import write_new
from services.tool.core.secrets import SecretKey, new_key, read_keys
from services.tool.errors import SecretsUnavailable

_MOST_BYTES: Final = 65_536
_STRANGERS: Final = stat.S_IWGRP | stat.S_IRWXO
"""Who may read a mounted file by its group is let in by whoever mounts it; others are not."""

_Stamp = tuple[int, int, int]


class SecretKeyFile:
    """Keys in a file, one `ID=BASE64` a line, the newest first. A changed file is read again."""

    def __init__(self, path: Path | None, *, may_make: bool) -> None:
        """`path`: None when there is nowhere to keep keys; `may_make`: a missing file may be made."""
        self._path = path
        self._may_make = may_make
        self._stamp: _Stamp | None = None
        self._keys: tuple[SecretKey, ...] = ()

    async def all(self) -> Sequence[SecretKey]:
        """Return the keys, first the one that seals; none: there are none yet. Raises SecretsUnavailable."""
        return await asyncio.to_thread(self._read)

    async def make(self) -> Sequence[SecretKey]:
        """Make the first key where there is none, and return the keys. Raises SecretsUnavailable."""
        return await asyncio.to_thread(self._made)

    def _read(self) -> Sequence[SecretKey]:
        if self._path is None:
            raise SecretsUnavailable("there is no key for secrets: set AIOS_TOOL_SECRET_KEYS_FILE")
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self._keys, self._stamp = (), None
            if self._may_make:
                return ()
            raise SecretsUnavailable("the file of keys for secrets is missing") from None
        except OSError as error:
            raise SecretsUnavailable(f"the file of keys for secrets: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_mode & _STRANGERS:
                raise SecretsUnavailable("the file of keys for secrets is open to others: chmod 0400")
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._keys, self._stamp = (), None
                self._keys = _parsed(file.read(_MOST_BYTES + 1))
                self._stamp = stamp
        return self._keys

    def _made(self) -> Sequence[SecretKey]:
        if self._path is not None and self._may_make:
            try:
                write_new(self._path, new_key().encode())
            except OSError as error:
                raise SecretsUnavailable(f"no key for secrets can be kept: {error.strerror}") from None
        return self._read()


def _parsed(content: bytes) -> tuple[SecretKey, ...]:
    problem = "it is empty"
    try:
        keys = read_keys(content.decode("ascii")) if len(content) <= _MOST_BYTES else ()
    except UnicodeDecodeError:
        keys, problem = (), "it is no text"
    except ValueError as error:
        keys, problem = (), str(error)
    if not keys:
        raise SecretsUnavailable(f"the file of keys for secrets cannot be used: {problem}")
    return keys
