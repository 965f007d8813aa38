"""The certificates of a kernel on one machine: an authority of its own, and short-lived ones by process."""

import os
import socket
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LEAF_LIFE: Final = timedelta(hours=24)
"""A stolen key is of no use to anybody after that."""
AUTHORITY_LIFE: Final = timedelta(days=5 * 365)
_RENEW_AT: Final = 0.5
"""Part of its life after which a certificate is replaced."""
_BEHIND: Final = timedelta(minutes=5)
"""How far the clock of another machine may be behind."""
_GATEWAY: Final = "gateway"
_LOOPBACK: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


class Authority:
    """Signs the processes' certificates. All files in `directory` are this user's alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def file(self) -> Path:
        """Certificate of the authority: what clients are told to trust."""
        return self._directory / "ca.pem"

    def certificate(self, name: str) -> Path:
        """File of a process's certificate."""
        return self._directory / f"{name}.pem"

    def key(self, name: str) -> Path:
        """File of a process's private key."""
        return self._directory / f"{name}.key"

    def renew(self, names: list[str], *, now: datetime | None = None, everything: bool = False) -> list[str]:
        """Make what is missing or has lived half its life, or all of it. Returns whose were made.

        Blocks: run it in a thread. Raises OSError.
        """
        now = now or datetime.now(UTC)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        signed_anew = self._ensure_authority(now)
        due = [
            name
            for name in names
            if everything
            or signed_anew
            or _is_due(self.certificate(name), now)
            or not self.key(name).exists()
        ]
        for name in due:
            self._issue(name, now)
        return due

    def _ensure_authority(self, now: datetime) -> bool:
        """Make the authority if there is none that outlives its certificates; tell whether it was made."""
        if not _is_due(self.file, now, spent=0.9) and self.key("ca").exists():
            return False
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name("AIOS kernel on this machine")
        made = (
            _builder(subject, subject, key, now, AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self.key("ca"), _key_pem(key))
        # The one before stays believed while certificates that it signed are about.
        _write(self.file, made.public_bytes(serialization.Encoding.PEM) + _known(self.file, now))
        return True

    def _issue(self, name: str, now: datetime) -> None:
        authority = x509.load_pem_x509_certificate(self.file.read_bytes())
        signer = serialization.load_pem_private_key(self.key("ca").read_bytes(), None)
        if not isinstance(signer, ec.EllipticCurvePrivateKey):
            raise OSError(f"{self.key('ca')} is no key of this kernel's authority")
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = (
            _builder(_name(name), authority.subject, key, now, LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(_names_of(name)), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .sign(signer, hashes.SHA256())
        )
        # Two files cannot change at once: who reads between finds that they do not fit, and reads again.
        _write(self.key(name), _key_pem(key))
        _write(self.certificate(name), made.public_bytes(serialization.Encoding.PEM))


def _names_of(process: str) -> list[x509.GeneralName]:
    """Name a process; the gateway is called by agents too, by the names of this machine."""
    if process != _GATEWAY:
        return [x509.DNSName(process)]
    host = socket.gethostname()
    names = dict.fromkeys([process, "localhost", *([host] if host.isascii() and host else [])])
    return [*map(x509.DNSName, names), *(x509.IPAddress(each) for each in _LOOPBACK)]


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEHIND)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _is_due(path: Path, now: datetime, spent: float = _RENEW_AT) -> bool:
    """Whether a certificate is missing, cannot be read, or has lived so much of its life."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return True
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return now >= found.not_valid_before_utc + life * spent


def _known(path: Path, now: datetime) -> bytes:
    """Return the newest authority in a file, if it counts still."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return b""
    return found.public_bytes(serialization.Encoding.PEM) if now < found.not_valid_after_utc else b""


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Put a private file in place of what is there."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    scratch.replace(path)
