"""Synchronous twin of `aios.calls.secrets`. Written by tools/generate_sync.py; do not edit."""

from aios.calls.secrets import Secrets
from aios.sync.portal import Portal
from aios.types.secrets import SecretInfo


class SyncSecrets:
    """Keeps the secrets of a tenant. For administrators. A secret is named by its id or by `secrets/{id}`."""

    def __init__(self, inner: Secrets, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def set(
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
        return self._portal.run(
            self._inner.set(secret, value, bound_to=bound_to, request_id=request_id, timeout=timeout)
        )

    def list(self, *, timeout: float | None = None) -> list[SecretInfo]:
        """Return the tenant's secrets by name, without values. `timeout` bounds each page."""
        return self._portal.run(self._inner.list(timeout=timeout))

    def delete(self, secret: str, *, missing_ok: bool = False, timeout: float | None = None) -> None:
        """Forget a secret; tools that name it fail from then on. Raises NotFound unless `missing_ok`."""
        self._portal.run(self._inner.delete(secret, missing_ok=missing_ok, timeout=timeout))
