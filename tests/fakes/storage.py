"""What storage needs around it: an access manager in a list, a meter that counts, a service on any index."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count

from services.chassis.auth.identity import Scope
from services.chassis.quotas import Cap, caps_of
from services.chassis.rpc.errors import AccessUnavailable, PermissionDenied
from services.chassis.runtime.clock import Clock
from services.storage.config import StorageConfig
from services.storage.model import RequestContext, ShareGrant, StorageLimits
from services.storage.ports import BlobStore, FileIndex
from services.storage.service import ChangeRunner, Lifetimes, StorageService
from tests.fakes.clock import FakeClock
from tests.fakes.stores.storage import MemoryBlobs, MemoryIndex

PLANNER = Scope("acme", "planner")
CRITIC = Scope("acme", "critic")
STRANGER = Scope("globex", "planner")


class FakeAccess:
    """The Access port: permits all but `denied`, keeps grants in a list.

    While `away` it answers nothing; it goes away by itself after `revocations_left` more of them.
    """

    def __init__(self) -> None:
        self.away = False
        self.revocations_left = 1_000_000
        self.kept: list[ShareGrant] = []
        self.denied: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str]] = []
        self._replies: dict[str, ShareGrant] = {}
        self._numbers = count(1)

    async def require(self, action: str, resource: str) -> None:
        """Refuse what is in `denied`."""
        self.asked.append((action, resource))
        if (action, resource) in self.denied:
            raise PermissionDenied(f"may not {action} {resource}")

    async def give(self, grant: ShareGrant, *, request_id: str) -> ShareGrant:
        """Keep a grant, once per request id."""
        self._answer()
        if request_id not in self._replies:
            given = replace(grant, name=f"grants/g{next(self._numbers)}")
            self.kept.append(given)
            if not request_id:
                return given
            self._replies[request_id] = given
        return self._replies[request_id]

    async def revoke(self, grant_name: str) -> None:
        """Forget a grant."""
        self.away = self.away or self.revocations_left == 0
        self.revocations_left -= 1
        self._answer()
        self.kept = [grant for grant in self.kept if grant.name != grant_name]

    async def grants(self, *, resource: str = "", grantee: str = "") -> list[ShareGrant]:
        """List grants that cover a resource, or go to a grantee."""
        self._answer()
        return [
            grant
            for grant in self.kept
            if grantee in ("", grant.grantee)
            and (
                not resource
                or grant.resource == resource
                or (grant.prefix and resource.startswith(grant.resource))
            )
        ]

    async def received(self, resource: str) -> list[ShareGrant]:
        """List grants that cover a resource, whoever calls."""
        return await self.grants(resource=resource)

    def _answer(self) -> None:
        if self.away:
            raise AccessUnavailable("nobody answers")


class CountingMeter:
    """The Meter port: counts by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def written(self, size: int) -> None:
        """Count bytes of a version."""
        self.counts["written"] += size

    def read(self, size: int) -> None:
        """Count bytes sent."""
        self.counts["read"] += size

    def corrupt(self) -> None:
        """Count a broken piece."""
        self.counts["corrupt"] += 1

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        self.counts[f"refused {reason}"] += 1

    def repeated(self) -> None:
        """Count a repeat."""
        self.counts["repeated"] += 1

    def watchers(self, change: int) -> None:
        """Count open watches."""
        self.counts["watchers"] += change

    def collected(self, what: str, count: int) -> None:
        """Count what maintenance removed."""
        self.counts[f"collected {what}"] += count


def storage_limits(*, files: int = 1_000, size: int = 10_000_000, versions: int = 5) -> StorageLimits:
    """Return the usual caps, but of files and of their bytes."""
    caps = {**caps_of(StorageConfig()), "files": Cap.of(files), "bytes": Cap.of(size)}
    return StorageLimits(versions=versions, caps=caps)


class Kernel:
    """A storage service with everything around it within reach."""

    def __init__(
        self,
        *,
        index: FileIndex | None = None,
        blobs: BlobStore | None = None,
        limits: StorageLimits | None = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        numbers = count(1)
        self.clock = clock if isinstance(clock, FakeClock) else FakeClock()
        self.index = index or MemoryIndex()
        self.blobs = blobs or MemoryBlobs(self.clock.monotonic)
        self.access = FakeAccess()
        self.meter = CountingMeter()
        self.engine = ChangeRunner(
            index=self.index,
            blobs=self.blobs,
            access=self.access,
            clock=clock or self.clock,
            meter=self.meter,
            limits=limits or storage_limits(),
            new_id=new_id or (lambda: f"id-{next(numbers):08d}"),
        )
        lifetimes = Lifetimes(poll=timedelta(seconds=0.05), blob_rest=timedelta(seconds=60))
        self.service = StorageService(self.engine, lifetimes)


def call(scope: Scope = PLANNER, request_id: str = "", *, agent: str = "") -> RequestContext:
    """Return a call of the scope's owner, or of another agent."""
    return RequestContext(scope, agent or scope.agent, request_id)
