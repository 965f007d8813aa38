"""What a process may see of every call that passes its pipeline, as long as somebody looks."""

from dataclasses import dataclass
from typing import Any, Protocol

from services.chassis.auth.identity import Caller, Principal
from services.chassis.rpc.status import reason_in


@dataclass(frozen=True, slots=True)
class SeenCall:
    """One call of somebody known, at one moment."""

    tenant: str
    agent: str
    """Id of the caller."""
    syscall_id: str
    method: str
    """Full name, such as `aios.api.memory.v1.MemoryService/PutNote`."""
    resource: str
    """What it was authorised for; of a refused call what the caller named."""
    request_bytes: int
    age: float
    """Since it came. Unit: seconds."""
    code: str = ""
    """Name of the status it ended with; empty: it has begun."""
    reason: str = ""
    """The error's, without prefix; empty where there is none."""


class CallObserver(Protocol):
    """Is told of calls. Nothing is put together for it while nobody looks."""

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        ...

    def saw(self, call: SeenCall) -> None:
        """Take notice of a call. Must neither block nor raise."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of itself before anybody is asked about it."""

    method: str
    resource: str
    size: int
    """Unit: bytes."""


End = tuple[str, str]
"""Name of a status, and the reason that came with it; both empty: none yet."""


def end_of(code: str, context: Any) -> End:
    """Return how a call ended, the reason from the metadata that it ended with."""
    return code, "" if code in {"", "OK"} else reason_in(context.trailing_metadata())


def seen(who: Principal, known: Caller | None, what: Asked, age: float, end: End) -> SeenCall:
    """Put together what is shown of a call; `known` where it was let in."""
    return SeenCall(
        tenant=who.tenant,
        agent=who.agent,
        syscall_id=known.syscall_id if known is not None else "",
        method=what.method,
        resource=known.resource if known is not None else what.resource,
        request_bytes=what.size,
        age=age,
        code=end[0],
        reason=end[1],
    )
