"""The policies, by name. Third parties add theirs with the entry-point group `aios.scheduler_policies`."""

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import Final

from services.scheduler.core.policies.adaptive import Adaptive
from services.scheduler.core.policies.base import Policy, PolicyContext
from services.scheduler.core.policies.edf import EarliestDeadlineFirst
from services.scheduler.core.policies.fifo import Fifo
from services.scheduler.core.policies.las import LeastAttainedService
from services.scheduler.core.policies.mlfq import MultiLevelFeedback
from services.scheduler.core.policies.priority import Priority
from services.scheduler.core.policies.rr import RoundRobin
from services.scheduler.core.policies.sjf import ShortestJobFirst
from services.scheduler.core.policies.stride import Stride
from services.scheduler.core.policies.turns import Turns
from services.scheduler.core.policies.vtc import VirtualTokenCounter
from services.scheduler.errors import PolicyUnknown
from services.scheduler.model import PolicySpec

ENTRY_POINT_GROUP: Final = "aios.scheduler_policies"

BUILT_IN: Final[tuple[type[Policy], ...]] = (
    Adaptive,
    EarliestDeadlineFirst,
    Fifo,
    LeastAttainedService,
    MultiLevelFeedback,
    Priority,
    RoundRobin,
    ShortestJobFirst,
    Stride,
    Turns,
    VirtualTokenCounter,
)


class PolicyRegistry:
    """Policy classes by name."""

    def __init__(self, policies: Iterable[type[Policy]] = BUILT_IN) -> None:
        self._by_name: dict[str, type[Policy]] = {policy.name: policy for policy in policies}

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._by_name))

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def add(self, policy: type[Policy]) -> None:
        """Register a policy; one of the same name is replaced."""
        self._by_name[policy.name] = policy

    def build(self, spec: PolicySpec, context: PolicyContext) -> Policy:
        """Make a policy. Raises PolicyUnknown or PolicyParamsInvalid."""
        kind = self._by_name.get(spec.name)
        if kind is None:
            raise PolicyUnknown(spec.name, self.names)
        return kind(spec.params, context)

    def as_mapping(self) -> Mapping[str, type[Policy]]:
        """Return a copy of the table."""
        return dict(self._by_name)


def discover() -> PolicyRegistry:
    """Return the built-in policies and those installed packages offer. Reads package metadata."""
    registry = PolicyRegistry()
    for point in entry_points(group=ENTRY_POINT_GROUP):
        kind = point.load()
        if not (isinstance(kind, type) and issubclass(kind, Policy) and kind.name):
            raise TypeError(f"entry point {point.name!r}: {kind!r} is not a named Policy subclass")
        registry.add(kind)
    return registry
