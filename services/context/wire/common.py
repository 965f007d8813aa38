"""Names."""

from services.chassis.auth.identity import Caller
from services.chassis.rpc import names


def id_in(name: str, collection: str, caller: Caller, field: str = "name") -> str:
    """Return the id at the end of a resource name. Raises InvalidRequest."""
    return names.parse_in(name, collection, me=caller.agent, field=field).id
