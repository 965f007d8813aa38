"""Use cases of credentials: exchange a key or a token for a fresh token, revoke, publish the keys."""

import dataclasses
import hmac
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.access.core.people import FIRST_ADMINISTRATOR, HUMAN
from services.access.errors import AgentNotFound, TooManyCalls
from services.access.model.agents import AgentState, MadeBy, PublicKey, Revocation, Token
from services.access.ports.store import Transaction
from services.access.service import dependencies, persons
from services.access.service.agent_keys import is_handed_over, key_hash
from services.access.service.dependencies import Dependencies
from services.access.service.offspring import Ended, Fate, OffspringService
from services.access.service.watchers import RuleChange
from services.chassis.auth.identity import BELOW, Caller, Kind, Principal, family_above
from services.chassis.auth.processes import (
    ACCESS,
    EXCHANGES,
    GATEWAY,
    MOST_ACTORS,
    SERVICE_AUDIENCES,
)
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names
from services.chassis.rpc.errors import (
    AgentInactive,
    CredentialExpired,
    CredentialInvalid,
    CredentialRevoked,
    InvalidRequest,
    PermissionDenied,
)

_BATCH: Final = 500
_SPARE: Final = timedelta(minutes=1)
_OWN_SESSION_BYTES: Final = 6
"""The id of a token has 64 characters at most, its family's and its own part included."""
_LEAST_SECONDS: Final = 60.0
"""A family that has less left is not renewed: who renews in time hears the reason while its token counts."""
_UNKNOWN_KEY: Final = (
    "the agent's key is not known: it is mistyped, another kernel's or revoked, or its agent was killed"
)


@dataclass(frozen=True, slots=True)
class Target:
    """What to revoke: exactly one of a token's text, a token's id, or all of the agent's tokens."""

    token: str = ""
    token_id: str = ""
    everything: bool = False
    key_too: bool = False
    """With `everything`: whether the agent's key stops working too."""
    made: Fate = Fate.STAY
    """What becomes of what was made with the credentials."""
    made_since: datetime | None = None
    """With `everything`: only what was made then or later; None: ever."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a revocation did."""

    revision: int
    """From which on the tokens are refused."""
    ended: Ended = dataclasses.field(default_factory=Ended)


class Bucket:
    """Counts wrong credentials: `per_minute` may be answered as wrong, the rest is told to slow down."""

    def __init__(self, per_minute: int) -> None:
        self._rate = per_minute / 60.0
        self._size = float(per_minute)
        self._level = self._size
        self._at = -math.inf

    def take(self, now: float) -> float:
        """Count one at `now` (seconds); return 0, or the seconds until the next one is allowed."""
        self._level = min(self._size, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1.0:
            return (1.0 - self._level) / self._rate
        self._level -= 1.0
        return 0.0


class TokenService:
    """Issues and revokes tokens. `service_keys` are the secrets of the kernel's processes by name."""

    def __init__(self, ports: Dependencies, service_keys: Mapping[str, str]) -> None:
        self._deps = ports
        self._service_keys = {name: key_hash(key) for name, key in service_keys.items()}
        self._wrong = Bucket(ports.settings.wrong_keys_per_minute)
        self._offspring = OffspringService(ports)

    async def by_agent_key(self, key: str, lifetime: timedelta | None) -> Token:
        """Exchange an agent's key. Raises CredentialInvalid, TooManyCalls or AgentInactive."""
        hashed = key_hash(key)
        owner = await self._deps.store.read(lambda tx: tx.agents.key(hashed))
        if owner is None:
            raise self._refused("agent_key", _UNKNOWN_KEY)
        holder = Principal(agent=owner.agent, tenant=owner.tenant, kind=Kind.AGENT)
        return await self._issue(holder, lifetime, "agent_key", lambda tx: tx.agents.key(hashed) == owner)

    async def by_person_key(self, key: str, lifetime: timedelta | None) -> Token:
        """Exchange a person's key. Raises CredentialInvalid, TooManyCalls or AgentInactive."""
        hashed = key_hash(key)
        person = await self._deps.store.read(lambda tx: tx.persons.by_key(hashed))
        if person is None:
            raise self._refused("person_key", "the person's key is not known: it is mistyped or has ended")
        holder = Principal(agent=person.id, tenant=person.tenant, kind=person.kind)
        return await self._issue(
            holder, lifetime, "person_key", lambda tx: tx.persons.by_key(hashed) is not None
        )

    async def by_service_key(
        self, service: str, key: str, lifetime: timedelta | None, audience: str = ACCESS
    ) -> Token:
        """Exchange the key of the process named `service` for a token that counts at one other process.

        Raises CredentialInvalid, TooManyCalls or PermissionDenied (it calls nothing there in its own name).
        """
        known = self._service_keys.get(service)
        if known is None or not hmac.compare_digest(key_hash(key), known):
            raise self._refused("service_key", f"the key is not that of the process {service}")
        tenant = self._deps.settings.service_tenant
        if audience not in SERVICE_AUDIENCES[service]:
            raise PermissionDenied(
                f"the process {service} calls nothing of {audience} in its own name",
                metadata={"service": service, "audience": audience},
            )
        holder = Principal(agent=service, tenant=tenant, kind=Kind.SERVICE, audience=audience)
        return await self._issue(holder, lifetime, "service_key")

    async def by_renewal(self, text: str, lifetime: timedelta | None, *, own_session: bool = False) -> Token:
        """Exchange a token that is still valid. The new one belongs to the family of the first.

        With `own_session` it begins a family below that one, which can be revoked by itself and ends with it.

        Only a token as an agent holds it is renewed: one that was exchanged for a process to act with is not,
        so nobody makes more of it than was meant. Raises CredentialInvalid, CredentialExpired (also when the
        family is too old), CredentialRevoked, TooManyCalls or AgentInactive.
        """
        try:
            holder = self._deps.signer.verify(text, now=self._deps.clock.now())
        except CredentialInvalid as error:
            raise self._refused("renewal", error.message) from error
        if holder.audience != GATEWAY or holder.actors:
            raise self._refused("renewal", "the token is a process's, to act with for an agent")
        if is_handed_over(holder):
            raise self._refused("renewal", "the token was handed over: who registers the agent gets another")
        if await self._deps.store.read(lambda tx: tx.tokens.is_revoked(holder)):
            raise CredentialRevoked("the token was revoked")
        if own_session and family_above(holder.session_id) == holder.session_id:
            own = f"{holder.session_id}{BELOW}{secrets.token_hex(_OWN_SESSION_BYTES)}"
            holder = dataclasses.replace(holder, session_id=own)
        return await self._issue(holder, lifetime, "renewal")

    async def exchange(self, caller: Caller, text: str, audience: str) -> Token:
        """Exchange a token meant for the calling process for one that counts at `audience` alone.

        It names the same principal and family, with the calling process as its actor, and lives shortly,
        never longer than the token shown. Raises PermissionDenied (the process may not), CredentialInvalid,
        CredentialExpired, CredentialRevoked or AgentInactive.
        """
        if audience not in EXCHANGES.get(caller.agent, frozenset()):
            raise PermissionDenied(
                f"the process {caller.agent} does nothing at {audience} on behalf of others",
                metadata={"service": caller.agent, "audience": audience},
            )
        now = self._deps.clock.now()
        holder = self._deps.signer.verify(text, now=now)
        if holder.audience != caller.agent or holder.kind is Kind.SERVICE:
            raise CredentialInvalid(f"the token is not meant for the process {caller.agent}")
        if len(holder.actors) >= MOST_ACTORS:
            raise CredentialInvalid("the token was exchanged too often")

        def load(tx: Transaction) -> Principal:
            if tx.tokens.is_revoked(holder):
                raise CredentialRevoked("the token was revoked")
            return _current(tx, holder)

        current = dataclasses.replace(
            await self._deps.store.read(load),
            session_id=holder.session_id,
            authenticated_at=holder.authenticated_at,
            audience=audience,
            actors=(caller.agent, *holder.actors),
            origin_expires_at=holder.ends_at,
        )
        left = timedelta(seconds=holder.expires_at - now.timestamp())
        life = min(self._deps.settings.exchange_life, left)
        token = self._deps.signer.issue(current, now=now, after=None, lifetime=life)
        self._deps.meter.issued("exchange")
        return token

    async def revoke(self, caller: Caller, agent: str, target: Target, asked: RequestIdentity) -> Revoked:
        """Revoke tokens of `agent`, and end what was made with them if that is said.

        Raises CredentialInvalid (not a token of this issuer, or another's), AgentNotFound, or
        PermissionDenied (an agent that may not steer what was made; the tokens are revoked all the same).
        """
        now = self._deps.clock.now()
        owner = agent.removeprefix("agents/") if agent not in ("", "agents/me") else caller.agent
        settings = self._deps.settings
        longest = settings.admin_token_life if caller.kind is Kind.ADMIN else settings.token_life
        until = now + longest + _SPARE
        if target.everything:
            revocation = Revocation("", caller.tenant, owner, now, until)
            made = MadeBy(caller.tenant, owner, since=target.made_since)
        else:
            token_id = target.token_id or self._token_id(caller, owner, target.token or caller.token, now)
            family = token_id.partition(".")[0]
            anyones = bool(target.token_id) and not agent and caller.kind is Kind.ADMIN
            revocation = Revocation(family, caller.tenant, "" if anyones else owner, now, until)
            made = MadeBy(caller.tenant, owner, family)

        def work(tx: Transaction) -> int:
            if dependencies.answered(tx, caller, asked) is not None:
                return tx.ledger.revision()
            revision = self._put(tx, caller, owner, target, revocation)
            dependencies.remember(tx, caller, asked, now)
            return revision

        revision = await self._deps.commit(
            work, RuleChange(caller.tenant, frozenset({names.agent_name(owner)}))
        )
        if target.made is Fate.STAY:
            return Revoked(revision)
        # Afterwards, and in transactions of their own: from the first one on nothing more is made.
        return Revoked(revision, await self._offspring.end(caller, made, target.made))

    def _put(
        self, tx: Transaction, caller: Caller, owner: str, target: Target, revocation: Revocation
    ) -> int:
        now = revocation.revoke_time
        known = tx.agents.get(caller.tenant, owner) or tx.persons.get(caller.tenant, owner)
        if owner != caller.agent and known is None:
            name = names.agent_name(owner)
            raise AgentNotFound(f"no agent {name}", metadata={"agent": name})
        revision = tx.ledger.bump()
        charged = _charge(tx, caller, revocation)
        tx.tokens.revoke([dataclasses.replace(revocation, revision=revision, charged=charged)])
        if target.everything and target.key_too:
            tx.agents.drop_keys(caller.tenant, [owner])
            person = tx.persons.get(caller.tenant, owner)
            if person is not None:
                tx.persons.update(dataclasses.replace(person, key_hash=""))
        done = dependencies.event(caller, "RevokeToken", "access.revoke", names.agent_name(owner))
        dependencies.record(tx, caller.tenant, now, [done])
        return revision

    def public_keys(self) -> list[PublicKey]:
        """Return the keys that verify tokens, newest first."""
        return self._deps.signer.public_keys()

    async def forget(self) -> None:
        """Delete what need not be remembered any more: expired revocations, answers older than a day."""
        now = self._deps.clock.now()
        await self._deps.store.write(lambda tx: tx.ledger.forget(now))

        def work(tx: Transaction) -> int:
            gone = tx.tokens.forget(now, _BATCH)
            for one in gone:
                if one.charged:
                    tx.usage.add(dependencies.owner_of(tx, one.tenant, one.charged), revocations=-1)
            tx.usage.settle(self._deps.settings.caps)
            return len(gone)

        while await self._deps.store.write(work) == _BATCH:
            pass

    async def _issue(
        self,
        holder: Principal,
        lifetime: timedelta | None,
        how: str,
        still_holds: Callable[[Transaction], bool] = lambda _tx: True,
    ) -> Token:
        """Issue a token after the last revocation of all its holder's tokens.

        `still_holds` is asked in the same look: a key that ended with that revocation gives no token later.
        """

        def load(tx: Transaction) -> tuple[Principal, datetime | None]:
            if not still_holds(tx):
                raise CredentialInvalid("the key has just ended")
            after = tx.tokens.revoked_until(holder.tenant, holder.agent)
            return dataclasses.replace(_current(tx, holder), audience=holder.audience), after

        current, after = await self._deps.store.read(load)
        settings, now = self._deps.settings, self._deps.clock.now()
        # Who has a key needs no token that lives for days; the first administrator has none but its file's.
        is_admin = current.kind is Kind.ADMIN and current.agent == FIRST_ADMINISTRATOR
        life = min(
            lifetime or settings.token_life, settings.admin_token_life if is_admin else settings.token_life
        )
        if holder.session_id:
            current = dataclasses.replace(
                current, session_id=holder.session_id, authenticated_at=holder.authenticated_at
            )
            longest = settings.admin_token_life if is_admin else settings.session_life
            left = holder.authenticated_at + longest.total_seconds() - now.timestamp()
            if left < _LEAST_SECONDS:
                most = f"{longest.total_seconds():.0f}"
                raise CredentialExpired(
                    f"the token's family is older than {most} s: authenticate with the key again",
                    metadata={"limit": "session_life", "seconds": most},
                )
            life = min(life, timedelta(seconds=left))
        token = self._deps.signer.issue(current, now=now, after=after, lifetime=life)
        self._deps.meter.issued(how)
        return token

    def _token_id(self, caller: Caller, owner: str, text: str, now: datetime) -> str:
        holder = self._deps.signer.verify(text, now=now)
        if (holder.tenant, holder.agent) != (caller.tenant, owner):
            raise InvalidRequest.field("agent", "the token is another agent's: name that agent")
        return holder.session_id

    def _refused(self, how: str, message: str) -> CredentialInvalid | TooManyCalls:
        self._deps.meter.refused(how)
        wait = self._wrong.take(self._deps.clock.monotonic())
        if wait > 0:
            return TooManyCalls("too many wrong credentials", retry_after=wait)
        return CredentialInvalid(message)


def _current(tx: Transaction, holder: Principal) -> Principal:
    """Return the holder as the store knows it now. Raises AgentInactive."""
    if holder.kind in HUMAN:
        persons.holder(tx, holder.agent, holder.tenant, holder.kind)
    if holder.kind is not Kind.AGENT:
        return Principal(agent=holder.agent, tenant=holder.tenant, kind=holder.kind)
    agent = tx.agents.get(holder.tenant, holder.agent)
    name = names.agent_name(holder.agent)
    if agent is None or agent.state is not AgentState.ACTIVE:
        state = agent.state.value if agent else "unknown"
        raise AgentInactive(f"{name} is {state}", metadata={"agent": name, "state": state})
    return Principal(agent=agent.id, tenant=agent.tenant, kind=Kind.AGENT, parent=agent.parent)


def _charge(tx: Transaction, caller: Caller, revocation: Revocation) -> str:
    """Charge an agent for a token that it revokes by itself; return its id, or what is charged already.

    All tokens of an agent are one entry, which is always free: at its cap an agent can still shut all out.
    """
    known = tx.tokens.known(revocation)
    if known is not None or caller.kind is not Kind.AGENT or not revocation.token_id:
        return known.charged if known is not None else ""
    tx.usage.add(dependencies.owner_of(tx, caller.tenant, caller.agent), revocations=1)
    return caller.agent
