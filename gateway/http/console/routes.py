"""The dialect `console`: everything below `/console/`."""

from gateway.http.console.settings import ConsoleSettings
from gateway.http.console.site import ROOT, Console
from gateway.http.dialect import Dialect
from gateway.http.fittings import Fittings


def dialect(_fittings: Fittings, settings: ConsoleSettings) -> Dialect:
    """Make the door's console."""
    console = Console(settings, {})
    return Dialect(
        "console",
        mounts=((ROOT, console.answer), (f"{ROOT}/{{path:.*}}", console.answer)),
        start=console.start,
        drain=console.drain,
    )
