"""gRPC channels: one per event loop and target, shared and counted."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from aios._grpc import grpc
from aios._settings import Target
from aios.errors import PreconditionFailed

OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Without this one a hung server is noticed after its default of 60 s, whatever the keepalive says.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # Retries are ours: they know about request ids, resumption and credentials.
    ("grpc.enable_retries", 0),
)


@dataclass(slots=True)
class _Shared:
    channel: grpc.aio.Channel
    users: int


_channels: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Target, _Shared]] = WeakKeyDictionary()


def acquire(target: Target) -> grpc.aio.Channel:
    """Return the running loop's channel to `target`, opened at the first use. Pair with `release`."""
    shared = _channels.setdefault(asyncio.get_running_loop(), {})
    if target not in shared:
        shared[target] = _Shared(_open(target), 0)
    shared[target].users += 1
    return shared[target].channel


async def release(target: Target) -> None:
    """Give a channel back; the last user closes it."""
    shared = _channels[asyncio.get_running_loop()]
    entry = shared[target]
    entry.users -= 1
    if entry.users == 0:
        del shared[target]
        await entry.channel.close()


def drop(loop: asyncio.AbstractEventLoop, target: Target) -> None:
    """Give back a channel of another loop, or of one that has ended. The last user's closes itself."""
    shared = _channels.get(loop, {})
    entry = shared.get(target)
    if entry is not None:
        entry.users -= 1
        if entry.users == 0:
            del shared[target]


def _open(target: Target) -> grpc.aio.Channel:
    if not target.tls:
        return grpc.aio.insecure_channel(target.address, options=OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read(target.ca_file, "AIOS_CA_FILE"),
        private_key=_read(target.key_file, "AIOS_KEY_FILE"),
        certificate_chain=_read(target.certificate_file, "AIOS_CERTIFICATE_FILE"),
    )
    return grpc.aio.secure_channel(target.address, credentials, options=OPTIONS)


def _read(path: str, setting: str) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise PreconditionFailed(
            f"cannot read {path} ({error.strerror})", hint=f"Let {setting} name a file that is there."
        ) from error
