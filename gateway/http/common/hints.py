"""Scheduling that a client asks for: by headers of ours, or by a vendor's service tier. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import checks
from services.chassis.rpc.errors import InvalidRequest, KernelError

Header = Callable[[str], str | None]
"""Returns a header of the request by its name in lower case, or None."""

_CLASSES: Final = {
    "realtime": agent_pb2.SCHEDULING_CLASS_REALTIME,
    "interactive": agent_pb2.SCHEDULING_CLASS_INTERACTIVE,
    "normal": agent_pb2.SCHEDULING_CLASS_NORMAL,
    "batch": agent_pb2.SCHEDULING_CLASS_BATCH,
    "idle": agent_pb2.SCHEDULING_CLASS_IDLE,
}
_TIERS: Final = {
    "flex": agent_pb2.SCHEDULING_CLASS_BATCH,
    "priority": agent_pb2.SCHEDULING_CLASS_INTERACTIVE,
    "fast": agent_pb2.SCHEDULING_CLASS_INTERACTIVE,
}
_DEFAULT_TIER: Final = "default"
_GANG: Final = re.compile(r"([\x21-\x2e\x30-\x7e]{1,64})/([0-9]{1,2})")
_LARGEST_GANG: Final = 64
_WORDS: Final = {
    "hints.scheduling_class": "aios-class",
    "hints.weight": "aios-weight",
    "hints.priority": "aios-priority",
    "hints.max_wait": "aios-max-wait",
    "hints.deadline": "aios-deadline",
    "step": "aios-step",
    "gang": "aios-gang",
}


@dataclass(slots=True)
class Tier:
    """The service tier that is applied. It asks for a class within the agent's caps, and is never refused.

    Several requests that come of one share it.
    """

    applied: str = _DEFAULT_TIER
    wanted: bool = False
    """Whether it put a class into the request."""

    def give_up(self, request: pb.GenerateRequest, error: KernelError) -> bool:
        """Take the class out of a request that was refused for it; tell whether that is so."""
        mine = self.wanted and request.hints.scheduling_class
        refused = error.reason == "PERMISSION_DENIED" and error.metadata.get("hint") == "scheduling_class"
        if not (mine and refused):
            return False
        request.hints.ClearField("scheduling_class")
        self.applied = _DEFAULT_TIER
        return True


def write_headers(request: pb.GenerateRequest, header: Header) -> dict[str, str]:
    """Write what the `aios-` headers ask for. Return the names of the fields they fill, for `Words`.

    Raises InvalidRequest, with the header's name, for a bad value.
    """
    hints = agent_pb2.SchedulingHints()
    named = header("aios-class")
    if named:
        if named not in _CLASSES:
            raise InvalidRequest.field("aios-class", f"must be one of {', '.join(_CLASSES)}")
        hints.scheduling_class = _CLASSES[named]
    if (weight := _integer(header, "aios-weight", 1, 1000)) is not None:
        hints.weight = weight
    if (priority := _integer(header, "aios-priority", -20, 19)) is not None:
        hints.priority = priority
    if (wait := _seconds(header, "aios-max-wait", 3600)) is not None:
        hints.max_wait.CopyFrom(wait)
    if (deadline := _seconds(header, "aios-deadline", 86_400)) is not None:
        hints.deadline.CopyFrom(deadline)
    if hints.ListFields():
        request.hints.CopyFrom(hints)
    request.step = _integer(header, "aios-step", 0, 2**31 - 1) or 0
    gang = header("aios-gang")
    if gang:
        request.gang.CopyFrom(_gang(gang))
    return _WORDS


def write_tier(request: pb.GenerateRequest, asked: str | None) -> Tier:
    """Ask for the class that a tier stands for, unless a header named one. Unknown tiers are the default."""
    kind = _TIERS.get(asked or "")
    if kind is None or request.hints.scheduling_class:
        return Tier()
    request.hints.scheduling_class = kind
    return Tier(asked or "", wanted=True)


def affinity(*keys: str | None) -> str:
    """Return the key by which calls stay together: the first that was given."""
    return next((checks.key(each) for each in keys if each), "")


def _gang(text: str) -> pb.Gang:
    found = _GANG.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= _LARGEST_GANG:
        raise InvalidRequest.field("aios-gang", f"must be id/size, the size from 1 to {_LARGEST_GANG}")
    return pb.Gang(id=found[1], size=int(found[2]))


def _integer(header: Header, name: str, least: int, most: int) -> int | None:
    text = header(name)
    if not text:
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", text):
        raise InvalidRequest.field(name, "must be a whole number")
    return checks.integer(int(text), name, least, most)


def _seconds(header: Header, name: str, most: float) -> Duration | None:
    text = header(name)
    if not text:
        return None
    try:
        seconds = float(text) if len(text) <= 32 else -1.0  # noqa: PLR2004 - longer than any number
    except ValueError:
        raise InvalidRequest.field(name, "must be a number of seconds") from None
    written = Duration()
    written.FromNanoseconds(round(checks.number(seconds, name, 0, most) * 1e9))
    return written
