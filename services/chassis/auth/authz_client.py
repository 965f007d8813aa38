"""Authorisation: the port that every call passes, and the client of the access manager behind it."""

import asyncio
import math
import random
from dataclasses import dataclass
from typing import Final, Protocol

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.auth.check_batcher import CheckBatcher
from services.chassis.auth.identity import Kind, Principal
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

_log = logger(__name__)

_KINDS: Final = {
    Kind.AGENT: resources_pb2.PRINCIPAL_KIND_AGENT,
    Kind.ADMIN: resources_pb2.PRINCIPAL_KIND_ADMIN,
    Kind.SERVICE: resources_pb2.PRINCIPAL_KIND_SERVICE,
}
_MISSED_HEARTBEATS: Final = 3
_FIRST_RETRY: Final = 0.1
_LAST_RETRY: Final = 2.0


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


class Authorizer(Protocol):
    """Decides whether a call may go on."""

    async def authorize(self, question: PermissionCheck) -> None:
        """Return when permitted.

        Raises PermissionDenied, AgentInactive, ApprovalRequired or AccessUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Cached:
    error: type[KernelError] | None  # None: permitted
    at: float
    until: float


_Key = tuple[str, str, Kind, str, str]


class AccessAuthorizer:
    """Asks the access manager and remembers the answers until its rules change.

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
        self._cache: dict[_Key, _Cached] = {}
        self._revision = -1
        self._epoch = ""
        self._heard = -math.inf

    async def authorize(self, question: PermissionCheck) -> None:
        """Return when permitted; see Authorizer."""
        who = question.principal
        key = (who.tenant, who.agent, who.kind, question.action, question.resource)
        cached = self._cache.get(key)
        now = self._clock.monotonic()
        if cached is not None and now < cached.until and self.live:
            return _settle(cached.error, question)
        try:
            error = await self._ask(key, question)
        except AccessUnavailable:
            if cached is not None and question.read and cached.error is None and now < cached.until:
                return None
            raise
        return _settle(error, question)

    @property
    def live(self) -> bool:
        """Whether changes of the rules would be heard right now."""
        return self._clock.monotonic() - self._heard < _MISSED_HEARTBEATS * self._heartbeat

    async def problem(self) -> str | None:
        """Readiness check: None when the access manager is being heard."""
        return None if self.live else "the access manager is silent"

    async def watch(self) -> None:
        """Follow the rules for ever, connecting again when the stream breaks."""
        delay, told = _FIRST_RETRY, False
        while True:
            heard = self._heard
            try:
                await self._follow()
            except AccessUnavailable as failure:
                fresh = self._heard > heard
                delay = _FIRST_RETRY if fresh else min(delay * 2, _LAST_RETRY)
                if fresh or not told:
                    _log.warning("the access manager is not heard", problem=failure.message)
                told = True
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    async def _follow(self) -> None:
        request = access_pb2.WatchRevisionRequest(heartbeat=Duration(seconds=max(1, round(self._heartbeat))))
        stream = self._stub.WatchRevision(request, metadata=await self._credential.metadata())
        try:
            while True:
                async with asyncio.timeout(_MISSED_HEARTBEATS * self._heartbeat):
                    event = await stream.read()
                if not isinstance(event, access_pb2.WatchRevisionResponse):  # the end of the stream
                    raise AccessUnavailable("the access manager ended the watch")
                self._learn(event)
        except TimeoutError:
            raise AccessUnavailable("the access manager went silent") from None
        except grpc.aio.AioRpcError as failure:
            raise AccessUnavailable(f"the access manager's watch broke: {failure.code().name}") from failure
        finally:
            stream.cancel()

    def _learn(self, event: access_pb2.WatchRevisionResponse) -> None:
        if event.epoch != self._epoch:
            self._epoch = event.epoch
            self._revision = -1
            self._cache.clear()
        self._reached(event.revision)
        for revoked in event.revoked_tokens:
            self._revoke(revoked)
        self._revocations.forget(self._clock.now().timestamp())
        self._heard = self._clock.monotonic()

    def _revoke(self, revoked: resources_pb2.RevokedToken) -> None:
        forget_at = _unix(revoked.expire_time)
        if revoked.token_id:
            self._revocations.revoke_token(revoked.token_id, forget_at=forget_at)
        if revoked.agent:
            self._revocations.revoke_agent(
                revoked.tenant,
                revoked.agent.removeprefix("agents/"),
                issued_until=_unix(revoked.revoke_time),
                forget_at=forget_at,
            )

    def _reached(self, revision: int) -> None:
        if revision > self._revision:
            self._revision = revision
            self._cache.clear()

    async def _ask(self, key: _Key, question: PermissionCheck) -> type[KernelError] | None:
        who = question.principal
        request = access_pb2.CheckRequest(
            principal=resources_pb2.Principal(
                agent=f"agents/{who.agent}", tenant=who.tenant, kind=_KINDS[who.kind]
            ),
            action=question.action,
            resource=question.resource,
        )
        decision = await self._decisions.decide(request)
        error = None if decision.allowed else _DENIALS.get(decision.reason, PermissionDenied)
        self._remember(key, decision, error)
        return error

    def _remember(self, key: _Key, decision: resources_pb2.Decision, error: type[KernelError] | None) -> None:
        self._reached(decision.revision)
        if decision.revision < self._revision:
            return  # decided by rules that have changed since
        life = self._max_age
        if decision.HasField("expire_time"):
            life = min(life, _unix(decision.expire_time) - self._clock.now().timestamp())
        if len(self._cache) >= self._max_cached:
            self._cache.pop(next(iter(self._cache)))
        now = self._clock.monotonic()
        self._cache[key] = _Cached(error=error, at=now, until=now + life)


_DENIALS: Final[dict[int, type[KernelError]]] = {
    resources_pb2.DECISION_REASON_AGENT_INACTIVE: AgentInactive,
    resources_pb2.DECISION_REASON_APPROVAL_REQUIRED: ApprovalRequired,
}


def _settle(error: type[KernelError] | None, question: PermissionCheck) -> None:
    if error is None:
        return
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


def _unix(moment: Timestamp) -> float:
    return moment.seconds + moment.nanos / 1e9
