"""Configuration of the doors, read from `AIOS_GATEWAY_DOOR_*`."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from gateway.http.core import aliases

_HOTTEST: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DoorConfig:
    """The gateway's HTTP listener for clients that speak OpenAI, Anthropic or MCP."""

    enabled: bool = True
    """Whether the listener runs."""

    host: str = ""
    """Address to bind. Default: that of the gRPC port."""

    port: int | None = None
    """Port of the listener; 0 takes any free one. Default: 20 above the gRPC port, 7090."""

    tls_cert_file: Path | None = None
    """Certificate chain in PEM. With it the listener speaks TLS only."""

    tls_key_file: Path | None = None
    """Private key of the certificate."""

    connections: int = 4096
    """Connections open at once; more are closed unread."""

    connections_per_address: int = 1024
    """The same, from one address. Raise it where all clients come through one proxy."""

    connections_unproven: int = 1024
    """Connections over which no good credential has come yet. For a further one the oldest goes, of the
    address that has most of them."""

    body_bytes: int = 8 * 2**20
    """Largest request body, unpacked. JSON may take more room than the kernel's own limit of 2 MiB."""

    bodies_bytes: int = 256 * 2**20
    """Memory of all request bodies that are being worked on; a tree may use an eighth, a tenant half."""

    read_seconds: timedelta = timedelta(seconds=30)
    """Time a client has to send a request's head, and again its body."""

    write_seconds: timedelta = timedelta(seconds=60)
    """Time a client has to take what is sent, before its call is cancelled."""

    hold_seconds: timedelta = timedelta(seconds=2)
    """How long the status line of a stream waits for the call's admission: refusals keep their status."""

    keep_alive_seconds: timedelta = timedelta(seconds=10)
    """Silence after which a stream gets a sign of life in its dialect."""

    call_seconds: timedelta = timedelta(seconds=600)
    """Longest time of a call that answers at once; a client that says how long it waits may shorten it."""

    stream_seconds: timedelta = timedelta(seconds=1800)
    """Longest time of a stream."""

    session_idle_seconds: timedelta = timedelta(hours=1)
    """Idle time after which the agent of a client's session is retired. Longer than any call."""

    response_life: timedelta = timedelta(days=1)
    """How long a response is kept that its client wants stored."""

    stored_responses: int = 500
    """About how many responses of one agent are kept, its sessions' included: the oldest go first. They are
    contexts of its own, of which it may have 1,000 unless the context manager is told otherwise."""

    background_per_agent: int = 16
    """Responses of one agent, its sessions included, that may go on without a connection at once; of a tree
    four times as many, of a tenant 64."""

    background_seconds: timedelta = timedelta(hours=1)
    """Longest time of a response without a connection."""

    background_claim: timedelta = timedelta(seconds=30)
    """How long after its last sign of life a process is taken for dead that generates such a response."""

    models: tuple[str, ...] = ("*=",)
    """Names that clients use for models, as `theirs=ours`; `*=ours` is for all names no backend serves. An
    empty right side is the kernel's default model. Without `*` unknown names are refused."""

    default_temperature: float = 0.0
    """Temperature of a client who names none, from 0 to 2. The vendors' own would be 1; the kernel's is 0,
    which always takes the likeliest token."""

    def __post_init__(self) -> None:
        """Check what belongs together."""
        aliases.parse(self.models)
        if not 0 <= self.default_temperature <= _HOTTEST:
            raise ValueError("default_temperature must be from 0 to 2")
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file belong together")
