"""The kernel's data directory and the secrets in it."""

import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def prepare(data_dir: Path, service_key_file: Path) -> None:
    """Make the directory (0700) and the service key (0600) where they are missing."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if service_key_file.exists():
        return
    scratch = service_key_file.with_name(f"{service_key_file.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(KEY_BYTES))
    try:
        os.link(scratch, service_key_file)  # never over a key that another start has made meanwhile
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
