"""What an attacker has: addresses that anybody knows, and the credentials of agents of its own."""

import dataclasses
import json
from dataclasses import dataclass, field

import grpc

from tests.system.world import Metadata, Stubs, bearer, open_channel


@dataclass(frozen=True, slots=True)
class Ground:
    """All that an attack starts from. It travels as JSON into the attacker's process."""

    gateway: str
    """Address of the gateway's gRPC port."""
    door: str
    """Base URL of the gateway's HTTP door."""
    engine: str
    """Base URL of the embedded inference server."""
    managers: dict[str, int]
    """gRPC port of each process, by its name."""
    agent: str
    """Id of the attacker's root agent."""
    token: str = field(repr=False)
    key: str = field(repr=False)
    """The secret of the attacker's agent."""
    victim: str
    """Id of an agent of the same tenant that has done nothing."""
    stranger: str
    """Id of an agent of another tenant."""

    def to_json(self) -> str:
        """Write it."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Ground":
        """Read it."""
        return cls(**json.loads(text))

    @property
    def metadata(self) -> Metadata:
        """How the attacker's agent calls."""
        return bearer(self.token)

    def channel(self, name: str = "") -> grpc.aio.Channel:
        """Open a channel to the gateway, or past it to a manager."""
        return open_channel(f"127.0.0.1:{self.managers[name]}" if name else self.gateway)

    def stubs(self, channel: grpc.aio.Channel) -> Stubs:
        """Return the stubs of a channel."""
        return Stubs(channel)
