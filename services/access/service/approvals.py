"""Use cases of approvals: a person's say on one call with exactly these arguments."""

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from services.access.core import people, shown_text
from services.access.core.agent_tree import root_of
from services.access.errors import (
    AgentNotFound,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalNotFound,
    EtagMismatch,
)
from services.access.model.approvals import Approval, ApprovalState, Vote
from services.access.ports.store import Transaction
from services.access.service import dependencies
from services.access.service.dependencies import Dependencies
from services.access.service.pending import check_room
from services.access.service.watchers import nothing
from services.chassis.auth.identity import Caller, Kind
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Owner
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import ApprovalRequired, InvalidRequest, PermissionDenied
from services.chassis.times import micros

_MAX_PAGE: Final = 200
_WATCH_PAGE: Final = 200
_KEEP_ALIVE: Final = 15.0
_MOST_OPEN: Final = 100_000
_BATCH: Final = 500


@dataclasses.dataclass(frozen=True, slots=True)
class ArgumentsPart:
    """A part of the whole arguments of an approval."""

    approval: Approval
    content: bytes
    shown: str
    following: int
    """Where the next part begins; 0: there is none. Unit: bytes."""


class ApprovalService:
    """Keeps the approvals of all tenants."""

    def __init__(self, ports: Dependencies) -> None:
        self._deps = ports

    async def request(
        self,
        caller: Caller,
        wanted: Approval,
        lifetime: timedelta,
        asked: RequestIdentity,
        *,
        arguments: str = "",
        description: str = "",
    ) -> Approval:
        """Ask for an approval, or return the open one for the same call.

        `wanted` says the tenant, agent, action, resource and its version, the arguments' hash and the
        syscall; `arguments` are the whole of them and `description` what would happen; else what `wanted`
        says is all that there is. What is shown of them is made here. Raises AgentNotFound, QuotaExceeded or
        InvalidRequest.
        """
        wanted, content = await asyncio.to_thread(_shown, wanted, arguments, description)

        def work(tx: Transaction) -> Approval:
            now = self._deps.clock.now()
            known = dependencies.answered(tx, caller, asked)
            if known is not None:
                return _found(tx, wanted.tenant, known)
            agent = tx.agents.get(wanted.tenant, wanted.agent)
            if agent is None:
                name = names.agent_name(wanted.agent)
                raise AgentNotFound(f"no agent {name}", metadata={"agent": name})
            found = tx.approvals.open_for(wanted, now)
            approval = _usable(tx, found)
            if found is not None and approval is None:
                _cancel(tx, found)
            if approval is None:
                new = dataclasses.replace(wanted, root=root_of(agent))
                approval = self._insert(tx, new, content, lifetime, now)
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
        resource_version: str = "",
    ) -> Approval:
        """Spend an approval.

        Raises ApprovalNotFound, ApprovalRequired, ApprovalExpired or ApprovalDecided (used already).
        """

        def work(tx: Transaction) -> Approval:
            now = self._deps.clock.now()
            approval = _found(tx, tenant, _id(name))
            if dependencies.answered(tx, caller, asked) is not None:
                return approval
            if approval.agent != agent:
                raise _missing(name)
            state = approval.state_at(now)
            _must_not(approval, state, ApprovalState.EXPIRED, ApprovalState.USED)
            same = (approval.arguments_sha256, approval.resource_version)
            if state is not ApprovalState.APPROVED or same != (arguments_sha256, resource_version):
                raise _not_for(approval, state.value)
            if _usable(tx, approval) is None:
                raise _not_for(approval, "withdrawn")
            spent = dataclasses.replace(approval, state=ApprovalState.USED, sequence=tx.ledger.advance())
            tx.approvals.update(spent)
            tx.approvals.drop_arguments(tenant, approval.id)
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

    async def arguments(self, caller: Caller, name: str, offset: int, most: int) -> ArgumentsPart:
        """Return a part of the whole arguments of an open approval. Raises ApprovalNotFound."""

        def look(tx: Transaction) -> tuple[Approval, bytes]:
            approval = _found(tx, caller.tenant, _id(name))
            content = tx.approvals.arguments(caller.tenant, approval.id)
            if content is None:
                raise ApprovalNotFound(f"the arguments of {name} are not kept", metadata={"approval": name})
            return approval, content

        approval, content = await self._deps.store.read(look)
        part = content[offset : offset + most]
        shown = await asyncio.to_thread(shown_text.part, part.decode(errors="replace"))
        end = offset + len(part)
        following = end if end < len(content) else 0
        return ArgumentsPart(approval, part, shown.text, following)

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
        """Approve or reject; where several people are wanted, the approval stays pending until all have.

        Raises ApprovalNotFound, ApprovalDecided, ApprovalExpired, EtagMismatch (other arguments),
        InvalidRequest (the arguments were cut and their hash is not given) or PermissionDenied (no person,
        and no agent that may).
        """
        wanted = ApprovalState.APPROVED if approve else ApprovalState.REJECTED
        comment = shown_text.line(comment, shown_text.MAX_COMMENT)

        def work(tx: Transaction) -> Approval:
            now = self._deps.clock.now()
            approval = _found(tx, caller.tenant, _id(name))
            _must_be_decider(tx, caller, approval)
            if dependencies.answered(tx, caller, asked) is not None:
                return approval
            _must_be_for(approval, arguments_sha256)
            state = approval.state_at(now)
            _must_not(approval, state, ApprovalState.EXPIRED)
            if state is wanted or (approve and _said(approval, caller, state)):
                return approval
            if state is not ApprovalState.PENDING:
                raise _decided(approval, state)
            if approve:
                _must_have_seen(approval, arguments_sha256)
            vote = Vote(caller.agent, caller.kind, approve, comment, now)
            decided = _counted(tx, caller, approval, vote)
            decided = dataclasses.replace(decided, sequence=tx.ledger.advance())
            tx.approvals.update(decided)
            if decided.state is ApprovalState.REJECTED:
                tx.approvals.drop_arguments(caller.tenant, approval.id)
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

    async def forget(self) -> None:
        """Delete the arguments of approvals that are not open any more, and approvals that ended long ago."""
        now = self._deps.clock.now()
        await self._deps.store.write(lambda tx: tx.approvals.forget_arguments(now))

        def work(tx: Transaction) -> int:
            gone = tx.approvals.forget(now - self._deps.settings.approval_life, _BATCH)
            for approval in gone:
                tx.usage.add(dependencies.owner_of(tx, approval.tenant, approval.agent), approval_rows=-1)
            tx.usage.settle(self._deps.settings.caps)
            return len(gone)

        while await self._deps.store.write(work) == _BATCH:
            pass

    def _insert(
        self, tx: Transaction, wanted: Approval, content: bytes | None, lifetime: timedelta, now: datetime
    ) -> Approval:
        caps, owner = self._deps.settings.caps, Owner(wanted.tenant, wanted.agent, wanted.root)
        check_room(tx, owner, wanted.arguments_bytes, caps, now)
        tx.usage.add(owner, approval_rows=1)
        approval = dataclasses.replace(
            wanted,
            id=dependencies.new_id(),
            state=ApprovalState.PENDING,
            create_time=now,
            expire_time=now + lifetime,
            sequence=tx.ledger.advance(),
            required=people.required_deciders(tx.approval_rules.of(wanted.tenant), wanted),
        )
        tx.approvals.insert(approval)
        if content is not None:
            tx.approvals.put_arguments(approval, content)
        return approval


def _shown(wanted: Approval, arguments: str, description: str) -> tuple[Approval, bytes | None]:
    """Return what is asked as it is shown, and the arguments if all are known. Raises InvalidRequest."""
    arguments = arguments or wanted.arguments_preview
    content = arguments.encode()
    whole = hashlib.sha256(content).hexdigest() == wanted.arguments_sha256
    if not whole and arguments != wanted.arguments_preview:
        raise InvalidRequest.field("arguments", "do not have the hash that is asked for")
    if shown_text.part(wanted.resource).text != wanted.resource:
        raise InvalidRequest.field("approval.resource", "holds characters that do not show")
    show = shown_text.arguments if whole else shown_text.unknown_arguments
    preview = show(arguments, wanted.arguments_sha256)
    shown = dataclasses.replace(
        wanted,
        arguments_preview=preview.text,
        preview_truncated=preview.truncated,
        arguments_bytes=len(content) if whole else 0,
        summary=shown_text.line(description or wanted.summary, shown_text.MAX_SUMMARY),
    )
    return shown, content if whole else None


def _must_be_decider(tx: Transaction, caller: Caller, approval: Approval) -> None:
    """Refuse whoever is neither a person nor an agent that may decide. Raises PermissionDenied.

    That an agent is named by an administrator's policy is decided with the permission; here it is kept out of
    its own tree, where nothing permits it.
    """
    name = _name(approval)
    if caller.kind in people.HUMAN:
        if people.may_act(tx.persons.get(caller.tenant, caller.agent), caller.agent, caller.kind):
            return
        raise PermissionDenied("only active persons decide", metadata={"approval": name})
    if approval.action in people.PEOPLE_ALONE:
        raise PermissionDenied("only people decide what agents share", metadata={"approval": name})
    agent = tx.agents.get(caller.tenant, caller.agent) if caller.kind is Kind.AGENT else None
    if not people.is_impartial(agent, approval):
        raise PermissionDenied("no agent decides on an approval of its own tree", metadata={"approval": name})


def _must_be_for(approval: Approval, arguments_sha256: str) -> None:
    if arguments_sha256 and arguments_sha256 != approval.arguments_sha256:
        raise EtagMismatch("the approval is for other arguments", metadata={"approval": _name(approval)})


def _must_have_seen(approval: Approval, arguments_sha256: str) -> None:
    """Refuse to approve what the preview does not show unless its hash is named. Raises InvalidRequest."""
    if approval.preview_truncated and not arguments_sha256:
        why = "required to approve: the preview does not show all of the arguments"
        raise InvalidRequest.field("arguments_sha256", why)


def _said(approval: Approval, caller: Caller, state: ApprovalState) -> bool:
    return state is ApprovalState.PENDING and caller.agent in people.approvers(approval)


def _counted(tx: Transaction, caller: Caller, approval: Approval, vote: Vote) -> Approval:
    """Return the approval with one more vote: decided by a rejection, or when enough people have approved."""
    needed = people.required_deciders(tx.approval_rules.of(caller.tenant), approval)
    if needed > 1 and caller.kind is Kind.AGENT:
        raise PermissionDenied(
            f"{needed} people must decide, and an agent is none", metadata={"approval": _name(approval)}
        )
    others = tuple(one for one in approval.votes if one.decider != vote.decider)
    voted = dataclasses.replace(approval, votes=(*others, vote), required=needed)
    if vote.approved and len(people.approvers(voted)) < needed:
        return voted
    return dataclasses.replace(
        voted,
        state=ApprovalState.APPROVED if vote.approved else ApprovalState.REJECTED,
        decide_time=vote.time,
        decider=vote.decider,
        comment=vote.comment,
    )


def _usable(tx: Transaction, approval: Approval | None) -> Approval | None:
    """Return an open approval, or None when it was given by too few of those who may act now."""
    if approval is None or approval.state is ApprovalState.PENDING:
        return approval
    still = [vote for vote in approval.votes if vote.approved and _still_decides(tx, approval, vote)]
    return approval if len({vote.decider for vote in still}) >= approval.required else None


def _still_decides(tx: Transaction, approval: Approval, vote: Vote) -> bool:
    if vote.kind is Kind.AGENT:
        return people.is_impartial(tx.agents.get(approval.tenant, vote.decider), approval)
    return people.may_act(tx.persons.get(approval.tenant, vote.decider), vote.decider, vote.kind)


def _cancel(tx: Transaction, approval: Approval) -> None:
    sequence = tx.ledger.advance()
    tx.approvals.update(dataclasses.replace(approval, state=ApprovalState.CANCELLED, sequence=sequence))
    tx.approvals.drop_arguments(approval.tenant, approval.id)


def withdraw(tx: Transaction, tenant: str, person: str, now: datetime) -> None:
    """Take back what a person has said to approvals that are still open."""
    states = frozenset({ApprovalState.PENDING, ApprovalState.APPROVED})
    for approval in tx.approvals.page(tenant, "", states=states, now=now, before=(), limit=_MOST_OPEN):
        votes = tuple(vote for vote in approval.votes if vote.decider != person)
        if votes == approval.votes:
            continue
        if approval.state is ApprovalState.APPROVED:
            _cancel(tx, approval)
        else:
            tx.approvals.update(dataclasses.replace(approval, votes=votes, sequence=tx.ledger.advance()))


def _not_for(approval: Approval, state: str) -> ApprovalRequired:
    name = _name(approval)
    return ApprovalRequired(f"{name} does not approve this call", metadata={"approval": name, "state": state})


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
