"""What can be asked of the core without changing it: calls, their order, why they wait, gauges."""

from collections.abc import Callable, Iterable

from services.scheduler.core.call_table import CallTable
from services.scheduler.core.explain import Explanation, QueueEntry, entry_of, explain, list_queue
from services.scheduler.core.pool import Pool
from services.scheduler.core.stats import Stats, gather
from services.scheduler.core.wait_list import explain_first
from services.scheduler.errors import CallUnknown
from services.scheduler.model import Call, CallId, PoolKey


class QueueReader:
    """The known calls and their pools, to be read."""

    def __init__(self) -> None:
        self._calls = CallTable()
        self._pools: dict[PoolKey, Pool] = {}

    def explain(self, call_id: CallId, now: float) -> Explanation:
        """Why a call waits. Costs the same however many wait. Raises CallUnknown."""
        job = self._calls.find(call_id)
        if job is None:
            raise CallUnknown(call_id)
        return explain(job, self._pools[job.call.pool], now)

    def explain_first(
        self, oldest: Iterable[CallId], sees: Callable[[Call], bool], top: int, now: float
    ) -> list[Explanation]:
        """Why the first calls wait, in the queues that the `oldest` ones are in. Bounded."""
        known = (job for call_id in oldest if (job := self._calls.find(call_id)) is not None)
        return explain_first(((job, self._pools[job.call.pool]) for job in known), sees, top, now)

    def entry(self, call_id: CallId, now: float) -> QueueEntry | None:
        """Return one known call as `snapshot_queue` does, but without its position. O(1)."""
        job = self._calls.find(call_id)
        return None if job is None else entry_of(job, now)

    def snapshot_queue(self, now: float) -> list[QueueEntry]:
        """Every known call, running ones first, then waiting ones in the order of service. O(n log n)."""
        return [entry for pool in self._pools.values() for entry in list_queue(pool, now)]

    def stats(self, now: float, *, of_policies: bool = True) -> Stats:
        """Gauges for metrics. Those of policies may cost as much as the accounts or calls they compare."""
        return gather(self._pools.values(), now, of_policies=of_policies)

    def running(self) -> Iterable[Call]:
        """Yield the calls that run. O(them)."""
        for pool in self._pools.values():
            for replica in pool.replicas.values():
                yield from (job.call for job in replica.running.values())

    def call(self, call_id: CallId) -> Call | None:
        """Return the call of this id while it is known."""
        job = self._calls.find(call_id)
        return None if job is None else job.call
