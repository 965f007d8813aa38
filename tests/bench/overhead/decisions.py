"""What a decision costs in this process and in a worker. Unit: microseconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from services.access.adapters.cedar import CedarEngine
from services.access.adapters.cedar_workers import WorkerEngine
from services.access.core.decision_input import DecisionInput, target_of
from services.access.model.rules import Check, Policy
from services.access.ports.outside import Case
from services.chassis.auth.identity import Kind, Principal
from services.chassis.rpc import names
from services.chassis.runtime.clock import SystemClock

WHO = Principal(agent="planner", tenant="acme", kind=Kind.AGENT)
TEXT = '@id("never") forbid(principal, action, resource) when { context.untrusted };'


def case_of(*policies: Policy) -> Case:
    """Return an agent's check of its own file."""
    name = "agents/planner/files/a"
    given = DecisionInput(revision=1, principal=None, owner=None, groups=frozenset(), grants=())
    target = target_of(names.parse(name, me="planner"), WHO, "")
    return Check(WHO, "storage.read", name), target, given, policies


async def decisions(rounds: int) -> dict[str, float]:
    """Measure the median of one decision, alone and in batches, by whose rules it is made."""
    here = await asyncio.to_thread(lambda: CedarEngine(kernel_tenant="default"))
    workers = await asyncio.to_thread(lambda: WorkerEngine(kernel_tenant="default", clock=SystemClock()))
    own = Policy("acme", "never", TEXT, "", 1, active=True, author="root", create_time=datetime.now(UTC))
    found: dict[str, float] = {}
    try:
        await workers.warm()
        for rules, case in (("kernel", case_of()), ("tenant", case_of(own))):

            async def in_process(case: Case = case) -> None:
                here.decide(*case)

            found[f"{rules}_in_process_us"] = await median(in_process, rounds)
            for size in (1, 8, 32):

                async def batch(case: Case = case, size: int = size) -> None:
                    await workers.decide_all([case] * size)

                found[f"{rules}_batch_of_{size}_us"] = await median(batch, rounds) / size
    finally:
        await workers.close()
    return {name: round(value, 1) for name, value in found.items()}


async def median(work: Callable[[], Awaitable[None]], rounds: int) -> float:
    """Time a piece of work after a first time that is not counted."""
    await work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await work()
        times.append(time.perf_counter() - began)
    return sorted(times)[rounds // 2] * 1e6


if __name__ == "__main__":
    print(asyncio.run(decisions(500)))
