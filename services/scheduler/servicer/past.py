"""The methods of SchedulerService about calls that have ended."""

from datetime import datetime, timedelta
from typing import Any, Final

from aios.api.scheduler.v1 import scheduler_pb2
from services.chassis.rpc import paging
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import moment
from services.chassis.times import micros
from services.scheduler.ports import PastQuery, UsageQuery, WallClock
from services.scheduler.service.past_calls import PastCalls
from services.scheduler.servicer.viewing import viewer_of
from services.scheduler.wire import past as wire

_MOST: Final = 500
_USUAL: Final = timedelta(days=1)


class PastMethods:
    """Tell what has ended, and what it took."""

    def __init__(self, past: PastCalls, clock: WallClock) -> None:
        self._past = past
        self._wall = clock

    async def ListPastSyscalls(
        self, request: scheduler_pb2.ListPastSyscallsRequest, context: Any
    ) -> scheduler_pb2.ListPastSyscallsResponse:
        viewer, size = viewer_of(request.parent), paging.page_size(request.page_size, maximum=_MOST)
        agent = viewer.agent.partition("/")[2]
        if not agent:
            raise InvalidRequest.field("parent", "names no agent")
        first, last = moment(request, "ended_after"), moment(request, "ended_before")
        query = ("past", viewer.tenant, agent, _key(first), _key(last), request.failed_only, request.lane)
        place = paging.decode(request.page_token, *query, shape=(int, str))
        beyond = (int(place[0] or 0), str(place[1])) if place else None
        asked = PastQuery(viewer.tenant, agent, first, last, request.failed_only, request.lane, beyond)
        found = await self._past.page(asked, size + 1)
        page, token = found[:size], ""
        if len(found) > size:
            token = paging.encode([micros(page[-1].end_time), page[-1].call], *query)
        return wire.past_calls(page, token, self._past.kept_for)

    async def ListSyscallUsage(
        self, request: scheduler_pb2.ListSyscallUsageRequest, context: Any
    ) -> scheduler_pb2.ListSyscallUsageResponse:
        viewer, size = viewer_of(request.parent), paging.page_size(request.page_size, maximum=_MOST)
        agent = viewer.agent.partition("/")[2]
        asked = moment(request, "since") or self._wall.now() - _USUAL
        since = asked.replace(minute=0, second=0, microsecond=0)
        # Without a time of its own a list goes on from the hour that its first page began with.
        query = ("usage", viewer.tenant, agent, _key(moment(request, "since")))
        place = paging.decode(request.page_token, *query, shape=(int, str))
        after = tuple(str(place[1]).split("/")) if place else ()
        if place:
            since = datetime.fromtimestamp(int(place[0] or 0) / 1e6, asked.tzinfo)
        rows = await self._past.usage(UsageQuery(viewer.tenant, agent, since, after), size + 1)
        paths = list(dict.fromkeys(row.path for row in rows))
        token = ""
        if len(paths) > size:
            shown = set(paths[:size])
            rows = [row for row in rows if row.path in shown]
            token = paging.encode([micros(since), "/".join(paths[size - 1])], *query)
        return wire.usage(rows, token, since)


def _key(time: datetime | None) -> int | None:
    return None if time is None else micros(time)
