"""Shares: grants that access keeps, given and taken back with the caller's own credential."""

import hashlib
from datetime import datetime

from services.chassis.auth.identity import Scope
from services.storage.core import file_tree, paths, shares
from services.storage.core.file_tree import ROOT_NODE
from services.storage.errors import FileNotFound
from services.storage.model import ROOT, RequestContext, Role, Share, ShareGrant
from services.storage.ports import Transaction
from services.storage.service.changes import ChangeRunner
from services.storage.service.vacated import Visit, file_name


class SharingService:
    """The shares of a scope; see VacatedNames for their end when a file leaves its name."""

    def __init__(self, changes: ChangeRunner) -> None:
        self._changes = changes

    async def share(
        self, call: RequestContext, path: str, grantee: str, role: Role, expires_at: datetime | None
    ) -> Share:
        """Let a grantee use a file, or a directory with all it holds; replaces an earlier share with it.

        Raises PathInvalid, FileNotFound (also when the file moves meanwhile) and what access answers.
        """
        paths.check(path)
        async with self._changes.vacated.lane(call.scope):
            if call.agent == call.scope.agent:
                await self._changes.vacated.end(call.scope)
            visit = Visit(call, (path,))
            node = await self._changes.read(call.scope, lambda tx: file_tree.find(tx, path), visit=visit)
            name = file_name(call.scope, path)
            wanted = shares.grants_for(name, grantee, role, expires_at, directory=not node.is_file)
            given = await self._replace(call, name, grantee, wanted)
            now = await self._changes.read(call.scope, lambda tx: _node_id(tx, path))
            if now != node.id:
                for grant in given:
                    await self._changes.access.revoke(grant.name)
                raise FileNotFound.at(path)
            return shares.merge(call.scope.agent, given)[0]

    async def _replace(
        self, call: RequestContext, name: str, grantee: str, wanted: list[ShareGrant]
    ) -> list[ShareGrant]:
        """Give grants and take back what the grantee had on the name before."""
        old = await self._given(name, grantee)
        given = [
            await self._changes.access.give(grant, request_id=_derived(call.request_id, grant))
            for grant in wanted
        ]
        kept = {grant.name for grant in given}
        for grant in old:
            if grant.name not in kept:
                await self._changes.access.revoke(grant.name)
        return given

    async def revoke(self, call: RequestContext, path: str, grantee: str) -> None:
        """Take a share back; one that is gone is no error.

        Raises PathInvalid.
        """
        paths.check(path)
        for grant in await self._given(file_name(call.scope, path), grantee):
            await self._changes.access.revoke(grant.name)

    async def list_shares(self, scope: Scope, path: str) -> list[Share]:
        """List the shares of a path and of the directories it lies in, oldest first.

        Raises PathInvalid.
        """
        paths.check(path)
        grants = await self._changes.access.grants(resource=file_name(scope, path))
        return shares.merge(scope.agent, grants)

    async def _given(self, name: str, grantee: str) -> list[ShareGrant]:
        exact = await self._changes.access.grants(resource=name, grantee=grantee)
        below = await self._changes.access.grants(resource=name + "/", grantee=grantee)
        found = {grant.name: grant for grant in (*exact, *below)}
        return [grant for grant in found.values() if grant.resource in (name, name + "/")]


def _node_id(tx: Transaction, path: str) -> str:
    node = ROOT_NODE if path == ROOT else tx.node(path)
    return node.id if node else ""


def _derived(request_id: str, grant: ShareGrant) -> str:
    """Return the request id for one of the grants that a request makes; empty stays empty."""
    if not request_id:
        return ""
    return hashlib.sha256(f"{request_id}\0{grant.resource}".encode()).hexdigest()[:32]
