"""An access manager in a few lines: decides by a table, streams revisions, issues tokens with a local key."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.auth.identity import current_caller
from services.chassis.runtime.server import Servicer
from tests.fakes.tokens import Issuer

SERVICE_KEY = "the-service-key"


class FakeAccess(access_pb2_grpc.AccessServiceServicer):
    """Answers Check from `denied`, which maps (agent, action, resource) to a reason; the rest is allowed."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.revision = 1
        self.epoch = "e1"
        self.denied: dict[tuple[str, str, str], int] = {}
        self.revoked: list[resources_pb2.RevokedToken] = []
        self.withdrawn: list[access_pb2.RuleChange] | None = None
        """What the last change took away; None: it does not say."""
        self.checks = 0
        self.asked: list[access_pb2.CheckRequest] = []
        self.batches: list[int] = []
        self.tokens = 0
        self.watches = 0
        self.confirmed = -1
        self.marks: list[tuple[str, str, str]] = []
        """Every request to mark an agent: tenant, agent, source."""
        self.decision_life: timedelta | None = None
        self.token_life = timedelta(minutes=10)
        self.exchanges: list[str] = []
        self.exchange_life = timedelta(minutes=5)
        self.exchange_open = asyncio.Event()
        self.exchange_open.set()
        self.silent = False
        self._changed = asyncio.Condition()

    async def change(self) -> None:
        """Move to the next revision and tell the watchers."""
        async with self._changed:
            self.revision += 1
            self._changed.notify_all()

    async def Check(self, request: access_pb2.CheckRequest, _context: Any) -> access_pb2.CheckResponse:  # noqa: N802 - gRPC's name
        """Decide by the table."""
        self.checks += 1
        self.asked.append(request)
        key = (request.principal.agent.removeprefix("agents/"), request.action, request.resource)
        reason = self.denied.get(key)
        decision = resources_pb2.Decision(
            allowed=reason is None,
            reason=reason or resources_pb2.DECISION_REASON_PERMITTED,  # type: ignore[arg-type] # a plain number here
            revision=self.revision,
            untrusted=any(key[0] == marked for _, marked, _ in self.marks),
        )
        if self.decision_life is not None:
            decision.expire_time.FromDatetime(self.issuer.clock.now() + self.decision_life)
        return access_pb2.CheckResponse(decision=decision)

    async def BatchCheck(  # noqa: N802 - gRPC's name
        self, request: access_pb2.BatchCheckRequest, context: Any
    ) -> access_pb2.BatchCheckResponse:
        """Decide each by the table."""
        self.batches.append(len(request.checks))
        answers = [await self.Check(check, context) for check in request.checks]
        return access_pb2.BatchCheckResponse(decisions=[answer.decision for answer in answers])

    async def MarkUntrusted(  # noqa: N802 - gRPC's name
        self, request: access_pb2.MarkUntrustedRequest, _context: Any
    ) -> access_pb2.MarkUntrustedResponse:
        """Note the mark; the rules change with the first one of an agent."""
        mark = (request.tenant, request.agent.removeprefix("agents/"), request.source)
        known = any(mark[:2] == earlier[:2] for earlier in self.marks)
        self.marks.append(mark)
        if not known:
            await self.change()
        return access_pb2.MarkUntrustedResponse(revision=self.revision)

    async def WatchRevision(  # noqa: N802 - gRPC's name
        self, _request: access_pb2.WatchRevisionRequest, _context: Any
    ) -> AsyncIterator[access_pb2.WatchRevisionResponse]:
        """Send the revision at once and at every change."""
        self.watches += 1
        while True:
            if not self.silent:
                yield access_pb2.WatchRevisionResponse(
                    revision=self.revision,
                    epoch=self.epoch,
                    revoked_tokens=self.revoked,
                    changes=self.withdrawn or (),
                    complete=self.withdrawn is not None,
                )
            async with self._changed:
                await self._changed.wait()

    async def ConfirmRevision(  # noqa: N802 - gRPC's name
        self, request: access_pb2.ConfirmRevisionRequest, _context: Any
    ) -> access_pb2.ConfirmRevisionResponse:
        """Note how far a watcher is."""
        self.confirmed = max(self.confirmed, request.revision)
        return access_pb2.ConfirmRevisionResponse()

    async def IssueToken(  # noqa: N802 - gRPC's name
        self, request: access_pb2.IssueTokenRequest, context: Any
    ) -> access_pb2.IssueTokenResponse:
        """Issue a service token for the right key."""
        self.tokens += 1
        if request.service_key.key != SERVICE_KEY:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong key")
        token = self.issuer.token(request.service_key.service, kind="service", life=self.token_life)
        response = access_pb2.IssueTokenResponse(token=token)
        response.expire_time.FromDatetime(self.issuer.clock.now() + self.token_life)
        return response

    async def ExchangeToken(  # noqa: N802 - gRPC's name
        self, request: access_pb2.ExchangeTokenRequest, _context: Any
    ) -> access_pb2.ExchangeTokenResponse:
        """Issue a token for an audience, on behalf of whom the shown one names."""
        self.exchanges.append(request.audience)
        await self.exchange_open.wait()
        shown = await self.issuer.verifier().authenticate(request.token)
        token = self.issuer.token(
            shown.agent,
            life=self.exchange_life,
            aud=request.audience,
            sid=shown.session_id,
            act={"sub": current_caller().agent},
        )
        response = access_pb2.ExchangeTokenResponse(token=token)
        response.expire_time.FromDatetime(self.issuer.clock.now() + self.exchange_life)
        return response

    async def GetJwks(  # noqa: N802 - gRPC's name
        self, _request: access_pb2.GetJwksRequest, _context: Any
    ) -> access_pb2.GetJwksResponse:
        """Return the public key."""
        return access_pb2.GetJwksResponse(keys=[resources_pb2.Jwk(**self.issuer.jwk)])

    def servicer(self) -> Servicer:
        """Return the triple that ChassisServer takes."""
        return (access_pb2_grpc.add_AccessServiceServicer_to_server, self, access_pb2.DESCRIPTOR)
