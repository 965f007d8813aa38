"""Shares: grants that access keeps, given and taken back with the caller's own credential."""

import hashlib
from datetime import datetime

from services.chassis.auth.identity import Scope
from services.chassis.rpc.names import in_agent
from services.storage.core import file_tree, paths, shares
from services.storage.model import RequestContext, Role, Share, ShareGrant
from services.storage.service.changes import ChangeRunner


class SharingService:
    """The shares of a scope."""

    def __init__(self, engine: ChangeRunner) -> None:
        self._engine = engine

    async def share(
        self, call: RequestContext, path: str, grantee: str, role: Role, expires_at: datetime | None
    ) -> Share:
        """Let a grantee use a file, or a directory with all it holds; replaces an earlier share with it.

        Raises PathInvalid, FileNotFound and what access answers.
        """
        paths.check(path)
        node = await self._engine.read(call.scope, lambda tx: file_tree.find(tx, path))
        name = file_name(call.scope, path)
        old = await self._given(name, grantee)
        wanted = shares.grants_for(name, grantee, role, expires_at, directory=not node.is_file)
        given = [
            await self._engine.access.give(grant, request_id=_derived(call.request_id, grant))
            for grant in wanted
        ]
        kept = {grant.name for grant in given}
        for grant in old:
            if grant.name not in kept:
                await self._engine.access.revoke(grant.name)
        return shares.merge(call.scope.agent, given)[0]

    async def revoke(self, call: RequestContext, path: str, grantee: str) -> None:
        """Take a share back; one that is gone is no error.

        Raises PathInvalid.
        """
        paths.check(path)
        for grant in await self._given(file_name(call.scope, path), grantee):
            await self._engine.access.revoke(grant.name)

    async def list_shares(self, scope: Scope, path: str) -> list[Share]:
        """List the shares of a path and of the directories it lies in, oldest first.

        Raises PathInvalid.
        """
        paths.check(path)
        grants = await self._engine.access.grants(resource=file_name(scope, path))
        return shares.merge(scope.agent, grants)

    async def end_below(self, call: RequestContext, path: str) -> None:
        """Take back the owner's shares of a path and of everything below it.

        Others may not, and do nothing.
        """
        if call.agent != call.scope.agent:
            return
        name = file_name(call.scope, path)
        for grant in await self._engine.access.grants():
            if grant.resource == name or grant.resource.startswith(name + "/"):
                await self._engine.access.revoke(grant.name)

    async def _given(self, name: str, grantee: str) -> list[ShareGrant]:
        exact = await self._engine.access.grants(resource=name, grantee=grantee)
        below = await self._engine.access.grants(resource=name + "/", grantee=grantee)
        found = {grant.name: grant for grant in (*exact, *below)}
        return [grant for grant in found.values() if grant.resource in (name, name + "/")]


def file_name(scope: Scope, path: str) -> str:
    """Return the resource name of a path."""
    return in_agent(scope.agent, "files", path).rstrip("/")


def _derived(request_id: str, grant: ShareGrant) -> str:
    """Return the request id for one of the grants that a request makes; empty stays empty."""
    if not request_id:
        return ""
    return hashlib.sha256(f"{request_id}\0{grant.resource}".encode()).hexdigest()[:32]
