"""The step before anything is delivered: who gets what nobody vouches for is marked as having read it.

Two things tell. The method: it answers with content of the resource's owner, and its caller is another agent.
The answer: a field in it says that what is around it came from somebody nobody vouches for. The mark is set
and holds in every process before the answer goes out; where it cannot be set nothing goes out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from aios.api.common.v1 import options_pb2
from services.chassis.auth.authz_client import Authorizer
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc.methods import Method

_MARKS_READER: Final[Any] = options_pb2.marks_reader
_Look = Callable[[Any], bool]


class Exposure:
    """What a method's answers may expose their reader to."""

    def __init__(self, method: Method) -> None:
        self._content = method.content
        self._look = _compiled(method.response.DESCRIPTOR)
        self.none = not self._content and self._look is None
        """Whether its answers need no look at all."""

    def meets(self, caller: Caller, answer: Any) -> bool:
        """Tell whether an agent that gets the answer has read what nobody vouches for."""
        if caller.kind is not Kind.AGENT:
            return False
        if self._content and caller.owner != caller.agent:
            return True
        return self._look is not None and self._look(answer)

    async def before(self, authorizer: Authorizer, caller: Caller, answer: Any) -> None:
        """Mark the reader of an answer where that is needed. Raises AccessUnavailable: nothing may go out."""
        if self.meets(caller, answer):
            await authorizer.mark(caller.principal, caller.resource)

    async def before_error(self, authorizer: Authorizer, caller: Caller) -> None:
        """Mark the reader of an error whose text nobody vouches for. Raises AccessUnavailable."""
        if caller.kind is Kind.AGENT:
            await authorizer.mark(caller.principal, caller.resource)


@dataclass(frozen=True, slots=True)
class _Inside:
    """A field with messages in which there may be something to find."""

    name: str
    repeated: bool
    look: _Look


def _compiled(message: Any) -> _Look | None:
    return _look_at(message, ())


def _look_at(message: Descriptor, above: tuple[str, ...]) -> _Look | None:
    """Return what finds a set mark in a message; None when it has no place for one."""
    if message.full_name in above:  # no message of the contract that bears a mark holds itself
        return None
    path = (*above, message.full_name)
    marks = tuple(
        field.name
        for field in message.fields
        if field.type == FieldDescriptor.TYPE_BOOL and field.GetOptions().Extensions[_MARKS_READER]
    )
    inside = tuple(_fields_inside(message, path))
    if not marks and not inside:
        return None

    def look(found: Any) -> bool:
        if any(getattr(found, name) for name in marks):
            return True
        for each in inside:
            if each.repeated:
                if any(each.look(one) for one in getattr(found, each.name)):
                    return True
            elif found.HasField(each.name) and each.look(getattr(found, each.name)):
                return True
        return False

    return look


def _fields_inside(message: Descriptor, path: tuple[str, ...]) -> Iterable[_Inside]:
    for field in message.fields:
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        look = _look_at(field.message_type, path)
        if look is not None:
            yield _Inside(field.name, field.is_repeated, look)
