"""Which tree of agents an agent belongs to, as far as a process has heard."""

from typing import Final

from services.chassis.bodies import Root

_MOST: Final = 10_000


class Trees:
    """Remembers the roots that decisions told. An agent's tree never changes."""

    def __init__(self, root: Root) -> None:
        """`root` names what is not remembered."""
        self._root = root
        self._known: dict[tuple[str, str], str] = {}
        """Roots by tenant and agent."""

    def of(self, tenant: str, agent: str) -> str:
        """Return the root of an agent's tree; the agent itself where nothing is known of it."""
        return self._known.get((tenant, agent)) or self._root(tenant, agent)

    def learn(self, tenant: str, agent: str, root: str) -> None:
        """Note what a decision said."""
        if (tenant, agent) in self._known:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[tenant, agent] = root
