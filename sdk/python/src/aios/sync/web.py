"""Synchronous twin of `aios.calls.web`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Mapping, Sequence

from aios.calls.web import Web
from aios.sync.portal import Portal
from aios.types.web import ApiResult, EgressInfo


class SyncWeb:
    """HTTP APIs as tools. An API is named by the prefix of its tools, `petstore` or `tools/petstore`."""

    def __init__(self, inner: Web, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def register_api(
        self,
        api: str,
        document: bytes | str,
        *,
        base_url: str = "",
        operations: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, str] | None = None,
        vouched: bool = False,
        replaces: str = "",
        allow_breaking: bool = False,
        dry_run: bool = False,
        call_timeout: float | None = None,
        max_response_bytes: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ApiResult:
        """Make tools of the operations of an OpenAPI document (3.0 or 3.1, JSON or YAML); tell what changes.

        Calls go to `base_url`; the servers that the document names are only told, by `dry_run`, which changes
        nothing. `replaces` is the SHA-256 of the document before. `operations`: ids, by default all. For
        administrators: `secret_headers`, header to secret, and `vouched`, by which GET is idempotent and
        results are trusted. Units of `call_timeout`: seconds. Raises InvalidRequest, AlreadyExists, NotFound,
        Conflict, PermissionDenied, QuotaExceeded, PreconditionFailed while calls need what changes.
        """
        return self._portal.run(
            self._inner.register_api(
                api,
                document,
                base_url=base_url,
                operations=operations,
                headers=headers,
                secret_headers=secret_headers,
                vouched=vouched,
                replaces=replaces,
                allow_breaking=allow_breaking,
                dry_run=dry_run,
                call_timeout=call_timeout,
                max_response_bytes=max_response_bytes,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def unregister_api(self, api: str, *, missing_ok: bool = False, timeout: float | None = None) -> None:
        """Remove all tools of an API. Raises NotFound unless `missing_ok`, PermissionDenied."""
        self._portal.run(self._inner.unregister_api(api, missing_ok=missing_ok, timeout=timeout))

    def egress(self, *, timeout: float | None = None) -> EgressInfo:
        """Return where the tenant's tools may send to. For administrators. Raises PermissionDenied."""
        return self._portal.run(self._inner.egress(timeout=timeout))

    def set_egress(
        self,
        origins: Sequence[str] | None,
        *,
        etag: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> EgressInfo:
        """Say which of the origins that the operator allows tools may reach. For administrators.

        None: all of them; an empty sequence: nothing. `https://*.example.com` is every name below that one,
        `https://*` every host. Raises InvalidRequest, Conflict for another `etag`, PermissionDenied.
        """
        return self._portal.run(
            self._inner.set_egress(origins, etag=etag, request_id=request_id, timeout=timeout)
        )
