"""The step around everything that may raise: what the caller is told about a failure."""

import asyncio
import secrets
from typing import Any, NoReturn

import grpc

from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import Internal, KernelError, MalformedRequest
from services.chassis.rpc.status import DETAILS_KEY, GRPC_CODES, peer_error, to_status
from services.chassis.runtime.logs import logger

_log = logger(__name__)


def typed(error: Exception, method: str) -> KernelError:
    """Return the typed form of any error. A defect is logged under an id; an unknown one's text stays here.

    What a tool returned or a model wrote may end a call with INTERNAL too. That is no defect of the kernel,
    has a reason of its own, and an agent can bring it about as often as it likes: it is not logged.
    """
    if isinstance(error, grpc.aio.AioRpcError):
        known = peer_error(error)
        if not _defect(known) or "error_id" in known.metadata:
            return known
    elif isinstance(error, KernelError) and not _defect(error):
        return error
    error_id = secrets.token_hex(6)
    _log.error("call failed", exc=error, error_id=error_id, method=method)
    if isinstance(error, KernelError):
        error.metadata.setdefault("error_id", error_id)
        return error
    return Internal(f"internal error {error_id}", metadata={"error_id": error_id})


def _defect(error: KernelError) -> bool:
    return error.code is Code.INTERNAL and error.reason == Internal.reason


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: KernelError) -> NoReturn:
    """End the call with an error and all its details."""
    status = to_status(error)
    trailing: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    if error.retry_after is not None:
        trailing.append(("grpc-retry-pushback-ms", str(round(error.retry_after * 1000))))
    await end(context, GRPC_CODES[error.code], status.message, tuple(trailing))


async def end(
    context: grpc.aio.ServicerContext[Any, Any],
    code: grpc.StatusCode,
    details: str,
    trailing: tuple[tuple[str, str | bytes], ...],
) -> NoReturn:
    """End the call with a status, unless it has ended: the first status stands, and the handler is over.

    A stream may be withdrawn, its caller leave or the server stop at the very moment in which it fails by
    itself. The library takes a second status, and any error but a cancellation, for a fault of the handler.
    """
    try:
        await context.abort(code, details, trailing)
    except grpc.aio.AbortError:
        raise
    except (grpc.aio.UsageError, grpc.aio.InternalError) as ended:
        raise asyncio.CancelledError("the call has ended already") from ended


def malformed(method: str) -> MalformedRequest:
    """Build the error for bytes that are no request."""
    return MalformedRequest(f"the bytes are not a valid request of {method}", metadata={"method": method})
