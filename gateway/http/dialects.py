"""The dialects that the door speaks: one line each."""

from gateway.http.chat import routes as chat
from gateway.http.dialect import Dialect
from gateway.http.fittings import Fittings
from gateway.http.messages import routes as messages
from gateway.http.models import routes as models
from gateway.http.responses import routes as responses


def dialects(fittings: Fittings) -> list[Dialect]:
    """Make every dialect."""
    return [
        models.dialect(fittings),
        chat.dialect(fittings),
        messages.dialect(fittings),
        responses.dialect(fittings),
    ]
