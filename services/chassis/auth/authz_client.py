"""Authorisation: the port that every call passes, and the client of the access manager behind it."""

import math
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.auth.check_batcher import CheckBatcher
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.kept_decisions import KeptDecisions, Key
from services.chassis.auth.rules import Listener, RulesChanged, Withdrawal
from services.chassis.auth.tokens import Revocations
from services.chassis.rpc.client import ServiceCredential
from services.chassis.rpc.errors import (
    AccessUnavailable,
    AgentInactive,
    ApprovalRequired,
    KernelError,
    PermissionDenied,
    PreconditionViolation,
)
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger
from services.chassis.streams import LongStream, events_of, follow_forever

_log = logger(__name__)

_KINDS: Final = {
    Kind.AGENT: resources_pb2.PRINCIPAL_KIND_AGENT,
    Kind.ADMIN: resources_pb2.PRINCIPAL_KIND_ADMIN,
    Kind.SERVICE: resources_pb2.PRINCIPAL_KIND_SERVICE,
    Kind.PERSON: resources_pb2.PRINCIPAL_KIND_PERSON,
}
_MISSED_HEARTBEATS: Final = 3
_CONFIRM_SECONDS: Final = 0.5
_MARK_SECONDS: Final = 5.0
_LONGEST_SOURCE: Final = 1200


@dataclass(frozen=True, slots=True)
class PermissionCheck:
    """Whether `principal` may do `action` on `resource`."""

    principal: Principal
    action: str
    """A permission such as `memory.read`."""
    resource: str
    """Full resource name, `me` resolved."""
    read: bool = False
    """Whether the call changes nothing, so that a recent permission may outlive an outage of access."""
    untrusted: bool = False
    """Whether the call is about content that nobody vouches for, whatever the principal has read."""
    effect: str = ""
    """What the tool that is called may change; empty: not known, or no tool."""
    approvable: bool = False
    """Whether the call waits for an approval by itself: one that needs it is let in and told so."""


@dataclass(frozen=True, slots=True)
class Permission:
    """That a call may go on, and what access knows of its caller."""

    until: float | None = None
    """When it ends by itself, in Unix seconds; None: it holds as long as the rules stay."""
    tree: str = ""
    """Id of the root of the calling agent's tree; empty when the caller is no agent."""
    owner_tree: str = ""
    """Id of the root above the agent that owns the resource; empty when none does."""
    untrusted: bool = False
    """Whether the calling agent has read content that nobody vouches for."""
    effect_matters: bool = False
    """Whether a rule in force looks at the effect of tools."""
    needs_approval: bool = False
    """Whether it holds once a person has approved the call; only for an approvable one."""


class Authorizer(Protocol):
    """Decides whether a call may go on, and keeps what callers have read."""

    async def authorize(self, question: PermissionCheck) -> Permission:
        """Return the permission.

        Raises PermissionDenied, AgentInactive, ApprovalRequired or AccessUnavailable.
        """
        ...

    async def mark(self, who: Principal, source: str) -> None:
        """Mark an agent as having read what nobody vouches for, before it gets content of `source`.

        When this returns every process decides by the mark. Raises AccessUnavailable: then nothing may be
        delivered.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Cached:
    error: type[KernelError] | None  # None: permitted
    until: float
    """When it is forgotten, on the monotonic clock. Unit: seconds."""
    permission: Permission


class AccessAuthorizer:
    """Asks the access manager and remembers the answers until its rules change: see KeptDecisions.

    Run `watch` as a supervised background task: it follows the revision of the rules and the revoked tokens.
    While that stream is silent nothing is answered from memory, except reads permitted at most `max_age`
    seconds ago when access cannot be asked at all.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        credential: ServiceCredential,
        clock: Clock,
        *,
        revocations: Revocations | None = None,
        max_age: float = 5.0,
        max_cached: int = 50_000,
        heartbeat: float = 2.0,
    ) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._decisions = CheckBatcher(channel, credential)
        self._credential = credential
        self._clock = clock
        self._revocations = revocations or Revocations()
        self._max_age = max_age
        self._max_cached = max_cached
        self._heartbeat = heartbeat
        self._kept: KeptDecisions[_Cached] = KeptDecisions(max_cached)
        self._marked: set[tuple[str, str]] = set()
        """Agents that bear a mark at the present revision; forgotten with it, as a mark may be cleared."""
        self._revision = -1
        self._told = -1
        """The revision that the watch has told, and the listeners know of."""
        self._epoch = ""
        self._heard = -math.inf
        self._name = secrets.token_hex(8)
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Tell `listener` of every change of the rules, before it is confirmed."""
        self._listeners.append(listener)

    async def authorize(self, question: PermissionCheck) -> Permission:
        """Return the permission; see Authorizer."""
        who = question.principal
        key = (
            *(who.tenant, who.agent, who.kind),
            *(question.action, question.resource, question.effect, question.untrusted),
        )
        cached = self._kept.get(key)
        now = self._clock.monotonic()
        if cached is not None and now < cached.until and self.live:
            return _settle(cached.error, question, cached.permission)
        try:
            error, permission = await self._ask(key, question)
        except AccessUnavailable:
            if cached is not None and question.read and cached.error is None and now < cached.until:
                return cached.permission
            raise
        return _settle(error, question, permission)

    async def mark(self, who: Principal, source: str) -> None:
        """Mark an agent unless it is known to be marked; see Authorizer."""
        key = (who.tenant, who.agent)
        if key in self._marked and self.live:
            return
        request = access_pb2.MarkUntrustedRequest(
            tenant=who.tenant, agent=f"agents/{who.agent}", source=_cut(source)
        )
        try:
            metadata = await self._credential.metadata()
            done = await self._stub.MarkUntrusted(request, timeout=_MARK_SECONDS, metadata=metadata)
        except grpc.aio.AioRpcError as failure:
            _log.warning("an agent could not be marked", code=failure.code().name, text=failure.details())
            raise AccessUnavailable(
                "the content is from a source nobody vouches for, and that could not be noted",
                retry_after=1.0,
            ) from failure
        self._reached(done.revision)
        self._kept.withdrawn([Withdrawal(who.tenant, frozenset({f"agents/{who.agent}"}), mark=True)])
        self._bears_mark(key, done.revision)

    @property
    def live(self) -> bool:
        """Whether changes of the rules would be heard right now."""
        return self._clock.monotonic() - self._heard < _MISSED_HEARTBEATS * self._heartbeat

    async def problem(self) -> str | None:
        """Readiness check: None when the access manager is being heard."""
        return None if self.live else "the access manager is silent"

    async def watch(self) -> None:
        """Follow the rules for ever, connecting again when the stream breaks. Raises a refusal."""
        silence = _MISSED_HEARTBEATS * self._heartbeat
        await follow_forever(LongStream("rules", silence=silence), self._events, self._learn)

    async def _events(self) -> AsyncGenerator[access_pb2.WatchRevisionResponse, None]:
        heartbeat = Duration(seconds=max(1, round(self._heartbeat)))
        request = access_pb2.WatchRevisionRequest(heartbeat=heartbeat, watcher=self._name)
        call = self._stub.WatchRevision(request, metadata=await self._credential.metadata())
        async with aclosing(events_of(call)) as events:
            async for event in events:
                yield event

    async def _learn(self, event: access_pb2.WatchRevisionResponse) -> None:
        changed = event.revision > self._told or event.epoch != self._epoch
        withdrawals = _withdrawals(event) if event.epoch == self._epoch else None
        if event.epoch != self._epoch:
            self._epoch = event.epoch
            self._revision = self._told = -1
            self._kept.withdrawn(None)
            self._marked.clear()
        self._reached(event.revision)
        for revoked in event.revoked_tokens:
            self._revoke(revoked)
        self._heard = self._clock.monotonic()
        self._told = max(self._told, event.revision)
        if changed:
            self._kept.withdrawn(withdrawals)
        news = RulesChanged(self._revocations, withdrawals if changed else ())
        lost = news.withdrawals != () or bool(event.revoked_tokens)
        for listener in self._listeners if lost else ():
            listener(news)
        self._revocations.forget(self._clock.now().timestamp())
        if lost:
            await self._confirm()

    async def _confirm(self) -> None:
        """Let the access manager acknowledge what it told: nothing is delivered by older rules any more.

        Without it the acknowledgment waits in vain for a moment; that is no reason to leave the stream.
        """
        request = access_pb2.ConfirmRevisionRequest(watcher=self._name, revision=self._told)
        try:
            metadata = await self._credential.metadata()
            await self._stub.ConfirmRevision(request, timeout=_CONFIRM_SECONDS, metadata=metadata)
        except (grpc.aio.AioRpcError, AccessUnavailable) as failure:
            _log.warning("a revision could not be confirmed", revision=self._told, why=str(failure))

    def _revoke(self, revoked: resources_pb2.RevokedToken) -> None:
        forget_at = _unix(revoked.expire_time)
        agent = revoked.agent.removeprefix("agents/")
        if revoked.token_id:
            self._revocations.revoke_token(
                revoked.token_id, tenant=revoked.tenant, agent=agent, forget_at=forget_at
            )
        elif agent:
            self._revocations.revoke_agent(
                revoked.tenant,
                agent,
                issued_until=_unix(revoked.revoke_time),
                forget_at=forget_at,
            )

    def _reached(self, revision: int) -> None:
        if revision > self._revision:
            self._revision = revision
            self._kept.changed()
            self._marked.clear()

    def _bears_mark(self, key: tuple[str, str], revision: int) -> None:
        if revision == self._revision and len(self._marked) < self._max_cached:
            self._marked.add(key)

    async def _ask(self, key: Key, question: PermissionCheck) -> tuple[type[KernelError] | None, Permission]:
        who = question.principal
        request = access_pb2.CheckRequest(
            principal=resources_pb2.Principal(
                agent=f"agents/{who.agent}", tenant=who.tenant, kind=_KINDS[who.kind]
            ),
            action=question.action,
            resource=question.resource,
            untrusted=question.untrusted,
            effect=question.effect,
        )
        decision = await self._decisions.decide(request)
        error = None if decision.allowed else _DENIALS.get(decision.reason, PermissionDenied)
        permission = Permission(
            until=_unix(decision.expire_time) if decision.HasField("expire_time") else None,
            tree=decision.tree,
            owner_tree=decision.owner_tree,
            untrusted=decision.untrusted,
            effect_matters=decision.effect_matters,
        )
        self._remember(key, decision, _Cached(error, math.inf, permission))
        return error, permission

    def _remember(self, key: Key, decision: resources_pb2.Decision, made: _Cached) -> None:
        self._reached(decision.revision)
        if decision.untrusted:
            self._bears_mark((key[0], key[1]), decision.revision)
        if decision.revision < self._revision:
            return  # decided by rules that have changed since
        life = self._max_age
        if made.permission.until is not None:
            life = min(life, made.permission.until - self._clock.now().timestamp())
        known = made.permission
        plain = made.error is None and not known.untrusted and not known.effect_matters
        self._kept.put(key, replace(made, until=self._clock.monotonic() + life), plain=plain)


_DENIALS: Final[dict[int, type[KernelError]]] = {
    resources_pb2.DECISION_REASON_AGENT_INACTIVE: AgentInactive,
    resources_pb2.DECISION_REASON_APPROVAL_REQUIRED: ApprovalRequired,
}


def _settle(error: type[KernelError] | None, question: PermissionCheck, permission: Permission) -> Permission:
    if error is None:
        return permission
    if error is ApprovalRequired and question.approvable:
        return replace(permission, needs_approval=True)
    who = f"agents/{question.principal.agent}"
    metadata = {"agent": who, "action": question.action, "resource": question.resource}
    if error is AgentInactive:
        raise AgentInactive(f"{who} is suspended or killed", metadata=metadata)
    if error is ApprovalRequired:
        raise ApprovalRequired(
            f"{who} may {question.action} {question.resource} once a person has approved it",
            metadata=metadata,
            precondition=PreconditionViolation("APPROVAL", question.resource, "not approved yet"),
        )
    raise error(f"{who} may not {question.action} {question.resource}", metadata=metadata)


def _withdrawals(event: access_pb2.WatchRevisionResponse) -> tuple[Withdrawal, ...] | None:
    """Return what an event says was withdrawn; None when it does not know all of it."""
    if not event.complete:
        return None
    return tuple(
        Withdrawal(change.tenant, frozenset(change.agents), mark=change.mark) for change in event.changes
    )


def _cut(source: str) -> str:
    return source.encode()[:_LONGEST_SOURCE].decode(errors="ignore")


def _unix(moment: Timestamp) -> float:
    return moment.seconds + moment.nanos / 1e9
