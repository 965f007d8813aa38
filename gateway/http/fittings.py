"""What the door hands to each dialect."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from gateway.http.config import DoorConfig
from gateway.http.core.aliases import Aliases
from gateway.http.kernel import Kernel
from gateway.http.service.identities import Identities
from services.chassis.bodies import Bodies, Root, own_root
from services.chassis.shares import Openings


@dataclass(frozen=True, slots=True)
class Fittings:
    """The kernel's calls, who calls, and the settings."""

    kernel: Kernel
    identities: Identities
    config: DoorConfig
    aliases: Aliases
    """What clients' names for models stand for."""
    registry: CollectorRegistry
    bodies: Bodies
    """Counts the memory of request bodies."""
    root: Root = own_root
    """Tells the root of an agent's tree."""
    openings: Openings = field(default_factory=Openings)
    """What agents have open here; a dialect adds what it counts."""
