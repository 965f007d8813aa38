"""Use case: everything of a killed agent goes, and calls of its tools end."""

from collections.abc import Callable, Mapping

from services.chassis.auth.identity import Scope
from services.tool.ports import Store
from services.tool.service.calls import Calls
from services.tool.service.leases import LeaseManager
from services.tool.service.servers import Servers


class Purging:
    """Deletes agents' tools, MCP servers and calls for good."""

    def __init__(
        self,
        store: Store,
        calls: Calls,
        leases: LeaseManager,
        servers: Servers,
        removed: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._calls = calls
        self._leases = leases
        self._servers = servers
        self._removed = removed

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent; return what and how many. It may be cut and run again."""
        self._calls.end_agent(scope.tenant, scope.agent)
        self._leases.end_provider(scope)
        tools, servers = await self._store.tools_of(scope), await self._store.servers_of(scope)
        counts = await self._store.purge(scope)
        await self._servers.ended(scope.tenant, servers)
        for tool in tools:
            self._removed(scope.tenant, tool)
        return counts
