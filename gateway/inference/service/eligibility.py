"""Whether a replica can run, or go on with, a generation that it was granted: servers restart as others."""

import asyncio

from gateway.errors import ModelReplaced
from gateway.inference.core import prompt_plan
from gateway.inference.model import ReplicaInfo
from gateway.inference.ports import Ticket
from gateway.inference.service.generation import Generation
from gateway.inference.service.replicas import ReplicaPool
from services.chassis.dispatch.scheduling import DispatchGrant


async def granted(pool: ReplicaPool, gen: Generation, ticket: Ticket) -> DispatchGrant:
    """Wait for the next grant. Raises ModelReplaced once nobody serves the model any more.

    The scheduler would wait for it to come back, as for replicas that are only down.
    """
    revision = gen.revision if len(gen.transcript) else ""
    grant = asyncio.create_task(ticket.granted())
    gone = asyncio.create_task(pool.unserved(gen.model, revision))
    try:
        await asyncio.wait({grant, gone}, return_when=asyncio.FIRST_COMPLETED)
        if grant.done():
            return grant.result()
        raise ModelReplaced(
            f"no backend serves model {gen.model} any more: send it anew", metadata={"model": gen.model}
        )
    finally:
        grant.cancel()
        gone.cancel()
        await asyncio.wait({grant, gone})
        if not grant.cancelled():
            grant.exception()  # seen, also when the caller has just left


async def identified(pool: ReplicaPool, gen: Generation, replica: str) -> ReplicaInfo | None:
    """Return what a granted replica serves; None: it does not say.

    Before an answer goes on it is asked anew, because a server that has restarted since its last probe would
    add another model's tokens to it. A first run relies on the probes: it mixes nothing.
    """
    info = await pool.identify(replica) if len(gen.transcript) else pool.info(replica)
    if info is not None and not len(gen.transcript):
        gen.revision = info.revision
    return info


def obstacle(gen: Generation, info: ReplicaInfo, max_tokens: int) -> str | None:
    """Say why the replica cannot have it; None: it can."""
    revision = gen.revision if len(gen.transcript) else ""
    return prompt_plan.obstacle(info, gen.model, revision, gen.prompt.token_count + max_tokens)


def move_on(pool: ReplicaPool, gen: Generation, max_tokens: int, problem: str) -> None:
    """Look for another replica that can have it. Raises ModelReplaced when there is none."""
    if not any(obstacle(gen, each.info, max_tokens) is None for each in pool.live()):
        raise ModelReplaced(f"{problem}, and no other can go on: send it anew", metadata={"model": gen.model})
