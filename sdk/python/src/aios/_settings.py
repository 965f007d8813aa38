"""Where the kernel is and who is calling, from arguments, the environment and the data directory."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

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

    @property
    def url(self) -> str:
        """The address as `aios.connect` takes it."""
        return f"https://{self.address}" if self.tls else self.address


def target(endpoint: str | None, environ: Mapping[str, str] | None = None) -> Target:
    """Return the target of `endpoint`, else of AIOS_ENDPOINT, else of a local kernel at AIOS_PORT or 7070.

    `https://host:port` turns TLS on; AIOS_CA_FILE does too and names the authorities to trust.
    AIOS_CERTIFICATE_FILE and AIOS_KEY_FILE add a client certificate.
    """
    env = os.environ if environ is None else environ
    port = env.get("AIOS_PORT", "")  # Kubernetes puts an address there, for a service called aios
    local = f"127.0.0.1:{port}" if port.isdecimal() else DEFAULT_ENDPOINT
    address = endpoint or env.get("AIOS_ENDPOINT") or local
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


def person_key(environ: Mapping[str, str] | None = None) -> str:
    """Return AIOS_PERSON_KEY, else what the file that AIOS_PERSON_KEY_FILE names holds, else an empty text.

    Raises OSError when the file cannot be read.
    """
    env = os.environ if environ is None else environ
    if env.get("AIOS_PERSON_KEY"):
        return env["AIOS_PERSON_KEY"]
    path = env.get("AIOS_PERSON_KEY_FILE")
    return Path(path).read_text(encoding="utf-8").strip() if path else ""


def admin_token_file(environ: Mapping[str, str] | None = None) -> Path:
    """Return the file in which a local kernel leaves its administrator's token."""
    return data_dir(environ) / "admin.token"


DOOR_OFFSET: Final = 20
"""How far above the gateway's port its HTTP door is: 7090 above 7070."""


def door_url(kernel: Target) -> str:
    """Return the base URL for OpenAI, Anthropic and MCP clients of a kernel.

    Raises ValueError for an address that has no host and port, such as a socket of the file system.
    """
    host, port = _host_and_port(kernel)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if kernel.tls else 'http'}://{shown}:{port + DOOR_OFFSET}"


def keys_dir(kernel: Target, environ: Mapping[str, str] | None = None) -> Path:
    """Return where the keys of a kernel's agents are kept.

    A kernel on this machine owns the data directory, whatever its port is; others get a directory each, so
    that no key is ever shown to another kernel than its own.
    """
    try:
        host, port = _host_and_port(kernel)
    except ValueError:
        host, port = kernel.address, 0
    home = "local" if host in _LOOPBACK else re.sub(r"[^A-Za-z0-9.-]+", "_", f"{host}_{port}")
    return data_dir(environ) / "keys" / home


_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def _host_and_port(kernel: Target) -> tuple[str, int]:
    address = kernel.address.removeprefix("dns:").lstrip("/")
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None or port + DOOR_OFFSET > _LAST_PORT:
        raise ValueError(f"{kernel.address!r} has no host and port to find the door by: give it with --door")
    return host, port


_LAST_PORT: Final = 65_535
