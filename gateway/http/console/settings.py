"""What the console is told, read from `AIOS_GATEWAY_CONSOLE_*`."""

from dataclasses import dataclass
from typing import Final

from gateway.http.console.core.hosts import Hosts
from services.chassis.runtime.http_hosts import is_loopback

AUTO: Final = "auto"
_ON: Final = frozenset({"on", "true", "yes", "1"})
_OFF: Final = frozenset({"off", "false", "no", "0"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleSettings:
    """How the console of one gateway behaves."""

    origins: tuple[str, ...] = ()
    """Where browsers reach the console beside loopback, such as https://console.example. Always https:
    by the door's own certificate, or by a proxy that says so (X-Forwarded-Proto)."""

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        Hosts(self.origins)


def wanted(switch: str, settings: ConsoleSettings, host: str) -> bool:
    """Tell whether there is a console on a listener bound to `host`. Raises ValueError for another word."""
    word = switch.strip().lower()
    if word == AUTO:
        return bool(settings.origins) or is_loopback(host)
    if word in _ON | _OFF:
        return word in _ON
    raise ValueError(f"expected on, off or auto, got {switch!r}")
