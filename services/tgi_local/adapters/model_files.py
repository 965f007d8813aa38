"""Where the model file comes from: a path, or the Hugging Face hub. Its SHA-256 is remembered."""

import hashlib
import re
from pathlib import Path
from typing import Any

import orjson

_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>.+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelError(Exception):
    """The model cannot be had; the message says why and what was asked for."""


def locate(model: str) -> Path:
    """Return the file of a model, fetching it first if need be: blocks, shows progress. Raises ModelError."""
    if model.startswith("hf:"):
        return _fetched(model)
    path = Path(model).expanduser()
    if not path.is_file():
        raise ModelError(f"AIOS_MODEL: there is no file {path}")
    return path


def _fetched(model: str) -> Path:
    # Imported here: it takes a third of a second, only this branch needs it, and it is optional.
    try:
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - see above
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415 - see above
    except ImportError:
        raise ModelError(
            f"AIOS_MODEL={model}: fetching models needs huggingface-hub; "
            "install aios-kernel[hub], or name a file"
        ) from None

    match = _HUB.fullmatch(model)
    if match is None:
        raise ModelError(f"AIOS_MODEL={model}: expected hf:<owner>/<repository>/<file>")
    try:
        path = Path(hf_hub_download(match["repo"], match["file"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(f"AIOS_MODEL={model}: {error}") from error
    expected = path.resolve().name  # the cache names big files by the SHA-256 the hub states
    if _SHA256.fullmatch(expected) and _digest(path) != expected:
        raise ModelError(f"AIOS_MODEL={model}: {path} is damaged; delete it to fetch it again")
    return path


def fingerprint(path: Path, memory: Path) -> str:
    """Return a model file's SHA-256, remembered in the file `memory` while size and time stay the same."""
    real = path.resolve()
    stat = real.stat()
    key = f"{real}:{stat.st_size}:{stat.st_mtime_ns}"
    known = _read(memory)
    if key not in known:
        known[key] = _digest(real)
        memory.write_bytes(orjson.dumps(known))
    return str(known[key])


def _read(memory: Path) -> dict[str, Any]:
    try:
        known = orjson.loads(memory.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return known if isinstance(known, dict) else {}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
