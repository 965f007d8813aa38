"""Known calls in the order of their arrival, for each agent and tenant that may see them."""

from itertools import islice
from typing import TypeAlias

from sortedcontainers import SortedDict, SortedList

from services.scheduler.model import Call, CallId

Place: TypeAlias = tuple[float, CallId]
"""Where a call stands in a list: when it arrived, then its id."""

Scope: TypeAlias = tuple[str, str]
"""A tenant and one of its agents, whose descendants' calls count as its own; no agent: all of the tenant."""


class CallListing:
    """The calls that may be shown, with one order for each scope that sees any."""

    def __init__(self) -> None:
        self._calls: dict[CallId, Call] = {}
        self._orders: dict[Scope, SortedList[Place]] = {}
        self._agents: dict[Scope, SortedDict[str, int]] = {}
        """How many calls each agent itself has, for each scope that sees any of them."""

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, call_id: CallId) -> Call | None:
        """Return the call of this id."""
        return self._calls.get(call_id)

    def add(self, call: Call) -> None:
        """Show a call from now on. One that is shown already keeps its place, so that pages do not shift."""
        if call.id in self._calls:
            return
        self._calls[call.id] = call
        for scope in _scopes(call):
            order = self._orders.get(scope)
            if order is None:
                order = self._orders[scope] = SortedList()
                self._agents[scope] = SortedDict()
            order.add(_place(call))
            agents = self._agents[scope]
            agents[call.agent] = agents.get(call.agent, 0) + 1

    def discard(self, call_id: CallId) -> None:
        """Take a call out of all orders."""
        call = self._calls.pop(call_id, None)
        if call is None:
            return
        for scope in _scopes(call):
            order, agents = self._orders[scope], self._agents[scope]
            order.remove(_place(call))
            agents[call.agent] -= 1
            if not agents[call.agent]:
                del agents[call.agent]
            if not order:
                del self._orders[scope], self._agents[scope]

    def page(self, scope: Scope, after: Place | None, size: int | None) -> list[Call]:
        """Return calls of a scope, oldest arrival first: up to `size` (None: all) of those beyond a place."""
        order = self._orders.get(scope)
        if order is None:
            return []
        return [
            self._calls[call_id] for _, call_id in islice(order.irange(after, inclusive=(False, True)), size)
        ]

    def agents(self, scope: Scope, after: str, size: int) -> list[tuple[str, int]]:
        """Return agents that have calls, by name, each with how many: up to `size` of those beyond a name."""
        found = self._agents.get(scope)
        if found is None:
            return []
        beyond = found.irange(after or None, inclusive=(False, True))
        return [(agent, found[agent]) for agent in islice(beyond, size)]


def _place(call: Call) -> Place:
    return (call.arrived_at, call.id)


def _scopes(call: Call) -> set[Scope]:
    return {(call.tenant, agent) for agent in ("", call.agent, *call.agent_path)}
