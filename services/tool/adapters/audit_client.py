"""The Audit port on the access manager."""

import hashlib
import secrets
from typing import Final

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.auth.identity import Kind, current_caller
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc import names
from services.chassis.rpc.client import ServiceCredential
from services.chassis.rpc.status import peer_error

_SECONDS: Final = 5.0
_LONGEST_NOTE: Final = 2_048
_KINDS: Final = {
    Kind.AGENT: resources_pb2.PRINCIPAL_KIND_AGENT,
    Kind.ADMIN: resources_pb2.PRINCIPAL_KIND_ADMIN,
    Kind.PERSON: resources_pb2.PRINCIPAL_KIND_PERSON,
    Kind.SERVICE: resources_pb2.PRINCIPAL_KIND_SERVICE,
}


class AccessAudit:
    """Appends entries to the log as a process of the kernel.

    They never hold digests of requests: values could be tried against those of SetSecret.
    """

    def __init__(self, channel: grpc.aio.Channel, credential: ServiceCredential) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._credential = credential

    async def note(
        self, method: str, action: str, resource: str, request: RequestIdentity, *, words: str = ""
    ) -> None:
        """Note that the caller does this; `words` say more. Raises what the access manager refuses with."""
        caller = current_caller()
        entry = resources_pb2.AuditEntry(
            agent=names.agent_name(caller.agent),
            kind=_KINDS[caller.kind],
            method=f"/aios.api.tool.v1.ToolService/{method}",
            action=action,
            resource=resource,
            outcome=resources_pb2.AUDIT_OUTCOME_OK,
            syscall_id=caller.syscall_id,
            trace_id=caller.trace_id,
            note=words[:_LONGEST_NOTE],
        )
        appended = access_pb2.AppendAuditRequest(
            tenant=caller.tenant,
            entries=[entry],
            request_id=_request_id(caller.trace_id, request, caller.tenant),
        )
        try:
            await self._stub.AppendAudit(
                appended, metadata=await self._credential.metadata(), timeout=_SECONDS
            )
        except grpc.aio.AioRpcError as failure:
            raise peer_error(failure) from failure


def _request_id(trace_id: str, request: RequestIdentity, tenant: str) -> str:
    """Return an id by which the same request of a client is noted once, unless another trace repeats it."""
    if not request.request_id:
        return secrets.token_hex(16)
    unique = f"{tenant}/{request.agent}/{request.method}/{request.request_id}/{trace_id}"
    return hashlib.sha256(unique.encode()).hexdigest()[:32]
