"""What the console is told, read from `AIOS_GATEWAY_CONSOLE_*`."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from gateway.http.console.core.hosts import Hosts
from services.chassis.runtime.http_hosts import is_loopback

_SHORTEST: Final = timedelta(minutes=1)
AUTO: Final = "auto"
_ON: Final = frozenset({"on", "true", "yes", "1"})
_OFF: Final = frozenset({"off", "false", "no", "0"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleSettings:
    """How the console of one gateway behaves."""

    origins: tuple[str, ...] = ()
    """Where browsers reach the console beside loopback, such as https://console.example. Always https:
    by the door's own certificate, or by a proxy that says so (X-Forwarded-Proto)."""

    token_seconds: timedelta = timedelta(hours=1)
    """Life of a session's token, which is how long a session lasts that nobody uses. Access gives agents and
    persons ten minutes at most, unless told otherwise."""

    session_seconds: timedelta = timedelta(hours=8)
    """When a session ends, however much it is used."""

    guesses_per_address: int = 10
    """Wrong credentials that one address may show in a minute."""

    guesses: int = 60
    """Wrong credentials of all addresses in a minute."""

    streams_per_session: int = 16
    """Streams of one session; each tab has one."""

    streams_per_agent: int = 64
    """Streams of one agent, person or administrator; of a tree twice as many."""

    streams: int = 256
    """Streams of all visitors; of a tenant half as many."""

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        Hosts(self.origins)
        for name in ("guesses_per_address", "guesses", "streams_per_session", "streams_per_agent", "streams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.token_seconds < _SHORTEST or self.session_seconds < self.token_seconds:
            raise ValueError("token_seconds must be at least 60, and session_seconds no less than that")


def wanted(switch: str, settings: ConsoleSettings, host: str) -> bool:
    """Tell whether there is a console on a listener bound to `host`. Raises ValueError for another word."""
    word = switch.strip().lower()
    if word == AUTO:
        return bool(settings.origins) or is_loopback(host)
    if word in _ON | _OFF:
        return word in _ON
    raise ValueError(f"expected on, off or auto, got {switch!r}")
