"""The dialect `console`: everything below `/console/`."""

from gateway.http.console.adapters.tokens import AccessTokens
from gateway.http.console.calls import Calls
from gateway.http.console.core.guesses import Guesses
from gateway.http.console.downloads import Downloads
from gateway.http.console.entrance import Entrance
from gateway.http.console.metrics import ConsoleMetrics
from gateway.http.console.ports import Journal
from gateway.http.console.service.codes import Codes
from gateway.http.console.service.sessions import Lives, Sessions
from gateway.http.console.settings import ConsoleSettings
from gateway.http.console.signing import Signing
from gateway.http.console.site import ROOT, Console
from gateway.http.console.streams import Streams
from gateway.http.dialect import Dialect
from gateway.http.fittings import Fittings
from services.chassis.runtime.clock import Clock

_MINUTE = 60.0


def dialect(
    fittings: Fittings, settings: ConsoleSettings, *, journal: Journal, secret: str, clock: Clock
) -> Dialect:
    """Make the door's console. `secret` is the same for all gateways and for nothing else."""
    metrics = ConsoleMetrics(fittings.registry)
    sessions = Sessions(
        tokens=AccessTokens(fittings.kernel),
        journal=journal,
        authenticator=fittings.identities.keys.authenticator,
        clock=clock,
        secret=secret,
        lives=Lives(settings.token_seconds.total_seconds(), settings.session_seconds.total_seconds()),
        guesses=Guesses(settings.guesses_per_address, settings.guesses, _MINUTE),
        codes=Codes(clock),
    )
    entrance = Entrance(sessions, fittings, clock)
    streams = Streams(entrance, fittings.kernel.channel, settings, metrics)
    signing = Signing(entrance, metrics, streams.ended)
    parts = {
        "session": signing.session,
        "codes": signing.codes,
        "api": Calls(entrance, fittings.kernel.channel).answer,
        "stream": streams.answer,
        "files": Downloads(entrance).answer,
    }
    console = Console(settings, parts)

    async def drain() -> None:
        await console.drain()
        streams.drain()

    return Dialect(
        "console",
        mounts=((ROOT, console.answer), (f"{ROOT}/{{path:.*}}", console.answer)),
        start=console.start,
        drain=drain,
        stop=sessions.close,
    )
