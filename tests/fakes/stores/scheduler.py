"""Calls that ended, kept in memory."""

from collections.abc import Mapping
from datetime import datetime

from services.chassis.auth.identity import Scope
from services.chassis.times import micros
from services.scheduler.model import NO_SUMS, PastCall, SumKey, Sums, UsageRow
from services.scheduler.ports import Batch, PastQuery, UsageQuery


class MemoryPastStore:
    """A PastStore without a database."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str, str], PastCall] = {}
        self.sums: dict[SumKey, tuple[Sums, Sums]] = {}
        self._written: dict[int, int] = {}

    async def open(self) -> None:
        """Be there."""

    async def write(self, batch: Batch) -> None:
        """Keep a batch."""
        if self._written.get(batch.writer, 0) >= batch.number:
            return
        self._written[batch.writer] = batch.number
        self.calls |= {(call.tenant, call.agent, call.call): call for call in batch.calls}
        for key, added in batch.sums.items():
            known = self.sums.get(key, (NO_SUMS, NO_SUMS))
            self.sums[key] = (_plus(known[0], added[0]), _plus(known[1], added[1]))

    async def page(self, query: PastQuery, limit: int) -> list[PastCall]:
        """List an agent's past calls, newest first."""
        found = [call for call in self.calls.values() if _takes(query, call)]
        return sorted(found, key=_place, reverse=True)[:limit]

    async def usage(self, query: UsageQuery, limit: int) -> list[UsageRow]:
        """Add up what calls took, by path."""
        found: dict[tuple[str, tuple[str, ...], str], tuple[Sums, Sums]] = {}
        for key, (own, tree) in self.sums.items():
            if _counts(query, key):
                place = ("/".join(key.path), key.path, key.lane)
                known = found.get(place, (NO_SUMS, NO_SUMS))
                found[place] = (_plus(known[0], own), _plus(known[1], tree))
        shown = sorted({place[0] for place in found})[:limit]
        return [UsageRow(place[1], place[2], *found[place]) for place in sorted(found) if place[0] in shown]

    async def forget(self, *, calls_before: datetime, sums_before: datetime, limit: int) -> int:
        """Delete what is older."""
        calls = [key for key, call in self.calls.items() if call.end_time < calls_before][:limit]
        sums = [key for key in self.sums if key.hour < sums_before][:limit]
        for call in calls:
            del self.calls[call]
        for key in sums:
            del self.sums[key]
        return len(calls) + len(sums)

    async def trim(self, tenant: str, agent: str, most: int, limit: int) -> int:
        """Delete the oldest past calls beyond `most`."""
        whose = [c for c in self.calls.values() if c.tenant == tenant and agent in ("", c.agent)]
        doomed = sorted(whose, key=_place, reverse=True)[most:][:limit]
        for call in doomed:
            del self.calls[call.tenant, call.agent, call.call]
        return len(doomed)

    async def purge(self, scope: Scope) -> Mapping[str, int]:
        """Delete everything of an agent."""
        calls = [key for key in self.calls if key[:2] == (scope.tenant, scope.agent)]
        sums = [key for key in self.sums if (key.tenant, key.path[-1]) == (scope.tenant, scope.agent)]
        for call in calls:
            del self.calls[call]
        for key in sums:
            del self.sums[key]
        counts = {"past_calls": len(calls), "call_sums": len(sums)}
        return {name: count for name, count in counts.items() if count}


def _takes(query: PastQuery, call: PastCall) -> bool:
    return (
        (call.tenant, call.agent) == (query.tenant, query.agent)
        and (query.ended_from is None or call.end_time >= query.ended_from)
        and (query.ended_before is None or call.end_time < query.ended_before)
        and (call.failed or not query.failed_only)
        and query.lane in ("", call.lane)
        and (query.beyond is None or _place(call) < query.beyond)
    )


def _counts(query: UsageQuery, key: SumKey) -> bool:
    return (
        key.tenant == query.tenant
        and key.hour >= query.since
        and (not query.agent or query.agent in key.path)
        and (not query.after or "/".join(key.path) > "/".join(query.after))
    )


def _place(call: PastCall) -> tuple[int, str]:
    return micros(call.end_time), call.call


def _plus(one: Sums, other: Sums) -> Sums:
    return tuple(a + b for a, b in zip(one, other, strict=True))
