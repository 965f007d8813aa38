"""Connections of nobody: requests that are begun and never ended, and readers that take nothing."""

import asyncio
import struct
from contextlib import AsyncExitStack

from tests.fakes.raw_http2 import Pairs, RawConnection
from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground
from tests.system.world import METHODS

_BYTES = 4 * 2**20 - 100
_BEGINNING = struct.pack(">BI", 0, _BYTES) + bytes(256 * 1024)
_UNASKED = 65_535
"""What a client may send of a request before it is asked for."""
_HEALTH_ABOVE = 200
"""How far the port of gRPC health lies above a process's gRPC port."""
PATHS = [
    METHODS[label].path
    for label in (
        "storage.v1.StorageService/PutRecords",
        "context.v1.ContextService/SaveSnapshot",
        "access.v1.AccessService/QueryAudit",
        "agent.v1.AgentService/WatchAgents",
    )
]


async def _connected(stack: AsyncExitStack, port: int, *, takes: int | None = None) -> RawConnection:
    made = await RawConnection.open(port, takes=takes)
    following = asyncio.create_task(made.follow())
    stack.callback(following.cancel)
    stack.push_async_callback(made.close)
    return made


def _gateway(ground: Ground) -> int:
    return int(ground.gateway.rpartition(":")[2])


@attack("stranger-bodies", "requests of nobody, begun and never ended, at every process")
async def bodies(ground: Ground, fire: Fire) -> None:
    forged: Pairs = (("authorization", "Bearer x.y.z"),)
    async with AsyncExitStack() as stack:
        ports = [_gateway(ground), *ground.managers.values()]
        connections = [await _connected(stack, port) for port in ports]

        async def shoot(number: int) -> None:
            connection = connections[number % len(connections)]
            stream = connection.begin(PATHS[number % len(PATHS)], forged if number % 2 else ())
            fire.tried += 1
            sent = connection.body(stream, _BEGINNING)
            await asyncio.sleep(0.05)
            sent += connection.body(stream, _BEGINNING)
            fire.never(sent > _UNASKED, "a process read a request of nobody")
            connection.windows.pop(stream, None)

        await fire.together(shoot, workers=4)


@attack("stranger-readers", "watches of health that nobody reads, and answers that find no room")
async def readers(ground: Ground, fire: Fire) -> None:
    async with AsyncExitStack() as stack:
        for port in (_gateway(ground), *ground.managers.values()):
            watching = await _connected(stack, port + _HEALTH_ABOVE, takes=0)
            await asyncio.sleep(0.05)
            for _ in range(40):
                stream = watching.begin("/grpc.health.v1.Health/Watch")
                watching.body(stream, struct.pack(">BI", 0, 0), ends=True)
                fire.tried += 1
        keyless = await _connected(stack, _gateway(ground), takes=0)
        for _ in range(128):
            await asyncio.sleep(0.005)
            stream = keyless.begin("/aios.api.access.v1.AccessService/GetJwks")
            keyless.body(stream, struct.pack(">BI", 0, 0), ends=True)
            fire.tried += 1
        await asyncio.sleep(fire.left)
