"""Keys of agents, kept in the kernel's data directory for its user alone, so that they are shown again."""

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

try:
    import fcntl
except ImportError:  # no such locks on Windows: two runs at once may there show a key that has ended
    fcntl = None  # type: ignore[assignment]

LOCK_SECONDS: Final = 10.0
_LOCK_INTERVAL: Final = 0.05
MOST_KEYS: Final = 4
"""Keys kept for one agent: of other kernels that were reached at the same address."""


class KeysUnusable(Exception):
    """The keys cannot be read or kept; the message says why and holds none."""


@dataclass(frozen=True, slots=True)
class AgentKeys:
    """What is kept for one agent."""

    request_id: str
    """The registration, by the id that makes a repetition show a new key instead of failing."""

    keys: tuple[str, ...] = ()
    """The newest first."""

    def with_key(self, key: str) -> Self:
        """Return it with another newest key."""
        others = tuple(each for each in self.keys if each != key)
        return replace(self, keys=(key, *others)[:MOST_KEYS])


class KeyFiles:
    """One file an agent, mode 0600 in directories of mode 0700."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one run of the program at a time register agents. Raises KeysUnusable."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise KeysUnusable(f"cannot keep keys in {self._directory}: {error.strerror}") from error
        try:
            _lock(descriptor, self._directory)
            yield
        finally:
            os.close(descriptor)  # frees the lock

    def read(self, agent: str) -> AgentKeys:
        """Return what is kept; new and kept at once where nothing was. Raises KeysUnusable."""
        path = self._directory / f"{agent}.json"
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            made = AgentKeys(secrets.token_hex(16))
            self.write(agent, made)
            return made
        except OSError as error:
            raise KeysUnusable(f"cannot read {path}: {error.strerror}") from error
        return _parsed(text, path)

    def write(self, agent: str, kept: AgentKeys) -> None:
        """Replace what is kept, whole or not at all. Raises KeysUnusable."""
        path = self._directory / f"{agent}.json"
        scratch = self._directory / f".{agent}.{os.getpid()}"
        try:
            scratch.unlink(missing_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"request_id": kept.request_id, "keys": kept.keys}, file)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
        except OSError as error:
            raise KeysUnusable(f"cannot write {path}: {error.strerror}") from error


def _lock(descriptor: int, directory: Path) -> None:
    if fcntl is None:
        return
    give_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise KeysUnusable(
                    f"another run of aios has held {directory / 'lock'} for too long"
                ) from None
            time.sleep(_LOCK_INTERVAL)
        else:
            return


def _parsed(text: str, path: Path) -> AgentKeys:
    try:
        raw: Any = json.loads(text)
        kept = AgentKeys(str(raw["request_id"]), tuple(map(str, raw["keys"]))[:MOST_KEYS])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise KeysUnusable(f"{path} is damaged: remove it") from error
    return kept
