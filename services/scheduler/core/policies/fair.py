"""Fair sharing over a tree of accounts: tenants, their agents, the agents' calls."""

from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import TypeAlias

from services.scheduler.core.heap import Key, LazyHeap
from services.scheduler.core.scheduled_call import ScheduledCall

Path: TypeAlias = tuple[tuple[str, float], ...]
"""Accounts of a call from the outermost in: (name, weight)."""

_PRUNE_AT = 4096


class Account:
    """A tenant or an agent: the service it received, and what waits below it."""

    __slots__ = (
        "active",
        "children",
        "counter",
        "floor",
        "jobs",
        "name",
        "order",
        "prune_at",
        "running",
        "waiting",
        "weight",
    )

    def __init__(
        self, name: str, rank: "Callable[[Account], Key]", job_key: Callable[[ScheduledCall], Key]
    ) -> None:
        self.name = name
        self.weight = 1.0
        self.counter = 0.0  # service received / weight
        self.order = 0  # submission that made it active
        self.waiting = 0
        self.running = 0
        self.children: dict[str, Account] = {}
        self.active: LazyHeap[Account] = LazyHeap(rank)
        self.jobs: LazyHeap[ScheduledCall] = LazyHeap(job_key)
        self.floor = 0.0  # where a newcomer starts while no sibling waits
        self.prune_at = _PRUNE_AT


def tenant_then_agent(job: ScheduledCall) -> Path:
    """Tenants share by their weight, each tenant's agents by theirs; a tree of agents counts as its root."""
    call = job.call
    return ((call.tenant, call.tenant_weight), (call.tree, _tree_weight(job)))


def agent_only(job: ScheduledCall) -> Path:
    """All agents share side by side."""
    call = job.call
    return ((f"{call.tenant}/{call.tree}", _tree_weight(job)),)


def tenant_only(job: ScheduledCall) -> Path:
    """Tenants share by their weight."""
    return ((job.call.tenant, job.call.tenant_weight),)


def _tree_weight(job: ScheduledCall) -> float:
    return job.call.weight if job.call.tree_weight is None else job.call.tree_weight


PATHS: Mapping[str, Callable[[ScheduledCall], Path]] = {"tenant": tenant_then_agent, "agent": agent_only}


class FairTree:
    """Waiting calls in a tree of accounts; the least served account is next at every level.

    An account that starts to wait is lifted to the least counter of its siblings that wait, so
    that idleness earns no credit (Sheng et al., OSDI'24, Alg. 2). Every operation is O(log n).
    """

    def __init__(
        self, path: Callable[[ScheduledCall], Path], job_key: Callable[[ScheduledCall], Key]
    ) -> None:
        self._path = path
        self._job_key = job_key
        self.root = self._account("")
        self._known: dict[ScheduledCall, list[Account]] = {}

    def __len__(self) -> int:
        return self.root.waiting

    def rank(self, account: Account) -> Key:
        """Place among the siblings: least service first, then who became active first."""
        return (account.counter, account.order)

    def least(self, parent: Account) -> float:
        """Return the least counter among the children that wait; without any, that of the last to leave."""
        child = parent.active.peek()
        return parent.floor if child is None else child.counter

    def accounts(self, job: ScheduledCall) -> list[Account]:
        """Return the call's accounts from the outermost in, the root left out; made when missing."""
        known = self._known.get(job)
        if known is not None:
            return known
        found: list[Account] = []
        node = self.root
        for name, weight in self._path(job):
            child = node.children.get(name)
            if child is None:
                child = node.children[name] = self._account(name)
            child.weight = weight
            found.append(child)
            node = child
        return found

    def add(self, job: ScheduledCall) -> None:
        """Note that a call waits."""
        parent = self.root
        parent.waiting += 1
        accounts = self._known[job] = self.accounts(job)
        # Ranks may look at an account's first call, so it is queued before accounts are ranked.
        accounts[-1].jobs.push(job)
        for account in accounts:
            if account.waiting == 0:
                account.counter = max(account.counter, self.least(parent))
                account.order = job.seq
                parent.active.push(account)
            account.waiting += 1
            parent = account

    def remove(self, job: ScheduledCall) -> None:
        """Note that a call waits no more."""
        accounts = self.accounts(job)
        self._known.pop(job, None)
        accounts[-1].jobs.discard(job)
        for parent, account in zip([self.root, *accounts], accounts, strict=False):
            parent.waiting -= 1
            if account.waiting == 1:
                parent.active.discard(account)
                parent.floor = max(parent.floor, account.counter)
        accounts[-1].waiting -= 1
        self._prune(accounts)

    def started(self, job: ScheduledCall) -> None:
        """Note that a call of these accounts runs."""
        accounts = self._known[job] = self.accounts(job)
        for account in accounts:
            account.running += 1

    def stopped(self, job: ScheduledCall) -> None:
        """Note that a call of these accounts runs no more."""
        for account in self.accounts(job):
            account.running -= 1
        self._known.pop(job, None)

    def charge(self, job: ScheduledCall, amount: float) -> None:
        """Add service (or give it back, when negative) to the call's accounts."""
        parent = self.root
        for account in self.accounts(job):
            account.counter += amount / account.weight
            if amount < 0 and account.waiting:
                parent.active.push(account)
            parent = account

    def peek(self) -> ScheduledCall | None:
        """Return the next call of the least served accounts."""
        node = self.root
        child = node.active.peek()
        while child is not None:
            node = child
            child = node.active.peek()
        return node.jobs.peek()

    def ordered(self) -> Iterator[ScheduledCall]:
        """All calls, account by account."""
        return _ordered(self.root)

    def counters(self) -> dict[str, float]:
        """Counters of the outermost accounts."""
        return {name: account.counter for name, account in self.root.children.items()}

    def restore(self, counters: Mapping[str, float]) -> None:
        """Set counters of the outermost accounts; those that wait take their new place."""
        for name, counter in counters.items():
            account = self.root.children.setdefault(name, self._account(name))
            account.counter = max(account.counter, counter)

    def _account(self, name: str) -> Account:
        return Account(name, self.rank, self._job_key)

    def _prune(self, accounts: list[Account]) -> None:
        parent = self.root
        for account in accounts:
            if len(parent.children) > parent.prune_at:
                least = self.least(parent)
                # Below the least counter a return is lifted anyway: nothing is forgotten.
                parent.children = {
                    name: child
                    for name, child in parent.children.items()
                    if child.waiting or child.running or child.counter > least
                }
                parent.prune_at = max(_PRUNE_AT, 2 * len(parent.children))
            parent = account


class BandedTree(FairTree):
    """One level of accounts whose counters are compared in bands of `band`.

    Accounts of the least band compare by their first call, so order inside a band is free.
    """

    def __init__(self, job_key: Callable[[ScheduledCall], Key], band: float) -> None:
        self._band = band
        super().__init__(tenant_only, job_key)

    def band_of(self, account: Account) -> int:
        """Return number of the account's band."""
        return int(account.counter // self._band)

    def rank(self, account: Account) -> Key:
        """Band, then the key of the account's first call."""
        return (account.counter // self._band, account.jobs.least_key() or (inf, 0), account.order)

    def least(self, parent: Account) -> float:
        """Where the least band begins: a newcomer may join it, but earns no older credit."""
        child = parent.active.peek()
        return parent.floor if child is None else min(child.counter, self.band_of(child) * self._band)

    def add(self, job: ScheduledCall) -> None:
        """Note that a call waits; its account moves forward when the call is its first."""
        super().add(job)
        account = self.root.children[job.call.tenant]
        if account.waiting > 1 and account.jobs.peek() is job:
            self.root.active.push(account)


def _ordered(account: Account) -> Iterator[ScheduledCall]:
    yield from account.jobs.ordered()
    for child in account.active.ordered():
        yield from _ordered(child)
