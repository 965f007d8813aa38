"""The quotas of open approvals: they end by time, so they are counted, not summed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from services.access.ports.store import Transaction
from services.chassis.quotas import Cap, Owner, Usage, judge

OPEN: Final = "open_approvals"
OPEN_BYTES: Final = "open_approval_bytes"


def pending(tx: Transaction, owner: Owner, caps: Mapping[str, Cap], now: datetime) -> list[Usage]:
    """Return how many approvals of an agent, its tree and its tenant are open, and what they hold."""
    load = tx.approvals.load(owner, now)
    return [
        Usage(quota, level, load[level][place], caps[quota].at(level))
        for place, quota in enumerate((OPEN, OPEN_BYTES))
        for level in owner.levels
    ]


def check_room(tx: Transaction, owner: Owner, size: int, caps: Mapping[str, Cap], now: datetime) -> None:
    """Raise QuotaExceeded unless one more approval, with arguments of `size` bytes, may be open."""
    more = {OPEN: 1, OPEN_BYTES: size}
    open_now = pending(tx, owner, caps, now)
    judge(owner, caps, [(one.quota, one.level, one.used + more[one.quota]) for one in open_now])
