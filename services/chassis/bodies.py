"""How much memory request bodies take: all together, and those of an agent, a tree and a tenant.

A flood is refused, nothing waits.
"""

from collections.abc import Callable

from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.quotas import Cap, Level, Owner
from services.chassis.shares import Shares

Holder = tuple[str, str]
"""Tenant and agent whose body it is; without a tenant the address of a client that is not known."""

Root = Callable[[str, str], str]
"""Tells the root of an agent's tree, by tenant and agent."""


def own_root(_tenant: str, agent: str) -> str:
    """Take an agent for the root of its tree."""
    return agent


class Bodies:
    """Counts the bytes of bodies that are being worked on.

    An agent with all its descendants may use an eighth of the whole, a tenant a half. One body of any
    allowed size finds room where its tree has none.
    """

    def __init__(self, limit: int, root: Root = own_root, what: str = "body_bytes") -> None:
        self._root = root
        self.shares = Shares(what, Cap(limit // 8, limit // 8, limit // 2), most=limit)

    def reserve(self, holder: Holder, size: int) -> Owner:
        """Count a body and return whom it is charged to. Raises TooManyCalls when it finds no room."""
        tenant, agent = holder
        owner = Owner(tenant, agent, self._root(tenant, agent))
        shares = self.shares
        if shares.held + size > shares.most:
            raise TooManyCalls("too many request bodies are being worked on", retry_after=1.0)
        shares.check(owner, size if shares.of(owner, Level.TREE) else min(size, shares.cap.tree))
        shares.add(owner, size)
        return owner

    def release(self, owner: Owner, size: int) -> None:
        """Count a body no longer."""
        if size:
            self.shares.give_back(owner, size)

    @property
    def held(self) -> int:
        """Bytes that are counted now."""
        return self.shares.held
