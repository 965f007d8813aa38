"""How many windows wait for other processes at once.

Such a window holds a place at the gateway while it makes calls that need one themselves: without a bound the
waiting could take all places from what it waits for.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.auth.identity import Scope, caller_or_none
from services.chassis.quotas import Cap, Owner
from services.chassis.shares import Shares


class WindowLimiter:
    """Counts what is under way, of all, and of each agent, tree and tenant that asks."""

    def __init__(self, total: int, cap: Cap) -> None:
        self.shares = Shares("waiting_windows", cap, most=total)

    @contextmanager
    def taken(self, scope: Scope) -> Iterator[None]:
        """Hold a place for the length of a block. Raises TooManyCalls when there is none.

        It is the caller's; outside a call that of the scope's agent.
        """
        caller = caller_or_none()
        owner = Owner(scope.tenant, scope.agent, scope.agent) if caller is None else caller.sender
        self.shares.take(owner)
        try:
            yield
        finally:
            self.shares.give_back(owner)
