"""Use cases of agents: register, read, list, change, suspend, resume, kill, watch."""

import dataclasses
import secrets
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from services.access.core import agent_tree, audit_chain, caps, tombstones
from services.access.core.actions import PRIVILEGE
from services.access.core.decision import decide, gather_input
from services.access.core.people import FIRST_ADMINISTRATOR
from services.access.errors import AgentExists, AgentNotFound, PolicyUnknown
from services.access.model.agents import Agent, AgentKey, AgentState, Token
from services.access.model.rules import Check
from services.access.ports.store import Transaction
from services.access.service import agent_keys, dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.marks import MarkService
from services.access.service.pending import pending
from services.access.service.steering import killed, maker_of, put_state, suspended
from services.access.service.watchers import RuleChange, nothing
from services.chassis.auth.identity import Caller, Kind, Principal
from services.chassis.dispatch.scheduling import Caps, Excess, Hints, excess
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Usage
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import AgentInactive, FieldViolation, InvalidRequest, PermissionDenied

Look = Callable[[int, int, Transaction], list[Agent]]

RESERVED: Final = frozenset({names.ME, FIRST_ADMINISTRATOR, audit_chain.ERASED})
_WATCH_PAGE: Final = 500
_KILL: Final = "KillAgent"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAgent:
    """What a caller says about an agent it registers."""

    id: str = ""
    """Empty: the kernel makes one."""
    parent: str = ""
    """Name of the parent as in the request; may be `agents/me` or empty."""
    tenant: str = ""
    """Empty: the caller's."""
    display_name: str = ""
    kind: str = ""
    hints: Hints = dataclasses.field(default_factory=Hints)
    caps: Caps | None = None
    """None: the parent's; for a root what its hints need."""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ttl: timedelta | None = None
    """How long it lives; None: as long as the parent."""
    exist_ok: bool = False
    """Whether an agent of that id and parent that lives is taken as it is."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A new agent with its credentials, or one that existed with a token."""

    agent: Agent
    token: Token
    key: str = dataclasses.field(repr=False)
    """Empty where it existed."""

    @property
    def existed(self) -> bool:
        """Whether it was registered before."""
        return not self.key


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """New values of an agent's fields; None leaves a field as it is."""

    display_name: str | None = None
    kind: str | None = None
    hints: Hints | None = None
    caps: Caps | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch."""

    agent: Agent
    initial: bool


def _concerning(agents: Sequence[Agent]) -> RuleChange:
    """Return the change that concerns what these agents may do, and what may be done with what they own."""
    return RuleChange(agents[0].tenant, frozenset(_name(agent) for agent in agents))


class AgentService:
    """Keeps the agents of all tenants."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports
        self.marks = MarkService(ports)
        """What they have read."""
        self.keys = agent_keys.AgentKeyService(ports)
        """Their keys."""

    async def register(self, caller: Caller, new: NewAgent, asked: RequestIdentity) -> Registered:
        """Register an agent and issue its first credentials.

        With `exist_ok` an agent that has the id already is handed over as it is, with a token alone.
        Raises AgentExists, AgentNotFound (parent), AgentTreeLimit, AgentInactive, PermissionDenied or
        InvalidRequest.
        """
        tenant = self._tenant_of(caller, new)
        parent = self._parent_of(caller, new)
        agent_id = new.id or f"a-{secrets.token_hex(6)}"
        if agent_id in RESERVED:
            raise InvalidRequest.field("agent_id", f"{agent_id!r} is reserved")
        key = agent_keys.new_key()
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Registered:
            known = dependencies.answered(tx, caller, asked)
            if known is not None:
                agent = _found(tx, tenant, known)
                _must_live(agent)
            elif new.exist_ok and (there := tx.agents.get(tenant, agent_id)) and there.parent == parent:
                # Nothing was made, so nothing is remembered: a repeat is handed over another token.
                return Registered(there, agent_keys.hand_over(tx, self._deps, caller, there, now), "")
            else:
                agent = self._insert(tx, caller, new, tenant=tenant, parent=parent, agent_id=agent_id)
                dependencies.remember(tx, caller, asked, now, agent.id)
            tx.agents.drop_issued(tenant, agent.id, "")  # the one that the first answer showed
            tx.agents.add_key(AgentKey(agent_keys.key_hash(key), tenant, agent.id, now))
            dependencies.record(
                tx, tenant, now, [dependencies.event(caller, "RegisterAgent", "agent.register", _name(agent))]
            )
            return Registered(agent, agent_keys.token_for(tx, self._deps, agent, now), key)

        made = await self._deps.commit(work, nothing(tenant))
        self._deps.meter.issued("registration")
        return made

    def tenant_weight(self, tenant: str) -> int:
        """Return the share of a tenant against the others."""
        return self._deps.settings.tenant_weights.get(tenant, 1)

    async def get(self, caller: Caller, agent: str) -> Agent:
        """Return one agent of the caller's tenant. Raises AgentNotFound."""
        return await self._deps.store.read(lambda tx: _found(tx, caller.tenant, agent))

    async def usage(self, caller: Caller) -> list[Usage]:
        """Return how much the agent that a call is about, its tree and its tenant use of each quota."""
        caps, now, owner = self._deps.settings.caps, self._deps.clock.now(), caller.charged

        def work(tx: Transaction) -> list[Usage]:
            counted = pending(tx, owner, caps, now)
            names_of = {one.quota for one in counted}
            return [*(one for one in tx.usage.told(owner, caps) if one.quota not in names_of), *counted]

        return await self._deps.store.read(work)

    async def page(self, caller: Caller, parent: str, size: int, token: str) -> tuple[list[Agent], str]:
        """List agents by id; return a page and the token of the next. Raises InvalidPageToken."""
        under = self._under(caller, parent)
        limit = paging.page_size(size)
        position = paging.decode(token, caller.tenant, under, "agents", shape=(str,))
        after = str(position[0]) if position else ""
        found = await self._deps.store.read(lambda tx: tx.agents.page(caller.tenant, under, after, limit + 1))
        if len(found) <= limit:
            return found, ""
        return found[:limit], paging.encode([found[limit - 1].id], caller.tenant, under, "agents")

    async def update(self, caller: Caller, agent: str, changes: Changes, etag: str) -> Agent:
        """Change fields of an agent.

        Lowered caps lower the hints, and those of the descendants. Raises AgentNotFound, EtagMismatch,
        AgentInactive (killed), PolicyUnknown or PermissionDenied (hints or caps above the caps).
        """
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Agent:
            before = _found(tx, caller.tenant, agent)
            dependencies.check_etag(etag, before.etag, _name(before))
            _must_live(before)
            given = {
                field.name: value
                for field in dataclasses.fields(changes)
                if (value := getattr(changes, field.name)) is not None
            }
            after = self._capped(tx, caller, before, dataclasses.replace(before, **given), changes)
            if after == before:
                return before
            if _texts(after) != _texts(before):
                depth = _depth_of(caller, before.id, before.ancestors)
                after = dataclasses.replace(after, texts_depth=depth)
            below = tx.agents.descendants(before) if after.caps != before.caps else []
            changed = agent_tree.touched(agent_tree.cap(after, below), tx.ledger.bump(), now)
            tx.agents.update(changed)
            after = changed[0]
            dependencies.record(
                tx,
                caller.tenant,
                now,
                [dependencies.event(caller, "UpdateAgent", "agent.update", _name(after))],
            )
            return after

        return await self._deps.commit(work, lambda after: _concerning([after]))

    async def suspend(self, caller: Caller, agent: str, reason: str) -> Agent:
        """Refuse the syscalls of an agent and its descendants.

        Raises AgentNotFound, or AgentInactive when it was killed.
        """
        return (await self._steer(caller, agent, "SuspendAgent", reason, suspended))[0]

    async def resume(self, caller: Caller, agent: str) -> Agent:
        """Lift an agent's own suspension; a suspended ancestor still holds it. Raises as `suspend`."""
        resumed, _ = await self._steer(
            caller, agent, "ResumeAgent", "", lambda root: dataclasses.replace(root, suspended=False)
        )
        return resumed

    async def kill(self, caller: Caller, agent: str, reason: str) -> tuple[Agent, int]:
        """End an agent and its descendants for good; return it and how many ended. Raises AgentNotFound."""
        return await self._steer(caller, agent, _KILL, reason, killed)

    async def watch(self, caller: Caller, parent: str) -> AsyncGenerator[Change, None]:
        """Stream the agents as they are, then every change, until the caller leaves.

        A process of the kernel sees those of all tenants.
        """
        look: Look = _changed_anywhere
        topic: Hashable = dependencies.RULES
        if caller.kind is not Kind.SERVICE:
            topic = (dependencies.RULES, caller.tenant)
            look = partial(_changed, caller.tenant, self._under(caller, parent))
        self._deps.meter.watching("agents", 1)
        try:
            after = 0
            initial_until = await self._deps.store.read(lambda tx: tx.ledger.revision())
            with self._deps.poll.follow(topic) as changed:
                while True:
                    changed.reset()
                    shown = (topic, caller.kind, caller.agent, parent, after)
                    batch = await self._deps.reads.read(shown, partial(self._whole_revisions, look, after))
                    for agent in batch:
                        yield Change(agent, initial=agent.revision <= initial_until)
                        after = agent.revision
                    if not batch:
                        await changed.wait()
        finally:
            self._deps.meter.watching("agents", -1)

    async def _whole_revisions(self, look: Look, after: int) -> list[Agent]:
        """Return the agents of whole revisions after `after`, so that none is cut in two by the page size."""
        limit = _WATCH_PAGE
        while True:
            found = await self._deps.store.read(partial(look, after, limit))
            if len(found) < limit:
                return found
            whole = [agent for agent in found if agent.revision < found[-1].revision]
            if whole:
                return whole
            limit *= 2

    async def _steer(
        self, caller: Caller, agent: str, method: str, reason: str, alter: Callable[[Agent], Agent]
    ) -> tuple[Agent, int]:
        now = self._deps.clock.now()

        def work(tx: Transaction) -> tuple[list[Agent], int]:
            before = _found(tx, caller.tenant, agent)
            root = alter(before)
            if method != _KILL:
                _must_live(before)
            if root == before:
                return [before], 0
            changed = put_state(tx, root, now, self._deps.settings.token_life)
            ended = sum(one.state is AgentState.KILLED for one in changed)
            done = dependencies.event(caller, method, "agent.control", _name(root), reason=reason[:64])
            dependencies.record(tx, caller.tenant, now, [done])
            return changed, ended

        changed, ended = await self._deps.commit(work, lambda made: _concerning(made[0]))
        return changed[0], ended

    def _insert(
        self, tx: Transaction, caller: Caller, new: NewAgent, *, tenant: str, parent: str, agent_id: str
    ) -> Agent:
        now = self._deps.clock.now()
        ancestors: tuple[str, ...] = ()
        above: Agent | None = None
        if parent:
            above = _found(tx, tenant, parent)
            if above.state is not AgentState.ACTIVE:
                raise AgentInactive(
                    f"agents/{parent} is {above.state.value}", metadata={"agent": _name(above)}
                )
            children = tx.agents.living_children(tenant, parent)
            ancestors = agent_tree.ancestors_of_child(above, children, self._deps.settings.tree)
        if tx.purges.is_buried(tenant, tombstones.digest(tenant, agent_id)):
            # An id means one agent for ever, also when nothing of that agent is left.
            raise AgentExists(f"agents/{agent_id} was purged", metadata={"agent": names.agent_name(agent_id)})
        caps = self._caps_of_new(tx, caller, new, above)
        agent = Agent(
            tenant=tenant,
            id=agent_id,
            parent=parent,
            ancestors=ancestors,
            display_name=new.display_name or agent_id,
            kind=new.kind,
            hints=new.hints,
            labels=dict(new.labels),
            suspended=False,
            state=AgentState.ACTIVE,
            revision=tx.ledger.bump(),
            create_time=now,
            update_time=now,
            caps=caps,
            maker=dependencies.maker(caller),
            expire_time=agent_tree.end_of_child(above, new.ttl, now),
            texts_depth=_depth_of(caller, agent_id, ancestors),
            **_inherited_mark(tx, caller, above, now),
        )
        # Tokens, revocations and the audit name persons as they name agents: an id is never both.
        if tx.persons.get(tenant, agent_id) is not None or not tx.agents.insert(agent):
            raise AgentExists(f"agents/{agent_id} exists already", metadata={"agent": _name(agent)})
        tx.usage.add(maker_of(agent), agents=1, agent_rows=1)
        return agent

    def _caps_of_new(self, tx: Transaction, caller: Caller, new: NewAgent, above: Agent | None) -> Caps:
        """Return the caps of a new agent. Raises PermissionDenied or PolicyUnknown."""
        self._check_policy(new.hints.policy)
        limit = caps.covering(Caps(), new.hints) if above is None else above.caps
        wanted = new.caps or limit
        over = excess(new.hints, wanted)
        if above is not None:
            over = caps.wider(wanted, limit) or over
        elif caps.wider(wanted, Caps()):
            self._check_privilege(tx, caller, dependencies.me(caller), caps.wider(wanted, Caps()))
        if over is not None:
            raise _above(over)
        return wanted

    def _capped(
        self, tx: Transaction, caller: Caller, before: Agent, after: Agent, changes: Changes
    ) -> Agent:
        """Return the changed agent with hints within its caps. Raises PermissionDenied or PolicyUnknown.

        Who has the privilege raises the caps with the hints, up to the parent's; so does an ancestor, which
        has as much to give. An agent itself only lowers its caps.
        """
        if after.hints.policy != before.hints.policy:
            self._check_policy(after.hints.policy)
        above = tx.agents.get(before.tenant, before.parent) if before.parent else None
        wanted = after.caps
        if changes.hints is None:
            after = dataclasses.replace(after, hints=caps.lowered(after.hints, wanted))
        elif changes.caps is None:
            wanted = caps.covering(wanted, after.hints)
        if over := excess(after.hints, wanted):
            raise _above(over)
        raised = caps.wider(wanted, before.caps)
        if raised and above is not None and (beyond := caps.wider(wanted, above.caps)):
            raise _above(beyond)
        by_ancestor = caller.kind is Kind.AGENT and caller.agent in before.ancestors
        if raised and not by_ancestor:
            self._check_privilege(tx, caller, _name(before), raised)
        return dataclasses.replace(after, caps=wanted)

    def _check_policy(self, policy: str) -> None:
        known = self._deps.settings.scheduling_policies
        if policy and policy not in known:
            raise PolicyUnknown(
                f"no scheduling policy {policy!r}; known: {', '.join(known)}",
                metadata={"policy": policy, "known": ",".join(known)},
                violations=[FieldViolation("hints.policy", "no such policy")],
            )

    def _check_privilege(self, tx: Transaction, caller: Caller, resource: str, over: Excess | None) -> None:
        """Raise PermissionDenied, saying the cap, unless the caller may go above it."""
        principal = Principal(agent=caller.agent, tenant=caller.tenant, kind=caller.kind)
        case = gather_input(tx, Check(principal, PRIVILEGE, resource), self._deps.clock.now())
        if over is not None and not decide(self._deps.engine, case).allowed:
            raise _above(over, {"action": PRIVILEGE, "resource": resource})

    def _tenant_of(self, caller: Caller, new: NewAgent) -> str:
        if (new.tenant or caller.tenant) == self._deps.settings.service_tenant:
            raise InvalidRequest.field("tenant", "is reserved for the kernel's processes")
        if not new.tenant or new.tenant == caller.tenant:
            return caller.tenant
        if (
            caller.kind is Kind.ADMIN
            and caller.tenant == self._deps.settings.kernel_tenant
            and not new.parent
        ):
            return new.tenant
        raise PermissionDenied(
            "only an administrator of the kernel registers roots in another tenant",
            metadata={"tenant": new.tenant},
        )

    def _parent_of(self, caller: Caller, new: NewAgent) -> str:
        if new.parent:
            return agent_id_of(new.parent, caller, "parent")
        return caller.agent if caller.kind is Kind.AGENT else ""

    def _under(self, caller: Caller, parent: str) -> str:
        if parent:
            return agent_id_of(parent, caller, "parent")
        return caller.agent if caller.kind is Kind.AGENT else ""


def _inherited_mark(tx: Transaction, caller: Caller, above: Agent | None, now: datetime) -> dict[str, Any]:
    """Return the mark that a new agent is born with: its parent's, and that of the agent who registers it."""
    own = tx.agents.get(caller.tenant, caller.agent) if caller.kind is Kind.AGENT else None
    for one in (above, own):
        if one is not None and one.untrusted:
            return {"untrusted_since": now, "untrusted_source": _name(one)}
    return {}


def _texts(agent: Agent) -> tuple[str, str, dict[str, str]]:
    return agent.display_name, agent.kind, dict(agent.labels)


def _depth_of(caller: Caller, agent: str, ancestors: tuple[str, ...]) -> int | None:
    if caller.kind is not Kind.AGENT:
        return None
    return agent_tree.depth_of_writer(caller.agent, agent, ancestors)


def _changed_anywhere(after: int, limit: int, tx: Transaction) -> list[Agent]:
    return tx.agents.changed_anywhere(after, limit)


def _changed(tenant: str, under: str, after: int, limit: int, tx: Transaction) -> list[Agent]:
    return tx.agents.changed(tenant, under, after, limit)


def agent_id_of(name: str, caller: Caller, field: str) -> str:
    """Return the id in the name of an agent, `agents/me` resolved. Raises InvalidRequest, naming `field`."""
    parsed = names.parse(name, me=caller.agent, field=field)
    if not parsed.owner or parsed.collection:
        raise InvalidRequest.field(field, "expected the name of an agent: agents/{agent}")
    return parsed.owner


def _found(tx: Transaction, tenant: str, agent: str) -> Agent:
    found = tx.agents.get(tenant, agent)
    if found is None:
        raise AgentNotFound(f"no agent agents/{agent}", metadata={"agent": names.agent_name(agent)})
    return found


def _must_live(agent: Agent) -> None:
    if agent.state is AgentState.KILLED:
        raise AgentInactive(f"{_name(agent)} was killed", metadata={"agent": _name(agent)})


def _above(over: Excess, needed: Mapping[str, str] | None = None) -> PermissionDenied:
    unless = f"; more needs {PRIVILEGE}" if needed else ""
    return PermissionDenied(
        f"{over.hint}: asked for {over.asked}, but the cap is {over.cap}{unless}",
        metadata={"hint": over.hint, "asked": over.asked, "cap": over.cap, **(needed or {})},
    )


def _name(agent: Agent) -> str:
    return names.agent_name(agent.id)
