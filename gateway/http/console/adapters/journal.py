"""The Journal port on the access manager's audit log, as this process of the kernel."""

import secrets
from typing import Final

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from gateway.http.console.model import Session
from services.chassis.rpc import names
from services.chassis.rpc.client import ServiceCredential
from services.chassis.rpc.status import peer_error

_SECONDS: Final = 5.0
_KINDS: Final = {
    "agent": resources_pb2.PRINCIPAL_KIND_AGENT,
    "person": resources_pb2.PRINCIPAL_KIND_PERSON,
    "admin": resources_pb2.PRINCIPAL_KIND_ADMIN,
}


class AccessJournal:
    """Appends to the log who signed in and out. It never holds a credential."""

    def __init__(self, channel: grpc.aio.Channel, credential: ServiceCredential) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._credential = credential

    async def note(self, session: Session, done: str, peer: str) -> None:
        """Note that a session began or ended."""
        name = names.agent_name(session.agent)
        entry = resources_pb2.AuditEntry(
            agent=name,
            kind=_KINDS[session.kind],
            method=f"/console/session/{done}",
            action=f"console.{done}",
            resource=name,
            outcome=resources_pb2.AUDIT_OUTCOME_OK,
            note=f"in the web console, from {peer}"[:256],
        )
        request = access_pb2.AppendAuditRequest(
            tenant=session.tenant, entries=[entry], request_id=secrets.token_hex(16)
        )
        try:
            await self._stub.AppendAudit(
                request, metadata=await self._credential.metadata(), timeout=_SECONDS
            )
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure
