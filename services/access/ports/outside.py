"""What the access manager needs beside its store."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from services.access.core.decision_input import DecisionInput, Target
from services.access.model.agents import PublicKey, Token
from services.access.model.audit import ExportedHead, Fault
from services.access.model.rules import Check, Decision, Finding, Policy, Reason
from services.chassis.auth.identity import Principal

Case = tuple[Check, Target, DecisionInput, tuple[Policy, ...]]
"""A check, its target, what the store knows of both, and the tenant's policies in force."""


class PolicyEngine(Protocol):
    """Decides by policies; any trouble is a refusal."""

    def decide(
        self,
        check: Check,
        target: Target,
        given: DecisionInput,
        policies: tuple[Policy, ...],
        *,
        by_text: bool = False,
    ) -> Decision:
        """Decide one check, inside a transaction. Any thread may call it, and waits.

        What an administrator always keeps (`core/actions.is_kept`) is decided by the kernel's own policies
        alone, unless `by_text` asks what the tenant's mean.
        """
        ...

    async def decide_all(self, cases: Sequence[Case]) -> list[Decision]:
        """Decide many checks, in their order, without holding up the event loop."""
        ...


class Judge(Protocol):
    """Judges policy texts, at a distance: neither its time nor its end is the caller's."""

    async def findings(self, text: str) -> list[Finding]:
        """List what is wrong with a text on its own.

        Raises PolicyInvalid when it cannot be judged, TooManyCalls when too many wait, ServiceUnavailable.
        """
        ...


class Signer(Protocol):
    """Issues and verifies tokens, and signs audit heads."""

    def issue(
        self, holder: Principal, *, now: datetime, after: datetime | None, lifetime: timedelta
    ) -> Token:
        """Sign a token for the agent, tenant, kind and parent of `holder`, issued later than `after`."""
        ...

    def verify(self, text: str, *, now: datetime) -> Principal:
        """Return whom a token names.

        Raises CredentialInvalid or CredentialExpired.
        """
        ...

    def public_keys(self) -> list[PublicKey]:
        """Return the keys that verify, newest first."""
        ...

    def sign(self, message: bytes) -> tuple[str, bytes]:
        """Sign bytes with the newest key; return its kid and the signature."""
        ...

    def is_signed(self, message: bytes, kid: str, signature: bytes) -> bool:
        """Tell whether a signature is one of `sign`, with whichever key of the ring."""
        ...


class HeadLog(Protocol):
    """Heads of audit chains, told outside the database."""

    @property
    def exporter(self) -> str:
        """Names this log, so that what was told to it can be noted."""
        ...

    async def put(self, heads: Sequence[ExportedHead]) -> None:
        """Add heads durably. Raises OSError."""
        ...

    async def newest(self, tenant: str) -> tuple[ExportedHead | None, Fault]:
        """Return the newest head of a chain, and what is wrong with the log.

        The fault is NONE, HEADS_MISSING (there is no log) or HEADS_CHANGED.
        """
        ...


class Meter(Protocol):
    """What the use cases count."""

    def decided(self, reason: Reason, seconds: float) -> None:
        """Count one decision and the time it took."""
        ...

    def issued(self, how: str) -> None:
        """Count one token; `how` is agent_key, service_key, renewal, exchange or registration."""
        ...

    def refused(self, how: str) -> None:
        """Count one refused credential."""
        ...

    def audited(self, outcome: str, count: int) -> None:
        """Count audit entries."""
        ...

    def audit_lost(self, count: int) -> None:
        """Count denials that were folded into one entry because there were too many."""
        ...

    def head_exported(self, where: str, count: int) -> None:
        """Count heads of the audit log told outside; `where` is file, webhook or lost."""
        ...

    def purged(self) -> None:
        """Count an agent that was purged to the end."""
        ...

    def revised(self, revision: int) -> None:
        """Note the revision of the rules."""
        ...

    def watching(self, stream: str, change: int) -> None:
        """Count watchers of a stream up or down."""
        ...
