"""The dialects that the door speaks: one line each."""

from gateway.http.chat import routes as chat
from gateway.http.completions import routes as completions
from gateway.http.dialect import Dialect
from gateway.http.embeddings import routes as embeddings
from gateway.http.fittings import Fittings
from gateway.http.messages import routes as messages
from gateway.http.models import routes as models
from gateway.http.responses import routes as responses


def dialects(fittings: Fittings) -> list[Dialect]:
    """Make every dialect."""
    return [
        models.dialect(fittings),
        chat.dialect(fittings),
        completions.dialect(fittings),
        embeddings.dialect(fittings),
        messages.dialect(fittings),
        responses.dialect(fittings),
    ]
