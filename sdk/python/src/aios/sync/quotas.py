"""Synchronous twin of `aios.calls.quotas`. Written by tools/generate_sync.py; do not edit."""

from aios.calls.quotas import Quotas
from aios.sync.portal import Portal
from aios.types.quotas import QuotaUsage


class SyncQuotas:
    """Tells what is used of every quota."""

    def __init__(self, inner: Quotas, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def usage(self, *, agent: str = "me", timeout: float | None = None) -> dict[str, list[QuotaUsage]]:
        """Return what an agent, its tree and its tenant use of each quota, by manager.

        `timeout` bounds each manager's answer. Unit: seconds.
        """
        return self._portal.run(self._inner.usage(agent=agent, timeout=timeout))
