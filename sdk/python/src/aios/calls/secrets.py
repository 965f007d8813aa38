"""`kernel.secrets`: values that tools send and nobody reads."""

import uuid

from aios._paging import pages
from aios._transport import Transport
from aios._wire import secrets as wire
from aios.api.tool.v1 import secrets_pb2 as pb
from aios.types.secrets import SecretInfo


class Secrets:
    """Keeps the secrets of a tenant. For administrators. A secret is named by its id or by `secrets/{id}`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def set(
        self,
        secret: str,
        value: str,
        *,
        bound_to: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> SecretInfo:
        """Keep a value of 8 to 8192 bytes, new or in place of what the secret was.

        `bound_to` is the only place that it may go to: an MCP server (`mcpservers/{id}`) or an origin
        (`https://api.example.com`). Empty: where it may go already. Raises InvalidRequest, PermissionDenied,
        PreconditionFailed without a key to seal it with, QuotaExceeded.
        """
        request = pb.SetSecretRequest(
            name=wire.secret_name(secret),
            value=value,
            bound_to=bound_to,
            request_id=request_id or uuid.uuid4().hex,
        )
        response = await self._transport.call(request, pb.SetSecretResponse, timeout=timeout)
        return wire.secret(response.secret)

    async def list(self, *, timeout: float | None = None) -> list[SecretInfo]:
        """Return the tenant's secrets by name, without values. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[SecretInfo], str]:
            request = pb.ListSecretsRequest(page_size=500, page_token=token)
            response = await self._transport.call(request, pb.ListSecretsResponse, timeout=timeout)
            return [wire.secret(one) for one in response.secrets], response.next_page_token

        return await pages(page, None)

    async def delete(self, secret: str, *, missing_ok: bool = False, timeout: float | None = None) -> None:
        """Forget a secret; tools that name it fail from then on. Raises NotFound unless `missing_ok`."""
        request = pb.DeleteSecretRequest(name=wire.secret_name(secret), allow_missing=missing_ok)
        await self._transport.call(request, pb.DeleteSecretResponse, timeout=timeout)
