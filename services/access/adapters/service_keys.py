"""The keys that the kernel's other processes authenticate with: one file each, in one directory."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.chassis.auth.processes import KEYED
from services.chassis.runtime.private_files import write_new

_LEAST_CHARACTERS: Final = 32


class ServiceKeysBroken(Exception):
    """The processes of the kernel cannot be told apart by their keys."""


def service_keys(folder: Path) -> Mapping[str, str]:
    """Read the key of every process; make those that are missing, readable by their owner alone.

    Raises ServiceKeysBroken when one can neither be read nor made, is too short to be a secret, or is another
    process's key too: who holds that could call as either.
    """
    keys: dict[str, str] = {}
    for name in sorted(KEYED):
        path = folder / f"{name}.key"
        try:
            if not path.exists():
                write_new(path, secrets.token_urlsafe(32).encode() + b"\n")
            key = path.read_text().strip()
        except (OSError, UnicodeError) as error:
            raise ServiceKeysBroken(f"no key of the process {name} at {path}: {error}") from error
        if len(key) < _LEAST_CHARACTERS:
            raise ServiceKeysBroken(f"the key at {path} has fewer than {_LEAST_CHARACTERS} characters")
        other = next((known for known, taken in keys.items() if taken == key), None)
        if other is not None:
            raise ServiceKeysBroken(f"{name} and {other} have the same key: each needs one of its own")
        keys[name] = key
    return keys
