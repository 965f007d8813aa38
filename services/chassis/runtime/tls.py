"""Mutual TLS between the kernel's processes: who this one is, whom it believes, new certificates as it runs.

Certificates live for hours and are written anew beside the process (by `aios up`, or by whoever mounts the
Secret). Servers show a new one from the next handshake on; channels are opened anew, and calls under way end
on the old ones.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from services.chassis.runtime.logs import logger
from services.chassis.runtime.ports import DEFAULT_PORTS

T = TypeVar("T")

_log = logger(__name__)

PROCESSES: Final = frozenset(DEFAULT_PORTS)
"""Names by which the certificates of the kernel's processes are known."""


class TlsUnusable(Exception):
    """Certificate, key and authorities cannot be used together. The message says which file and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. `certificate` may hold a chain, `authorities` several authorities."""

    certificate: Path
    key: Path
    authorities: Path


@dataclass(frozen=True, slots=True)
class _Material:
    certificate: bytes
    key: bytes
    authorities: bytes


class TlsIdentity:
    """What one process shows and believes. Raises TlsUnusable when the files cannot be used at the start."""

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._material = _read(files)
        self._changed: list[Callable[[], None]] = []

    def on_change(self, tell: Callable[[], None]) -> None:
        """Have `tell` called on the event loop when there is a new certificate."""
        self._changed.append(tell)

    async def refresh(self) -> None:
        """Look whether the files have changed. What cannot be used is logged, and the old goes on."""
        try:
            found = await asyncio.to_thread(_read, self.files)
        except TlsUnusable as problem:  # half written, perhaps: looked at again soon
            _log.warning("the new certificate cannot be used", problem=str(problem))
            return
        if found != self._material:
            self._material = found
            _log.info("took up a new certificate", file=str(self.files.certificate))
            for tell in self._changed:
                tell()

    def server_credentials(self, *, of_processes: bool) -> grpc.ServerCredentials:
        """Return what a server shows; `of_processes`: it speaks to those with a certificate of their own."""
        shown = self._material

        def configuration(material: _Material) -> grpc.ServerCertificateConfiguration:
            believed = material.authorities if of_processes else None
            return grpc.ssl_server_certificate_configuration(
                [(material.key, material.certificate)], root_certificates=believed
            )

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            """Tell what is new, or None; called on a thread of gRPC's at every handshake."""
            nonlocal shown
            material = self._material
            if material is shown:
                return None
            shown = material
            return configuration(material)

        return grpc.dynamic_ssl_server_credentials(
            configuration(shown),
            fetch,  # type: ignore[arg-type]  # None is how "unchanged" is said; the stubs leave it out
            require_client_authentication=of_processes,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return what a channel opened now shows and believes."""
        material = self._material
        return grpc.ssl_channel_credentials(material.authorities, material.key, material.certificate)


def _read(files: TlsFiles) -> _Material:
    material = _Material(*(_bytes(path) for path in (files.certificate, files.key, files.authorities)))
    certificate = _parsed(files.certificate, x509.load_pem_x509_certificates, material.certificate)[0]
    _parsed(files.authorities, x509.load_pem_x509_certificates, material.authorities)
    key = _parsed(files.key, lambda data: serialization.load_pem_private_key(data, None), material.key)
    if _public(key.public_key()) != _public(certificate.public_key()):
        raise TlsUnusable(f"{files.key} is not the key of {files.certificate}")
    return material


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsUnusable(f"{path}: {str(error.strerror).lower()}") from error


def _parsed(path: Path, parse: Callable[[bytes], T], data: bytes) -> T:
    try:
        return parse(data)
    except (ValueError, TypeError) as error:  # TypeError: a key with a password
        raise TlsUnusable(f"{path}: not PEM that can be used") from error


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every kind of public key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
