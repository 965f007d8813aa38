"""The orders that agents choose for their own calls, below the policy of the class."""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field

from services.scheduler.core.policies.base import Explanation, Policy
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.model import PolicySpec


@dataclass(slots=True)
class _Order:
    """Calls of one agent that name the same policy."""

    policy: Policy
    calls: int = 0
    """Waiting and running calls."""

    waiting: dict[ScheduledCall, None] = field(default_factory=dict)
    place: dict[ScheduledCall, ScheduledCall] = field(default_factory=dict)
    """Where a call stands in the class's order, when that is not where it came in."""

    owner: dict[ScheduledCall, ScheduledCall] = field(default_factory=dict)
    """The same, the other way round."""

    turn: dict[ScheduledCall, ScheduledCall] = field(default_factory=dict)
    """At whose place a call goes, as it was last told to the core."""

    def forget(self, job: ScheduledCall) -> ScheduledCall:
        """Drop a waiting call and return its place."""
        del self.waiting[job]
        self.turn.pop(job, None)
        place = self.place.pop(job, job)
        self.owner.pop(place, None)
        return place

    def stands(self, place: ScheduledCall) -> bool:
        """Whether a place is still in the class's order."""
        return place in self.owner or (place in self.waiting and place not in self.place)

    def move(self, call: ScheduledCall, place: ScheduledCall) -> None:
        """Give a waiting call another place."""
        self.place[call] = place
        self.owner[place] = call


class AgentOrdering:
    """Decides which of an agent's calls goes when it is the agent's turn.

    The policy of the class decides whose turn it is; a turn of a call that names a policy goes to
    the call which that policy picks among the agent's waiting calls that name it too. The call
    whose turn is taken falls back to the place of the one that went, so that an agent gets no more
    turns by its choice. Places are jobs to the class's policy: one that a call left is kept by a
    copy. O(log n) a call; a call that names no policy costs one comparison.
    """

    def __init__(self, policy: Policy, build: Callable[[PolicySpec], Policy]) -> None:
        self.policy = policy
        """Of the class."""
        self._build = build
        self._orders: dict[tuple[str, str], _Order] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def on_submit(self, job: ScheduledCall, now: float) -> None:
        """Note that a call starts to wait."""
        self.policy.on_submit(job, now)
        if job.call.policy:
            order = self._enter(job)
            order.waiting[job] = None
            order.policy.on_submit(job, now)

    def on_adopt(self, job: ScheduledCall, now: float) -> None:
        """Note that a call that already runs comes under its policies."""
        self.policy.on_adopt(job, now)
        if job.call.policy:
            self._enter(job).policy.on_adopt(job, now)

    def on_dispatch(self, job: ScheduledCall, now: float, *, from_lane: bool) -> None:
        """Note that a waiting call starts to run; the lane takes nobody's turn."""
        if not job.call.policy:
            self.policy.on_dispatch(job, now, job.uncached)
            return
        order = self._orders[_key(job)]
        # `turn` is the place whose turn it was when the core was told of this call, `place` where the call
        # itself stands. The lane goes by age, so its call uses up its own place; so does one whose turn is
        # gone since.
        turn = order.turn.get(job, job)
        place = order.forget(job)
        if from_lane or not order.stands(turn):
            turn = place
        if turn is not place:
            self._take_turn(order, job, turn, place, now)
        elif place is not job:
            # It goes at the place that it got from another call, known to the class's policy by that copy.
            # The policy must see the call itself start, as its tokens and its end will be told of the call.
            self.policy.on_cancel(place)
            self.policy.on_submit(job, now)
        self.policy.on_dispatch(job, now, job.uncached)
        order.policy.on_dispatch(job, now, job.uncached)

    def on_tokens(self, job: ScheduledCall, tokens: int, now: float) -> None:
        """Note that a running call brought forth tokens."""
        self.policy.on_tokens(job, tokens, now)
        if job.call.policy:
            self._orders[_key(job)].policy.on_tokens(job, tokens, now)

    def on_yield(self, job: ScheduledCall, now: float) -> None:
        """Note that a running call waits again."""
        self.policy.on_yield(job, now)
        if job.call.policy:
            order = self._orders[_key(job)]
            order.waiting[job] = None
            order.policy.on_yield(job, now)

    def on_finish(self, job: ScheduledCall, now: float) -> None:
        """Note that a running call ended."""
        self.policy.on_finish(job, now)
        if job.call.policy:
            self._orders[_key(job)].policy.on_finish(job, now)
            self._leave(job)

    def on_cancel(self, job: ScheduledCall) -> None:
        """Note that a waiting call leaves without running."""
        if not job.call.policy:
            self.policy.on_cancel(job)
            return
        order = self._orders[_key(job)]
        self.policy.on_cancel(order.forget(job))
        order.policy.on_cancel(job)
        self._leave(job)

    def pick(self, now: float) -> ScheduledCall | None:
        """Return the call to run next."""
        place = self.policy.pick(now)
        if place is None or not place.call.policy:
            return place
        order = self._orders[_key(place)]
        job = order.policy.pick(now) or place
        order.turn[job] = place
        return job

    def candidates(self, now: float, *, reading: bool = False) -> Iterator[ScheduledCall]:
        """Return the waiting calls in the order of service; `reading`: only to tell somebody."""
        own: dict[tuple[str, str], Iterator[ScheduledCall]] = {}
        for place in self.policy.candidates(now):
            if not place.call.policy:
                yield place
                continue
            key = _key(place)
            order = self._orders[key]
            if key not in own:
                own[key] = order.policy.candidates(now)
            job = next(own[key])
            if not reading:
                order.turn[job] = place
            yield job

    def place_of(self, job: ScheduledCall) -> ScheduledCall:
        """Return the place in the class's order at which a waiting call stands: itself, or a copy."""
        return self._orders[_key(job)].place.get(job, job) if job.call.policy else job

    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Return what places a waiting call: the class's key, and its own policy's."""
        if not job.call.policy:
            return self.policy.explain(job, now)
        order = self._orders[_key(job)]
        own = {f"own_{name}": value for name, value in order.policy.explain(job, now).items()}
        place = order.place.get(job, job)
        return {**self.policy.explain(place, now), "own_policy": job.call.policy, **own}

    def change(
        self, policy: Policy, running: list[ScheduledCall], waiting: list[ScheduledCall], now: float
    ) -> None:
        """Put another policy in charge of the class. Every call stands again where it came in."""
        self.policy = policy
        for order in self._orders.values():
            order.place, order.owner, order.turn = {}, {}, {}
        for job in running:
            policy.on_adopt(job, now)
        for job in waiting:
            policy.on_submit(job, now)

    def _take_turn(
        self, order: _Order, job: ScheduledCall, turn: ScheduledCall, place: ScheduledCall, now: float
    ) -> None:
        """Use up the place `turn`: the call that stood there gets the one that `job` leaves."""
        loser = order.owner.pop(turn, turn)
        order.place.pop(loser, None)
        self.policy.on_cancel(turn)
        if place is job:
            # The place stays in the order after its call has gone, now the loser's: a copy, with the same
            # arrival and priority, keeps it, since the policy is about to see the call itself start and end.
            place = copy(job)
            self.policy.on_submit(place, now)
        else:
            self.policy.on_submit(job, now)
        order.move(loser, place)

    def _enter(self, job: ScheduledCall) -> _Order:
        key = _key(job)
        order = self._orders.get(key)
        if order is None:
            order = self._orders[key] = _Order(self._build(PolicySpec(job.call.policy)))
        order.calls += 1
        return order

    def _leave(self, job: ScheduledCall) -> None:
        key = _key(job)
        order = self._orders[key]
        order.calls -= 1
        if not order.calls:
            del self._orders[key]


def _key(job: ScheduledCall) -> tuple[str, str]:
    return (job.call.agent, job.call.policy)
