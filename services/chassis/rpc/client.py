"""Channels to other processes of the kernel, and the credential a process shows them."""

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import grpc
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from services.chassis.auth.identity import Caller
from services.chassis.auth.processes import ACCESS
from services.chassis.rpc import methods
from services.chassis.rpc.errors import AccessUnavailable
from services.chassis.rpc.methods import Effect
from services.chassis.rpc.renewed_channel import RenewedChannel
from services.chassis.runtime.clock import Clock

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024 + 64 * 1024
"""A little above the largest request any method accepts, so that the typed refusal is ours."""

CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Without this one a stopped server is noticed after a minute, whatever the keepalive says.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # What a stream's reader leaves unread stays with the sender. Windows that grow with the bandwidth would
    # take 6 MB of every stream that is not read.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 256 * 1024),
)


class ChannelTls(Protocol):
    """What a channel shows and believes, which may change."""

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return the credentials of a channel opened now."""
        ...

    def on_change(self, tell: Callable[[], None]) -> None:
        """Have `tell` called on the event loop when there are others."""
        ...


Metadata = tuple[tuple[str, str], ...]

_ISSUE_SECONDS: Final = 3.0
_RENEW_AT: Final = 2 / 3
_SPARE_SECONDS: Final = 5.0


def channel(
    endpoint: str,
    *services: FileDescriptor | ServiceDescriptor,
    options: Iterable[tuple[str, Any]] = (),
    tls: ChannelTls | None = None,
    peer: str = "",
) -> grpc.aio.Channel:
    """Open a channel to `endpoint` (host:port or dns:///name:port). Open it once per process.

    Methods of `services` that only read are retried when the server is unavailable; others never, because
    they may have taken effect. `options` win over the chassis' own. With `tls` the other end must be `peer`
    by its certificate, whatever its address is called, and new certificates are taken up.
    """
    chosen = dict(CHANNEL_OPTIONS) | {"grpc.service_config": service_config(*services)} | dict(options)
    if tls is None:
        return grpc.aio.insecure_channel(endpoint, options=list(chosen.items()))
    # A pool of its own: else the new connection would be the old one, found again by its address.
    chosen |= {"grpc.ssl_target_name_override": peer, "grpc.use_local_subchannel_pool": 1}

    def connect() -> grpc.aio.Channel:
        return grpc.aio.secure_channel(endpoint, tls.channel_credentials(), options=list(chosen.items()))

    channel = RenewedChannel(connect)
    tls.on_change(channel.renew)
    return channel


def service_config(*services: FileDescriptor | ServiceDescriptor) -> str:
    """Return the gRPC service config: all addresses in turn, and retries of reads, throttled."""
    reads = [
        dict(zip(("service", "method"), path.strip("/").split("/"), strict=True))
        for path, method in methods.table(*services).items()
        if method.effect is Effect.READ and not method.endless
    ]
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if reads:
        policy = {
            "maxAttempts": 4,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": reads, "retryPolicy": policy}]
        config["retryThrottling"] = {"maxTokens": 10, "tokenRatio": 0.1}
    return json.dumps(config)


def kernel_metadata(caller: Caller, token: str) -> Metadata:
    """Return the metadata that continues a caller's call at another process, with a token for there."""
    return (
        ("authorization", f"Bearer {token}"),
        ("aios-syscall-id", caller.syscall_id),
        ("traceparent", f"00-{caller.trace_id}-{caller.span_id or caller.trace_id[:16]}-01"),
    )


def remaining(caller: Caller) -> float | None:
    """Return the seconds the caller's call may still take, for calls made on its behalf. None: unbounded."""
    return None if math.isinf(caller.deadline) else max(0.0, caller.deadline - time.monotonic())


class ServiceCredential(Protocol):
    """The credential that a process of the kernel shows to another one."""

    async def metadata(self) -> Metadata:
        """Return the metadata of a call. Raises AccessUnavailable when there is no credential to show."""
        ...


class StaticCredential:
    """A token that never changes."""

    def __init__(self, token: str) -> None:
        self._metadata: Metadata = (("authorization", f"Bearer {token}"),)

    async def metadata(self) -> Metadata:
        """Return the metadata of a call."""
        return self._metadata


class KeyCredential:
    """Exchanges the process's own key for tokens and renews each after two thirds of its life.

    A renewal that fails leaves the old token in use until it is about to expire; attempts are at least
    `retry_after` seconds apart.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        service: str,
        key: str,
        clock: Clock,
        *,
        audience: str = ACCESS,
        retry_after: float = 0.5,
    ) -> None:
        """`audience` is the process that the tokens are for."""
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._request = access_pb2.IssueTokenRequest(
            service_key=access_pb2.ServiceKeyCredential(service=service, key=key), audience=audience
        )
        self._clock = clock
        self._retry_after = retry_after
        self._lock = asyncio.Lock()
        self._metadata: Metadata = ()
        self._renew_at = -math.inf
        self._expires_at = -math.inf
        self._tried = -math.inf

    async def metadata(self) -> Metadata:
        """Return the metadata of a call, with a token that lives a few seconds more at least."""
        if self._clock.monotonic() >= self._renew_at:
            async with self._lock:
                await self._renew()
        if self._clock.monotonic() >= self._expires_at:
            raise AccessUnavailable("no service token: the access manager cannot be asked", retry_after=1.0)
        return self._metadata

    async def _renew(self) -> None:
        now = self._clock.monotonic()
        if now < self._renew_at or now - self._tried < self._retry_after:
            return
        self._tried = now
        try:
            response = await self._stub.IssueToken(self._request, timeout=_ISSUE_SECONDS)
        except grpc.aio.AioRpcError as failure:
            if now >= self._expires_at:
                raise AccessUnavailable(
                    f"no service token: {failure.code().name} {failure.details()}", retry_after=1.0
                ) from failure
            return
        life = response.expire_time.ToDatetime(self._clock.now().tzinfo) - self._clock.now()
        seconds = life.total_seconds()
        self._metadata = (("authorization", f"Bearer {response.token}"),)
        self._renew_at = now + seconds * _RENEW_AT
        self._expires_at = now + seconds - _SPARE_SECONDS


class AccessKeySource:
    """Fetches the public keys from the access manager."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)

    async def fetch(self) -> list[Mapping[str, str]]:
        """Return the current keys as JWKs. Raises AccessUnavailable."""
        try:
            response = await self._stub.GetJwks(access_pb2.GetJwksRequest(), timeout=_ISSUE_SECONDS)
        except grpc.aio.AioRpcError as failure:
            raise AccessUnavailable(f"no public keys: {failure.code().name}", retry_after=1.0) from failure
        return [
            {"kid": key.kid, "kty": key.kty, "crv": key.crv, "x": key.x, "alg": key.alg, "use": key.use}
            for key in response.keys
        ]


def read_service_key(path: Path) -> str:
    """Read a process's key from its file. Raises OSError, or ValueError when the file is empty."""
    key = path.read_text().strip()
    if not key:
        raise ValueError(f"the service key file {path} is empty")
    return key
