"""Says in words why a kernel cannot be reached: looks at its address with plain sockets, within a second."""

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from aios._containment import in_thread
from aios._settings import DEFAULT_ENDPOINT, DOOR_OFFSET, Target

LOOK_SECONDS: Final = 0.9
"""Longest time one look takes."""

Cause = Literal[
    "refused", "silent", "unknown_host", "unreachable", "tls_expected", "plaintext_expected",
    "certificate", "client_certificate", "http", "other",
]  # fmt: skip

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""What an HTTP/2 client says first, with empty settings."""
_SETTINGS: Final = 4
_SETTINGS_AT: Final = 3
_SERVER_SPEAKS_TLS: Final = b"\x15\x03"  # an alert
_UP: Final = "Start one with `aios up` (in the repository: `make run`), or say where it is: AIOS_ENDPOINT."


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with an address."""

    cause: Cause
    """The kind, one of a closed list."""

    what: str
    """What was seen there, with the address."""

    hint: str
    """What to do about it."""

    @property
    def final(self) -> bool:
        """Whether waiting will not mend it."""
        return self.cause in _FINAL


_FINAL: Final = frozenset({"tls_expected", "plaintext_expected", "certificate", "client_certificate", "http"})


async def diagnose(target: Target) -> Trouble:
    """Look at a target's address and say why no kernel answers there. Takes at most a second."""
    try:
        # A look-up of a name cannot be given up: the thread is left to itself, and nobody waits for it.
        return await asyncio.wait_for(in_thread(lambda: look(target)), LOOK_SECONDS + 0.1)
    except TimeoutError:
        return _silent(target)


def look(target: Target) -> Trouble:
    """Look at a target's address. Blocks for at most `LOOK_SECONDS`, but for the look-up of a name."""
    place = _place(target.address)
    if place is None:
        return Trouble("other", f"no kernel answers at {target.address}", _UP)
    ends = time.monotonic() + LOOK_SECONDS
    try:
        return _look_tls(target, place, ends) if target.tls else _look_plain(target, place, ends)
    except socket.gaierror as error:
        what = f"the host name of {target.address} cannot be found ({error.strerror})"
        return Trouble("unknown_host", what, "Check the name, or say where the kernel is: AIOS_ENDPOINT.")
    except ConnectionRefusedError:
        default = " (the default)" if target.address == DEFAULT_ENDPOINT else ""
        return Trouble("refused", f"no kernel listens at {target.address}{default}", _UP)
    except TimeoutError:
        return _silent(target)
    except OSError as error:
        return Trouble("unreachable", f"{target.address} cannot be reached ({error.strerror or error})", _UP)


def _silent(target: Target) -> Trouble:
    what = f"nothing answers at {target.address}"
    return Trouble(
        "silent",
        what,
        "Check the address (AIOS_ENDPOINT), the network and its firewalls.",
    )


def _look_plain(target: Target, place: tuple[str, int], ends: float) -> Trouble:
    try:
        reply: bytes | None = _greet(place, ends)
    except TimeoutError:
        reply = None
    if reply is None and not _speaks_tls(place, ends):
        return _silent(target)
    reply = reply or b""
    if _is_http2(reply):
        return Trouble("other", f"{target.address} speaks HTTP/2, but did not take the connection", _UP)
    if reply.startswith(b"HTTP/1"):
        return _http_door(target, place)
    if reply.startswith(_SERVER_SPEAKS_TLS) or _speaks_tls(place, ends):
        hint = f"Write https://{target.address}, and name the authority of its certificate: AIOS_CA_FILE."
        return Trouble(
            "plaintext_expected", f"{target.address} speaks TLS, and was asked in plain text", hint
        )
    return Trouble("other", f"what answers at {target.address} is no kernel: it does not speak gRPC", _UP)


def _look_tls(target: Target, place: tuple[str, int], ends: float) -> Trouble:
    try:
        reply = _greet(place, ends, _trusting(target), place[0])
    except ssl.SSLCertVerificationError as error:
        return _distrusted(target, error)
    except (ssl.SSLError, ConnectionError) as error:
        wants_certificate = "CERTIFICATE_REQUIRED" in str(error) or "HANDSHAKE_FAILURE" in str(error)
        return _no_certificate(target, "wants") if wants_certificate else _no_tls(target, place, ends)
    if reply.startswith(b"HTTP/1"):
        return _http_door(target, place)
    if not reply and not target.certificate_file:
        return _no_certificate(target, "ended the connection after the handshake, as who wants")
    return Trouble("other", f"{target.address} speaks TLS, but did not take the connection", _UP)


def _no_certificate(target: Target, does: str) -> Trouble:
    hint = "Give one that its authority signed: AIOS_CERTIFICATE_FILE and AIOS_KEY_FILE."
    return Trouble("client_certificate", f"{target.address} {does} a certificate of the client", hint)


def _no_tls(target: Target, place: tuple[str, int], ends: float) -> Trouble:
    reply = _greet(place, ends)
    if _is_http2(reply) or reply.startswith(b"HTTP/1"):
        hint = f"Write {target.address} without https://, and leave AIOS_CA_FILE away."
        return Trouble("tls_expected", f"{target.address} speaks plain text, and was asked for TLS", hint)
    return Trouble("other", f"{target.address} ends the TLS handshake", _UP)


def _distrusted(target: Target, error: ssl.SSLCertVerificationError) -> Trouble:
    authorities = f"AIOS_CA_FILE={target.ca_file}" if target.ca_file else "this system's authorities"
    what = f"the certificate of {target.address} is not accepted by {authorities}: {error.verify_message}"
    return Trouble(
        "certificate", what, "Let AIOS_CA_FILE name the authority that signed the kernel's certificate."
    )


def _http_door(target: Target, place: tuple[str, int]) -> Trouble:
    what = f"{target.address} is a web server, not the kernel's gRPC port"
    below = f"{place[0]}:{place[1] - DOOR_OFFSET}"
    hint = f"Take the gRPC port: it is {DOOR_OFFSET} below the door's, {below} if this is it."
    return Trouble("http", what, hint)


def _greet(
    place: tuple[str, int], ends: float, context: ssl.SSLContext | None = None, name: str = ""
) -> bytes:
    """Connect, say what an HTTP/2 client says, and return the first bytes of the reply. Raises OSError."""
    with socket.create_connection(place, timeout=_left(ends)) as plain:
        plain.settimeout(_left(ends))
        stream = plain if context is None else context.wrap_socket(plain, server_hostname=name)
        with stream:
            try:
                stream.sendall(_PREFACE)
                stream.settimeout(_left(ends) / 2)  # the rest is for another look
                return stream.recv(64)
            except ConnectionError:
                return b""  # it was let in, and then cut


def _speaks_tls(place: tuple[str, int], ends: float) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is said or believed: only whether TLS is spoken
    try:
        with (
            socket.create_connection(place, timeout=_left(ends)) as plain,
            context.wrap_socket(plain, server_hostname=place[0]),
        ):
            return True
    except OSError:
        return False


def _trusting(target: Target) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=target.ca_file or None)
    context.set_alpn_protocols(["h2"])
    if target.certificate_file:
        context.load_cert_chain(target.certificate_file, target.key_file or None)
    return context


def _is_http2(reply: bytes) -> bool:
    """Tell whether a reply begins with a SETTINGS frame: the length's three bytes, then the type."""
    return len(reply) > _SETTINGS_AT and reply[_SETTINGS_AT] == _SETTINGS and reply[:1] == b"\x00"


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _place(address: str) -> tuple[str, int] | None:
    """Return the host and port of a gRPC target, or None for one that has none, such as a socket file."""
    if address.startswith(("unix:", "unix-abstract:", "vsock:")):
        return None
    plain = address.split("://", 1)[-1].removeprefix("dns:").removeprefix("ipv4:").removeprefix("ipv6:")
    try:
        parts = urlsplit(f"//{plain.lstrip('/')}")
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        return None
    return (host, port) if host else None
