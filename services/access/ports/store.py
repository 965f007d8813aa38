"""The store, by transactions.

`work` gets a Transaction of small tables and runs to its end or not at all. It may run more than once and in
another thread, so it must touch nothing but the transaction.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from services.access.core.people import ApprovalRules, Persons
from services.access.ports.audit import Audit, Ledger, Purges, UsageSums
from services.access.ports.tables import Agents, Approvals, Grants, Groups, Policies, Tokens

T = TypeVar("T")


class Transaction(Protocol):
    """All tables, within one transaction."""

    @property
    def agents(self) -> Agents:
        """Agents and their keys."""
        ...

    @property
    def groups(self) -> Groups:
        """Groups and members."""
        ...

    @property
    def grants(self) -> Grants:
        """Grants."""
        ...

    @property
    def policies(self) -> Policies:
        """Policy versions."""
        ...

    @property
    def approvals(self) -> Approvals:
        """Approvals."""
        ...

    @property
    def approval_rules(self) -> ApprovalRules:
        """Approval rules."""
        ...

    @property
    def persons(self) -> Persons:
        """Persons and their keys."""
        ...

    @property
    def audit(self) -> Audit:
        """Audit chains."""
        ...

    @property
    def purges(self) -> Purges:
        """Agents that are being purged."""
        ...

    @property
    def tokens(self) -> Tokens:
        """Revocations."""
        ...

    @property
    def usage(self) -> UsageSums:
        """The sums of quotas."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Revision and idempotency."""
        ...


Work = Callable[[Transaction], T]


class Store(Protocol):
    """Where everything is kept."""

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a consistent state; it must change nothing."""
        ...

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction that is durable when this returns and never happened when it raises."""
        ...
