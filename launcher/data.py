"""The kernel's data directory and the secrets in it."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from launcher.backends import Backends, WrongBackends
from launcher.plan import KernelPlan
from services.chassis.auth.processes import KEYED
from services.chassis.runtime.config import read_secret
from services.chassis.runtime.private_files import own_directory

KEY_BYTES = 32


def prepare(plan: KernelPlan) -> list[Path]:
    """Make the directory (0700), the keys (0600) and certificates where they are missing.

    A directory that was open to other users is closed; returns what was. Raises NotPrivate.
    """
    opened = own_directory(plan.data_dir, create=True)
    plan.service_keys_dir.mkdir(mode=0o700, exist_ok=True)
    for name in sorted(KEYED):
        make_key(plan.service_keys_dir / f"{name}.key")
    make_key(plan.engine_key_file)
    if plan.tls:
        plan.authority.renew(plan.certified)
    return opened


def served(plan: KernelPlan) -> Backends:
    """Return the servers behind the gateway, with the key that the embedded engine wants to see."""
    if plan.backends.attached:
        return plan.backends
    return replace(plan.served_by, tgi_key=plan.engine_key_file.read_text().strip())


def with_keys(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with the keys of inference servers in place of the files that hold them.

    Raises WrongBackends.
    """
    found = dict(environ)
    for name in ("AIOS_TGI_API_KEY", "AIOS_OPENAI_API_KEY"):
        file = environ.get(f"{name}_FILE", "")
        if not file:
            continue
        if environ.get(name):
            raise WrongBackends(f"{name} and {name}_FILE are both set")
        try:
            found[name] = read_secret(Path(file).expanduser())
        except (OSError, ValueError) as error:
            raise WrongBackends(f"{name}_FILE: {error}") from error
    return found


def make_key(path: Path) -> None:
    """Make a file with a random key (0600) where it is missing."""
    if path.exists():
        return
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(KEY_BYTES))
    try:
        os.link(scratch, path)  # never over a key that another start has made meanwhile
    except FileExistsError:
        pass
    finally:
        scratch.unlink()
