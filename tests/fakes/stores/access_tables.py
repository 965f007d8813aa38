"""The tables of the store in memory."""

import copy
from dataclasses import dataclass, field
from datetime import datetime

from services.access.model.agents import Agent, AgentKey, Purge, Revocation
from services.access.model.approvals import Approval, ApprovalRule, Person
from services.access.model.audit import AuditEntry
from services.access.model.rules import Grant, Group, Member, Policy
from tests.fakes.stores.usage import MemoryBook

Key = tuple[str, str]


@dataclass
class World:
    """Every table, keyed by tenant first. Rows are immutable, so a copy of the tables is a snapshot."""

    agents: dict[Key, Agent] = field(default_factory=dict)
    keys: dict[str, AgentKey] = field(default_factory=dict)
    groups: dict[Key, Group] = field(default_factory=dict)
    members: dict[tuple[str, str, str], Member] = field(default_factory=dict)
    grants: dict[Key, Grant] = field(default_factory=dict)
    policies: dict[tuple[str, str, int], Policy] = field(default_factory=dict)
    approvals: dict[Key, Approval] = field(default_factory=dict)
    approval_arguments: dict[Key, bytes] = field(default_factory=dict)
    approval_rules: dict[Key, ApprovalRule] = field(default_factory=dict)
    persons: dict[Key, Person] = field(default_factory=dict)
    audit: dict[tuple[str, int], AuditEntry] = field(default_factory=dict)
    purges: dict[Key, Purge] = field(default_factory=dict)
    confirmations: dict[tuple[str, str, int, str], dict[str, int]] = field(default_factory=dict)
    tombstones: dict[Key, datetime] = field(default_factory=dict)
    revocations: dict[tuple[str, str, str], Revocation] = field(default_factory=dict)
    answers: dict[tuple[str, str, str, str], tuple[bytes, str, datetime]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    usage: MemoryBook = field(default_factory=MemoryBook)

    def snapshot(self) -> "World":
        """Copy the tables."""
        tables = {name: copy.copy(table) for name, table in vars(self).items() if name != "usage"}
        return World(**tables, usage=self.usage.copy())
