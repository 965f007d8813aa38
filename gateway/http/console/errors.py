"""What the console refuses by itself."""

from gateway.http.core.refusals import DoorError, Row
from services.chassis.rpc.codes import Code


class UnknownHost(DoorError):
    """The browser asked for a name that the console does not go by."""

    reason = "PERMISSION_DENIED"
    code = Code.PERMISSION_DENIED
    row = Row(421, "", "")


class ForeignPage(DoorError):
    """The request comes from a page of another origin, or does not say that it comes from its own."""

    reason = "PERMISSION_DENIED"
    code = Code.PERMISSION_DENIED
    row = Row(403, "", "")
