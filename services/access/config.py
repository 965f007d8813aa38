"""Configuration of the access manager, read from `AIOS_ACCESS_*`."""

from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from services.access.core.agent_tree import TreeLimits
from services.access.service.dependencies import Settings
from services.access.service.purging import PurgeSettings
from services.chassis.quotas import Cap, caps_of

POLICY_OPTIONS: Final = frozenset({"irreversible-after-untrusted"})
"""Rules that an installation may add to the kernel's own."""
_HEAVIEST: Final = 1000
_POLICY_GROUP: Final = "aios.scheduler_policies"
"""Entry points of scheduling policies; each bears the name of its policy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessConfig:
    """Limits and lifetimes of one access process. Read once, in main."""

    kernel_tenant: str = "default"
    """Tenant whose administrators are the kernel's; the first administrator's token is for it."""

    key_file: Path | None = None
    """File of the signing keys. Default: access-keys.json in the data directory."""

    admin_token_file: Path | None = None
    """File the first administrator's token is written to. Default: admin.token in the data directory."""

    service_keys_dir: Path | None = None
    """Directory with a key for each of the kernel's processes, such as gateway.key; missing ones are made.
    Default: service-keys in the data directory."""

    token_life: timedelta = timedelta(minutes=10)
    """Life of an agent's or service's token; at most an hour. Unit: seconds."""

    admin_token_life: timedelta = timedelta(days=30)
    """Longest life of an administrator's token with its renewals; at most 31 days. Unit: seconds."""

    session_life: timedelta = timedelta(days=1)
    """How long an agent's or service's token can be renewed before its key is needed again; at most 31 days.
    Unit: seconds."""

    exchange_life: timedelta = timedelta(minutes=5)
    """Longest life of a token for one manager that a process exchanged a caller's token for; at most an hour.
    Unit: seconds."""

    max_depth: int = 8
    """Agents on the way from a root of a tree to a leaf, both included."""

    max_children: int = 256
    """Living children of one agent."""

    quota_agents: Cap = Cap(256, 4_096, 100_000)
    """Agents that are not killed; each is charged to its parent."""

    quota_agent_rows: Cap = Cap.of(100_000)
    """Agents that are known, killed ones included."""

    quota_grants: Cap = Cap.of(10_000)
    """Grants that were not revoked, on what an agent owns."""

    quota_grant_rows: Cap = Cap.of(100_000)
    """Grants that are known: those that ended are for another day."""

    quota_groups: Cap = Cap.flat(10_000)
    """Groups. They belong to the tenant, so only its cap counts."""

    quota_memberships: Cap = Cap.flat(1_000_000)
    """Members of groups. They belong to the tenant, so only its cap counts."""

    quota_policy_versions: Cap = Cap.flat(100_000)
    """Versions of policies. They belong to the tenant, so only its cap counts."""

    quota_open_approvals: Cap = Cap.of(100)
    """Approvals that are open, undecided or unused."""

    quota_open_approval_bytes: Cap = Cap.of(8 * 1024 * 1024)
    """What the arguments of open approvals take. Unit: bytes."""

    quota_approval_rows: Cap = Cap.of(10_000)
    """Approvals that are known: those that ended are kept for `approval_life`."""

    quota_revocations: Cap = Cap.of(1_000)
    """Tokens that an agent revoked one by one; each is kept while the token could be used."""

    quota_replies: Cap = Cap.of(1_000_000)
    """Answers remembered for repeated requests, each kept for a day; charged to who asked."""

    persons: int = 1000
    """Persons of one tenant, administrators and disabled ones included."""

    approval_life: timedelta = timedelta(days=30)
    """How long an approval is kept after its time was over; at least two days. Unit: seconds."""

    poll: timedelta = timedelta(milliseconds=500)
    """Time between looks for changes that another access process made. Unit: seconds."""

    confirm: timedelta = timedelta(milliseconds=500)
    """Longest wait for the processes that follow the rules, before a withdrawal is acknowledged without them.

    At most 2. Unit: seconds.
    """

    wrong_keys_per_minute: int = 60
    """Wrong credentials answered as such before the answer is to slow down."""

    audit_heads_file: Path | None = None
    """File that the heads of the audit logs are added to. Default: audit-heads.jsonl in the data folder."""

    audit_heads_webhook: str = ""
    """URL that the heads of the audit logs are posted to as lines of JSON. Default: none."""

    audit_heads_every: timedelta = timedelta(seconds=10)
    """Longest time until a changed log's head is told to file, log and webhook. Unit: seconds."""

    audit_heads_rows: int = 100
    """Entries after which a log's head is told earlier."""

    purge_killed_after: timedelta = timedelta(0)
    """How long a killed agent is kept before it is purged by itself. Default: 0, until it is purged by hand.
    Unit: seconds."""

    purge_settle: timedelta = timedelta(seconds=60)
    """Time between the two passes of a purge, so that the second finds what was still under way in the first.
    Unit: seconds."""

    purge_managers: tuple[str, ...] = ("context", "memory", "scheduler", "storage", "tool")
    """Managers that keep data of agents: a purge ends when each has confirmed it."""

    tenant_weights: tuple[str, ...] = ()
    """Share of each tenant against the others, such as `acme=3,beta=1`, up to 1000. Default: 1 for each."""

    scheduling_policies: tuple[str, ...] = Settings().scheduling_policies
    """Scheduling policies that agents may name in their hints; a list that is set stands for itself.
    Default: the built-in ones and those that packages installed here offer."""

    additional_scheduling_policies: tuple[str, ...] = ()
    """Names beside those of scheduling_policies, for what is installed with the scheduler but not here."""

    policy_options: tuple[str, ...] = ()
    """Rules to add to the kernel's own, for all tenants. Default: none.

    `irreversible-after-untrusted`: an agent that has read what nobody vouches for calls no irreversible tool
    without a person's approval.
    """

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        lives = {
            "token_life": (self.token_life, timedelta(minutes=1), timedelta(hours=1)),
            "exchange_life": (self.exchange_life, timedelta(seconds=10), timedelta(hours=1)),
            "admin_token_life": (self.admin_token_life, timedelta(minutes=1), timedelta(days=31)),
            "session_life": (self.session_life, timedelta(minutes=1), timedelta(days=31)),
        }
        for name, (life, least, most) in lives.items():
            if not least <= life <= most:
                bounds = f"{least.total_seconds():.0f} to {most.total_seconds():.0f}"
                raise ValueError(f"{name} must be {bounds} seconds")
        counts = (self.max_depth, self.max_children, self.wrong_keys_per_minute)
        if min(*counts, self.persons) < 1:
            raise ValueError("limits must be at least 1")
        if self.approval_life < timedelta(days=2):
            raise ValueError("approval_life must be at least 172800 seconds")
        if self.poll <= timedelta(0):
            raise ValueError("poll must be positive")
        if not timedelta(0) <= self.confirm <= timedelta(seconds=2):
            raise ValueError("confirm must be 0 to 2 seconds")
        if unknown := set(self.policy_options) - POLICY_OPTIONS:
            raise ValueError(f"policy_options: no such option: {', '.join(sorted(unknown))}")
        self._check_audit_and_purges()
        _weights(self.tenant_weights)

    def _check_audit_and_purges(self) -> None:
        if self.audit_heads_every <= timedelta(0) or self.audit_heads_rows < 1:
            raise ValueError("audit_heads_every and audit_heads_rows must be positive")
        if self.audit_heads_webhook and not self.audit_heads_webhook.startswith(("http://", "https://")):
            raise ValueError("audit_heads_webhook must be an http or https URL")
        if min(self.purge_killed_after, self.purge_settle) < timedelta(0):
            raise ValueError("purge_killed_after and purge_settle must not be negative")

    def settings(self, installed: tuple[str, ...] = ()) -> Settings:
        """Return what the use cases keep to; `installed` are the policies that packages here offer."""
        return Settings(
            kernel_tenant=self.kernel_tenant,
            tree=TreeLimits(max_depth=self.max_depth, max_children=self.max_children),
            token_life=self.token_life,
            admin_token_life=self.admin_token_life,
            session_life=self.session_life,
            exchange_life=self.exchange_life,
            caps=caps_of(self),
            persons=self.persons,
            approval_life=self.approval_life,
            poll=self.poll.total_seconds(),
            confirm=self.confirm.total_seconds(),
            wrong_keys_per_minute=self.wrong_keys_per_minute,
            scheduling_policies=self._policies(installed),
            tenant_weights=_weights(self.tenant_weights),
        )

    def purging(self) -> PurgeSettings:
        """Return how purges go."""
        return PurgeSettings(
            managers=self.purge_managers,
            settle=self.purge_settle,
            retention=self.purge_killed_after or None,
        )

    def _policies(self, installed: tuple[str, ...]) -> tuple[str, ...]:
        named = self.scheduling_policies
        if named == Settings().scheduling_policies:
            named += installed
        return tuple(dict.fromkeys((*named, *self.additional_scheduling_policies)))


def installed_policies() -> tuple[str, ...]:
    """Return the names of the policies that installed packages offer the scheduler.

    Reads package metadata and loads nothing: only the scheduler runs their code.
    """
    return tuple(sorted(point.name for point in entry_points(group=_POLICY_GROUP)))


def _weights(entries: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in entries:
        tenant, _, weight = entry.partition("=")
        if not tenant or not weight.isdecimal() or not 1 <= int(weight) <= _HEAVIEST:
            raise ValueError(f"tenant_weights: expected tenant=1..{_HEAVIEST}, got {entry!r}")
        found[tenant] = int(weight)
    return found
