"""Synchronous twin of `aios.calls.drafts`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Sequence

from aios.calls.drafts import Drafts
from aios.sync.portal import Portal
from aios.types.drafts import DraftInfo, Example, VersionInfo
from aios.types.llm import ToolSpec


class SyncDrafts:
    """The tools that agents make. A draft is named by its id, the caller's own then, or by its whole name."""

    def __init__(self, inner: Drafts, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def put(
        self,
        spec: ToolSpec,
        source: str,
        examples: Sequence[Example],
        *,
        function: str = "",
        title: str = "",
        run_timeout: float | None = None,
        max_concurrency: int = 0,
        returns_untrusted: bool = False,
        etag: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> DraftInfo:
        """Keep a draft, or with an etag replace it. It cannot be called before it was tested.

        `source` is a module, `function` the name in it, by default the draft's; `examples` are at least two.
        Raises AlreadyExists, EtagMismatch, InvalidRequest, ToolArgumentsInvalid, QuotaExceeded.
        """
        return self._portal.run(
            self._inner.put(
                spec,
                source,
                examples,
                function=function,
                title=title,
                run_timeout=run_timeout,
                max_concurrency=max_concurrency,
                returns_untrusted=returns_untrusted,
                etag=etag,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def get(self, draft: str, *, timeout: float | None = None) -> DraftInfo:
        """Return a draft with its source. Raises NotFound, PermissionDenied."""
        return self._portal.run(self._inner.get(draft, timeout=timeout))

    def list(self, *, agent: str = "me", timeout: float | None = None) -> list[DraftInfo]:
        """Return an agent's drafts by name, without their sources. `timeout` bounds each page."""
        return self._portal.run(self._inner.list(agent=agent, timeout=timeout))

    def delete(self, draft: str, *, missing_ok: bool = False, timeout: float | None = None) -> None:
        """Forget a draft; what is shared of it stays. Raises NotFound unless `missing_ok`."""
        self._portal.run(self._inner.delete(draft, missing_ok=missing_ok, timeout=timeout))

    def test(self, draft: str, *, own: bool = True, timeout: float | None = None) -> DraftInfo:
        """Run a draft's examples in the sandbox; `own`: the caller may call it once they have passed.

        What went wrong stands in the draft's `test`. Raises NotFound, EtagMismatch when it changed meanwhile,
        PreconditionFailed without a sandbox, QuotaExceeded.
        """
        return self._portal.run(self._inner.test(draft, own=own, timeout=timeout))

    def share(self, draft: str, *, timeout: float | None = None) -> DraftInfo:
        """Let everybody call a draft that was tested, or ask a person for that: then `approval` is set.

        Call it again once that was approved. Raises NotFound, PreconditionFailed when it has not passed its
        test as it is, ApprovalRequired, AlreadyExists.
        """
        return self._portal.run(self._inner.share(draft, timeout=timeout))

    def versions(self, draft: str, *, timeout: float | None = None) -> Sequence[VersionInfo]:
        """Return what was shared of a draft, newest first. `timeout` bounds each page."""
        return self._portal.run(self._inner.versions(draft, timeout=timeout))

    def version(self, draft: str, number: int, *, timeout: float | None = None) -> VersionInfo:
        """Return a version with its source and what differs from the one before. Raises NotFound."""
        return self._portal.run(self._inner.version(draft, number, timeout=timeout))

    def roll_back(
        self, draft: str, number: int, *, reason: str = "", timeout: float | None = None
    ) -> VersionInfo:
        """Make a version what everybody calls. For persons and administrators. Raises NotFound."""
        return self._portal.run(self._inner.roll_back(draft, number, reason=reason, timeout=timeout))

    def revoke(self, draft: str, *, reason: str = "", timeout: float | None = None) -> int:
        """Take a shared tool away from everybody, for good; return how many versions it had.

        Calls that run are stopped. For persons and administrators. Raises NotFound.
        """
        return self._portal.run(self._inner.revoke(draft, reason=reason, timeout=timeout))
