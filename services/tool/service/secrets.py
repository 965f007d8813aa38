"""Use cases: operators keep secrets, and drivers send them where they may go."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.chassis.auth.identity import Kind, Principal, Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import InvalidRequest, PermissionDenied
from services.chassis.runtime.logs import logger
from services.tool.core import secrets
from services.tool.core.mcp_servers import secrets_of_server
from services.tool.core.secrets import Secret, SecretKey
from services.tool.errors import EgressDenied, SecretNotFound, SecretsUnavailable
from services.tool.model import Nothing, SealedSecret, SecretInfo
from services.tool.ports import Audit, SecretKeys, Store, Transaction
from services.tool.service.dependencies import Dependencies
from services.tool.service.secrecy import learned

_ACTION: Final = "tool.secrets"
_BATCH: Final = 200
_TENANT: Final = ""
"""Whom secrets are charged to: no agent, but the tenant."""

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class ListedSecret:
    """A secret as it is listed."""

    info: SecretInfo
    key_id: str
    """Of the key that seals it."""
    used_by: tuple[str, ...]
    """Names of the tools and servers that send it."""


class SecretVault:
    """The Secrets port on the store: values are opened for whoever sends them, and for nobody else."""

    def __init__(self, store: Store, keys: SecretKeys) -> None:
        self._store = store
        self._keys = keys

    async def resolve(
        self, tenant: str, names: Collection[str], bound_to: str, *also: str
    ) -> Mapping[str, Secret]:
        """Return the values of secrets by name, to be sent to one place.

        Raises EgressDenied, SecretNotFound, SecretsUnavailable.
        """
        wanted = sorted(set(names))
        if not wanted:
            return {}
        places = {secrets.binding(place) for place in (bound_to, *also)}
        found = await self._store.read(
            Scope(tenant, _TENANT), lambda tx: [_found(tx.secret(name), name) for name in wanted]
        )
        for row in found:
            if row.info.bound_to not in places:
                name = f"secrets/{row.info.name}"
                raise EgressDenied(f"{name} is not meant for {bound_to}", metadata={"secret": name})
        keys = await self._keys.all()
        values = {row.info.name: secrets.unseal(keys, tenant, row) for row in found}
        learned(values.values())
        return values


class SecretAdmin:
    """Sets, lists and deletes secrets. Nothing here returns a value."""

    def __init__(self, deps: Dependencies, keys: SecretKeys, audit: Audit) -> None:
        self._deps = deps
        self._keys = keys
        self._audit = audit

    async def set(
        self, scope: Scope, actor: RequestIdentity, name: str, value: str, bound_to: str
    ) -> ListedSecret:
        """Keep a value, new or in place of what the secret was. `bound_to`: empty leaves it as it is.

        Raises InvalidRequest, PermissionDenied, SecretsUnavailable, QuotaExceeded, IdempotencyMismatch, and
        what the audit log refuses with.
        """
        _administrator(admin=actor.admin)
        secrets.check_value(value)
        place = secrets.binding(bound_to) if bound_to else ""
        key = await self._sealing_key()
        if actor.request_id:
            # Neither the value is remembered nor a digest that values can be tried against.
            actor = replace(actor, digest=actor.digest + secrets.fingerprint(key, value))
        await self._audit.note("SetSecret", _ACTION, f"secrets/{name}", actor)
        now = self._deps.clock.now()

        def work(tx: Transaction) -> SecretInfo:
            known = tx.secret(name)
            if known is None:
                if not place:
                    raise InvalidRequest.field("bound_to", "a new secret is bound to where it may go")
                tx.charge(_TENANT, secrets=1)
                info = SecretInfo(name=name, version=1, bound_to=place, created_at=now, updated_at=now)
            else:
                version, bound = known.info.version + 1, place or known.info.bound_to
                info = replace(known.info, version=version, bound_to=bound, updated_at=now)
            tx.put_secret(secrets.seal(key, scope.tenant, info, value))
            return info

        info = await self._deps.once(scope, actor, SecretInfo, work)
        used = await self._deps.store.read(scope, _users)
        return ListedSecret(info, key.id, used.get(name, ()))

    async def page(self, scope: Scope, caller: Principal, *, after: str, limit: int) -> list[ListedSecret]:
        """List the tenant's secrets by name, without values. Raises PermissionDenied."""
        _administrator(admin=caller.kind is Kind.ADMIN)

        def work(tx: Transaction) -> list[ListedSecret]:
            found = tx.secrets(after=after, limit=limit)
            used = _users(tx) if found else {}
            return [ListedSecret(row.info, row.key_id, used.get(row.info.name, ())) for row in found]

        return await self._deps.store.read(scope, work)

    async def delete(self, scope: Scope, actor: RequestIdentity, name: str, *, allow_missing: bool) -> None:
        """Forget a secret; what uses it can send it no more.

        Raises SecretNotFound, PermissionDenied, IdempotencyMismatch, and what the audit log refuses with.
        """
        _administrator(admin=actor.admin)
        await self._audit.note("DeleteSecret", _ACTION, f"secrets/{name}", actor)

        def work(tx: Transaction) -> Nothing:
            if tx.secret(name) is not None:
                tx.drop_secret(name)
                tx.charge(_TENANT, secrets=-1)
            elif not allow_missing:
                raise _missing(name)
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)

    async def reseal(self) -> None:
        """Seal with the first key what others seal, so that those can go. What does not open stays."""
        store = self._deps.store
        try:
            keys = await self._keys.all()
        except SecretsUnavailable as error:
            if await store.sealed_otherwise("", after=("", ""), limit=1):
                _log.warning("secrets cannot be opened", why=error.message)
            return
        count, after = 0, ("", "")
        while keys and (found := await store.sealed_otherwise(keys[0].id, after=after, limit=_BATCH)):
            for tenant, row in found:
                count += await self._resealed(keys, tenant, row)
            after = (found[-1][0], found[-1][1].info.name)
        if count:
            _log.info("secrets were sealed with the first key", count=count, key=keys[0].id)

    async def _resealed(self, keys: Sequence[SecretKey], tenant: str, row: SealedSecret) -> bool:
        try:
            value = secrets.unseal(keys, tenant, row)
        except SecretsUnavailable as error:
            _log.warning("a secret does not open", why=error.message, tenant=tenant)
            return False
        fresh = secrets.seal(keys[0], tenant, row.info, value.reveal())

        def work(tx: Transaction) -> bool:
            if tx.secret(row.info.name) != row:  # it was set or deleted meanwhile
                return False
            tx.put_secret(fresh)
            return True

        return await self._deps.store.write(Scope(tenant, _TENANT), work)

    async def _sealing_key(self) -> SecretKey:
        """Return the key that seals, made now if this is the first secret. Raises SecretsUnavailable."""
        keys = await self._keys.all()
        if not keys:
            if await self._deps.store.sealed_otherwise("", after=("", ""), limit=1):
                raise SecretsUnavailable("the keys that seal the secrets are gone: put their file back")
            keys = await self._keys.make()
        return keys[0]


def _users(tx: Transaction) -> Mapping[str, tuple[str, ...]]:
    """Return who sends each secret of the tenant."""
    used: defaultdict[str, list[str]] = defaultdict(list)
    after = ""
    while batch := tx.tools(after=after, limit=_BATCH):
        for tool in batch:
            for name in secrets.secrets_of(tool):
                used[name].append(f"tools/{tool.id}")
        after = batch[-1].id
    after = ""
    while servers := tx.servers(after=after, limit=_BATCH):
        for server in servers:
            for name in secrets_of_server(server):
                used[name].append(f"mcpservers/{server.id}")
        after = servers[-1].id
    return {name: tuple(users) for name, users in used.items()}


def _administrator(*, admin: bool) -> None:
    if not admin:
        raise PermissionDenied("secrets are kept by administrators", metadata={"action": _ACTION})


def _found(row: SealedSecret | None, name: str) -> SealedSecret:
    if row is None:
        raise _missing(name)
    return row


def _missing(name: str) -> SecretNotFound:
    return SecretNotFound(f"there is no secret secrets/{name}", metadata={"secret": f"secrets/{name}"})
