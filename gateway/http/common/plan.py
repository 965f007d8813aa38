"""What a dialect made of a request: what to ask the kernel for, and how to speak of it. Pure."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import sampling
from gateway.http.common.hints import Tier
from gateway.http.common.words import Words

_LONGEST_STEM: Final = 58
"""Of a request id, so that a choice's number fits behind it."""


@dataclass(slots=True)
class Plan:
    """One generation to ask for."""

    request: pb.GenerateRequest
    words: Words = field(default_factory=Words)
    tier: Tier = field(default_factory=Tier)

    def choice(self, index: int, *, gang: str, size: int, seed: int | None) -> "Plan":
        """Return the plan of one of several answers, which start together as a gang if that has a name.

        A request id gets the choice's number behind it, and another one without the gang: they are different
        requests to the kernel.
        """
        request = pb.GenerateRequest()
        request.CopyFrom(self.request)
        if seed is not None:
            request.sampling.seed = sampling.seed(seed)
        if request.request_id:
            request.request_id = numbered(request.request_id, index, "-" if gang else ".")
        if gang:
            request.gang.CopyFrom(pb.Gang(id=gang, size=size))
        return Plan(request, self.words, self.tier)


def numbered(request_id: str, index: int, mark: str) -> str:
    """Return a request id of its own for one of several calls that come of one request."""
    stem = request_id
    if len(stem) > _LONGEST_STEM:
        stem = "k-" + hashlib.sha256(request_id.encode()).hexdigest()[:40]
    return f"{stem}{mark}{index}"
