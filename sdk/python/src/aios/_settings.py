"""Where the kernel is and who is calling, from arguments, the environment and the data directory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEFAULT_ENDPOINT = "127.0.0.1:7070"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect to. Two equal targets share a channel."""

    address: str
    """gRPC target such as `127.0.0.1:7070` or `dns:///aios-gateway:7070`."""

    tls: bool = False
    """Whether the connection is encrypted."""

    ca_file: str = ""
    """PEM file of the authorities to trust; empty: the system's."""

    certificate_file: str = ""
    """PEM file of the client's own certificate, for mutual TLS; empty: none."""

    key_file: str = ""
    """PEM file of the client's private key; empty: none."""


def target(endpoint: str | None, environ: Mapping[str, str] | None = None) -> Target:
    """Return the target of `endpoint`, else of AIOS_ENDPOINT, else of the local kernel.

    `https://host:port` turns TLS on; AIOS_CA_FILE does too and names the authorities to trust.
    AIOS_CERTIFICATE_FILE and AIOS_KEY_FILE add a client certificate.
    """
    env = os.environ if environ is None else environ
    address = endpoint or env.get("AIOS_ENDPOINT") or DEFAULT_ENDPOINT
    ca_file = env.get("AIOS_CA_FILE", "")
    tls = address.startswith("https://") or bool(ca_file)
    address = address.removeprefix("https://").removeprefix("http://").rstrip("/")
    if not tls:
        return Target(address)
    return Target(address, True, ca_file, env.get("AIOS_CERTIFICATE_FILE", ""), env.get("AIOS_KEY_FILE", ""))  # noqa: FBT003  # field order of the record


def data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Return the kernel's data directory: AIOS_DATA_DIR, else `~/.aios`."""
    env = os.environ if environ is None else environ
    return Path(env["AIOS_DATA_DIR"]) if env.get("AIOS_DATA_DIR") else Path.home() / ".aios"


def admin_token_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return the file in which a local kernel leaves its administrator's token."""
    return data_dir(environ) / "admin.token"
