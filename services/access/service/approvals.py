"""Use cases of approvals: a person's say on one call with exactly these arguments."""

import dataclasses
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from services.access.core.agent_tree import root_of
from services.access.errors import (
    AgentNotFound,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalNotFound,
    EtagMismatch,
    QuotaExceeded,
)
from services.access.model import Approval, ApprovalState
from services.access.ports import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.watchers import nothing
from services.chassis.auth.identity import Caller, Kind
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import ApprovalRequired, PermissionDenied, QuotaViolation
from services.chassis.times import micros

_MAX_PAGE: Final = 200
_WATCH_PAGE: Final = 200
_KEEP_ALIVE: Final = 15.0


class ApprovalService:
    """Keeps the approvals of all tenants."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def request(
        self, caller: Caller, wanted: Approval, lifetime: timedelta, asked: RequestIdentity
    ) -> Approval:
        """Ask for an approval, or return the open one for the same call.

        `wanted` says the tenant, agent, action, resource, arguments, summary and syscall; the rest is set
        here. Raises AgentNotFound or QuotaExceeded.
        """
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Approval:
            known = dependencies.answered(tx, caller, asked)
            if known is not None:
                return _found(tx, wanted.tenant, known)
            agent = tx.agents.get(wanted.tenant, wanted.agent)
            if agent is None:
                name = names.agent_name(wanted.agent)
                raise AgentNotFound(f"no agent {name}", metadata={"agent": name})
            approval = tx.approvals.open_for(wanted, now)
            if approval is None:
                approval = self._insert(tx, dataclasses.replace(wanted, root=root_of(agent)), lifetime)
                done = dataclasses.replace(
                    dependencies.event(caller, "RequestApproval", "access.approval", _name(approval)),
                    arguments_sha256=approval.arguments_sha256,
                    approval=approval.id,
                )
                dependencies.record(tx, wanted.tenant, now, [done])
            dependencies.remember(tx, caller, asked, now, approval.id)
            return approval

        return await self._deps.commit(work, nothing(wanted.tenant))

    async def use(
        self,
        caller: Caller,
        tenant: str,
        name: str,
        *,
        agent: str,
        arguments_sha256: str,
        asked: RequestIdentity,
    ) -> Approval:
        """Spend an approval.

        Raises ApprovalNotFound, ApprovalRequired, ApprovalExpired or ApprovalDecided (used already).
        """
        now = self._deps.clock.now()

        def work(tx: Transaction) -> Approval:
            approval = _found(tx, tenant, _id(name))
            if dependencies.answered(tx, caller, asked) is not None:
                return approval
            if approval.agent != agent:
                raise _missing(name)
            state = approval.state_at(now)
            _must_not(approval, state, ApprovalState.EXPIRED, ApprovalState.USED)
            if state is not ApprovalState.APPROVED or approval.arguments_sha256 != arguments_sha256:
                raise ApprovalRequired(
                    f"{name} does not approve this call", metadata={"approval": name, "state": state.value}
                )
            spent = dataclasses.replace(approval, state=ApprovalState.USED, sequence=tx.ledger.advance())
            tx.approvals.update(spent)
            dependencies.remember(tx, caller, asked, now)
            done = dataclasses.replace(
                dependencies.event(caller, "UseApproval", "access.approval", name),
                arguments_sha256=arguments_sha256,
                approval=approval.id,
            )
            dependencies.record(tx, tenant, now, [done])
            return spent

        return await self._deps.commit(work, nothing(tenant))

    async def get(self, caller: Caller, name: str) -> Approval:
        """Return one approval. Raises ApprovalNotFound."""
        now = self._deps.clock.now()
        approval = await self._deps.store.read(lambda tx: _found(tx, caller.tenant, _id(name)))
        return dataclasses.replace(approval, state=approval.state_at(now))

    async def page(
        self, caller: Caller, *, agent: str, states: frozenset[ApprovalState], size: int, token: str
    ) -> tuple[list[Approval], str]:
        """List approvals, newest first; an agent sees its own. Raises PermissionDenied."""
        of = _visible(caller, agent)
        limit = paging.page_size(size, maximum=_MAX_PAGE)
        query = (caller.tenant, of, ",".join(sorted(state.value for state in states)), "approvals")
        position = [
            part for part in paging.decode(token, *query, shape=(int, str)) if isinstance(part, int | str)
        ]
        now = self._deps.clock.now()
        found = await self._deps.store.read(
            lambda tx: tx.approvals.page(
                caller.tenant, of, states=states, now=now, before=position, limit=limit + 1
            )
        )
        shown = [dataclasses.replace(one, state=one.state_at(now)) for one in found]
        if len(shown) <= limit:
            return shown, ""
        last = shown[limit - 1]
        return shown[:limit], paging.encode([micros(last.create_time), last.id], *query)

    async def decide(
        self,
        caller: Caller,
        name: str,
        *,
        approve: bool,
        comment: str,
        arguments_sha256: str,
        asked: RequestIdentity,
    ) -> Approval:
        """Approve or reject.

        Raises ApprovalNotFound, ApprovalDecided, ApprovalExpired, EtagMismatch (other arguments) or
        PermissionDenied (an approval of the caller's own tree).
        """
        now = self._deps.clock.now()
        wanted = ApprovalState.APPROVED if approve else ApprovalState.REJECTED

        def work(tx: Transaction) -> Approval:
            approval = _found(tx, caller.tenant, _id(name))
            _must_be_impartial(tx, caller, approval)
            if dependencies.answered(tx, caller, asked) is not None:
                return approval
            if arguments_sha256 and arguments_sha256 != approval.arguments_sha256:
                raise EtagMismatch("the approval is for other arguments", metadata={"approval": name})
            state = approval.state_at(now)
            _must_not(approval, state, ApprovalState.EXPIRED)
            if state is wanted:
                return approval
            if state is not ApprovalState.PENDING:
                raise _decided(approval, state)
            decided = dataclasses.replace(
                approval,
                state=wanted,
                decide_time=now,
                decider=caller.agent,
                comment=comment,
                sequence=tx.ledger.advance(),
            )
            tx.approvals.update(decided)
            dependencies.remember(tx, caller, asked, now)
            done = dataclasses.replace(
                dependencies.event(caller, "DecideApproval", "access.approve", name, reason=wanted.value),
                arguments_sha256=approval.arguments_sha256,
                approval=approval.id,
            )
            dependencies.record(tx, caller.tenant, now, [done])
            return decided

        return await self._deps.commit(work, nothing(caller.tenant))

    async def watch(self, caller: Caller, agent: str) -> AsyncGenerator[Approval | None, None]:
        """Stream the pending approvals, None when those were sent, then changes; None shows that it lives."""
        of = _visible(caller, agent)
        self._deps.meter.watching("approvals", 1)
        try:
            now = self._deps.clock.now()
            after, pending = await self._deps.store.read(
                lambda tx: (tx.ledger.sequence(), _all_pending(tx, caller.tenant, of, now))
            )
            for approval in pending:
                yield approval
            yield None
            with self._deps.poll.follow((dependencies.APPROVALS, caller.tenant)) as changed:
                while True:
                    changed.reset()
                    look = partial(self._deps.store.read, partial(_changed, caller.tenant, of, after))
                    batch = await self._deps.reads.read(("approvals", caller.tenant, of, after), look)
                    for approval in batch:
                        yield approval
                        after = approval.sequence
                    if batch:
                        continue
                    while not await changed.wait(_KEEP_ALIVE):
                        yield None
        finally:
            self._deps.meter.watching("approvals", -1)

    def _insert(self, tx: Transaction, wanted: Approval, lifetime: timedelta) -> Approval:
        now = self._deps.clock.now()
        limit = self._deps.settings.pending_approvals
        if tx.approvals.pending_count(wanted.tenant, wanted.agent, now) >= limit:
            name = names.agent_name(wanted.agent)
            raise QuotaExceeded(
                f"{name} has {limit} approvals pending",
                metadata={"limit": str(limit)},
                quota=QuotaViolation(name, f"{limit} pending approvals"),
            )
        approval = dataclasses.replace(
            wanted,
            id=dependencies.new_id(),
            state=ApprovalState.PENDING,
            create_time=now,
            expire_time=now + lifetime,
            sequence=tx.ledger.advance(),
        )
        tx.approvals.insert(approval)
        return approval


def _must_be_impartial(tx: Transaction, caller: Caller, approval: Approval) -> None:
    """Refuse an agent of the tree that waits.

    An agent makes descendants at will and steers them, so the root and all below it are one party, whatever
    grant, group or policy permits one of them. Raises PermissionDenied, also when either tree is not known.
    """
    if caller.kind is Kind.ADMIN:
        return
    agent = tx.agents.get(caller.tenant, caller.agent) if caller.kind is Kind.AGENT else None
    if agent is None or not approval.root or root_of(agent) == approval.root:
        name = _name(approval)
        raise PermissionDenied("no agent decides on an approval of its own tree", metadata={"approval": name})


def _all_pending(tx: Transaction, tenant: str, agent: str, now: datetime) -> list[Approval]:
    states = frozenset({ApprovalState.PENDING})
    return tx.approvals.page(tenant, agent, states=states, now=now, before=(), limit=10_000)[::-1]


def _changed(tenant: str, agent: str, after: int, tx: Transaction) -> list[Approval]:
    return tx.approvals.changed(tenant, agent, after, _WATCH_PAGE)


def _visible(caller: Caller, agent: str) -> str:
    wanted = agent.removeprefix("agents/")
    if caller.kind is not Kind.AGENT:
        return wanted
    if wanted not in ("", caller.agent):
        raise PermissionDenied("an agent sees its own approvals", metadata={"agent": agent})
    return caller.agent


def _must_not(approval: Approval, state: ApprovalState, *bad: ApprovalState) -> None:
    if state not in bad:
        return
    if state is ApprovalState.EXPIRED:
        raise ApprovalExpired(f"{_name(approval)} has expired", metadata={"approval": _name(approval)})
    raise _decided(approval, state)


def _decided(approval: Approval, state: ApprovalState) -> ApprovalDecided:
    return ApprovalDecided(
        f"{_name(approval)} is {state.value}", metadata={"approval": _name(approval), "state": state.value}
    )


def _found(tx: Transaction, tenant: str, approval_id: str) -> Approval:
    approval = tx.approvals.get(tenant, approval_id)
    if approval is None:
        raise _missing(f"approvals/{approval_id}")
    return approval


def _missing(name: str) -> ApprovalNotFound:
    return ApprovalNotFound(f"no approval {name}", metadata={"approval": name})


def _id(name: str) -> str:
    return name.removeprefix("approvals/")


def _name(approval: Approval) -> str:
    return f"approvals/{approval.id}"
