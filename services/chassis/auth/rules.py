"""What a process hears about the rules it decides by, and who tells it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.chassis.auth.identity import Principal
from services.chassis.auth.tokens import Revocations
from services.chassis.rpc import names


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A change of the rules that may have taken a permission away."""

    tenant: str
    agents: frozenset[str] = frozenset()
    """Names of the agents concerned, acting or owning; empty: any agent of the tenant."""
    mark: bool = False
    """Whether all that happened is that these agents were marked as having read what nobody vouches for."""

    def concerns(self, principal: Principal, resource: str) -> bool:
        """Tell whether what a principal may do with a resource may be another thing now."""
        if principal.tenant != self.tenant:
            return False
        collection, _, rest = resource.partition("/")
        if not self.agents or collection != "agents":
            return True  # what belongs to the tenant may have an owner that its name does not tell
        owner = names.agent_name(rest.partition("/")[0])
        return names.agent_name(principal.agent) in self.agents or owner in self.agents


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """One piece of news about the rules."""

    revocations: Revocations
    """All that are known by now."""
    withdrawals: tuple[Withdrawal, ...] | None = ()
    """What may have been taken away; None: anything."""

    def concerns(self, principal: Principal, resource: str) -> bool:
        """Tell whether what a principal may do with a resource may be another thing now.

        A mark does not count: what runs was asked for before its agent had read anything, and a mark is often
        set by the very thing that a stream is about to tell. All that is asked for later is decided by it.
        """
        if self.withdrawals is None:
            return True
        return any(one.concerns(principal, resource) for one in self.withdrawals if not one.mark)


Listener = Callable[[RulesChanged], None]


@runtime_checkable
class RuleSource(Protocol):
    """Tells of changes. A listener must have stopped to deliver by the old rules when it returns."""

    def subscribe(self, listener: Listener) -> None:
        """Tell `listener` of every change from now on."""
        ...

    @property
    def live(self) -> bool:
        """Whether changes of the rules would be heard right now."""
        ...
