"""Streams that are opened and not read, and watches by the thousand."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from tests.redteam.attacks.room import brood
from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground
from tests.system.world import METHODS, Metadata

STORAGE = "storage.v1.StorageService/"
_PIECE = 1 << 20


def _open(channel: grpc.aio.Channel, label: str, request: Any, how: Metadata) -> Any:
    """Open a stream and read nothing."""
    opened: Any = channel.unary_stream(METHODS[label].path)
    return opened(request.SerializeToString(), metadata=how, timeout=120)


@attack("unread-streams", "places held by streams that nobody reads")
async def unread(ground: Ground, fire: Fire) -> None:
    name = f"agents/{ground.agent}/files/big"
    async with ground.channel() as channel:
        for n in range(16):
            request = storage_pb2.WriteFileRequest(name=name, content=bytes([n]) * _PIECE, append=n > 0)
            await fire.call(channel, STORAGE + "WriteFile", request)
        many = list((await brood(ground, fire, channel, 6, "unread")).items())
        for agent, _ in many:
            grant = access_pb2.CreateGrantRequest()
            grant.grant.grantee, grant.grant.resource = f"agents/{agent}", name
            grant.grant.actions.append("storage.read")
            await fire.call(channel, "access.v1.AccessService/CreateGrant", grant)
        everybody = [ground.metadata, *(how for _, how in many)]
        calls = []
        for n in range(64 * len(everybody)):
            how = everybody[n % len(everybody)]
            calls.append(_open(channel, STORAGE + "ReadFile", storage_pb2.ReadFileRequest(name=name), how))
            fire.tried += 1
        await asyncio.sleep(fire.left)
        for call in calls:
            call.cancel()


def _watches(ground: Ground) -> Iterator[tuple[str, Any]]:
    me = f"agents/{ground.agent}"
    while True:
        yield STORAGE + "WatchFiles", storage_pb2.WatchFilesRequest(parent=f"{me}/files")
        yield "agent.v1.AgentService/WatchAgents", agent_pb2.WatchAgentsRequest(parent=me)
        yield "access.v1.AccessService/WatchApprovals", access_pb2.WatchApprovalsRequest(agent=me)
        yield "tool.v1.ToolService/TakeCalls", tool_pb2.TakeCallsRequest(tools=["tools/none"])


@attack("watches", "2,000 watches that are left open")
async def watches(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:
        everybody = [ground.metadata, *(await brood(ground, fire, channel, 8, "watch")).values()]
        calls = []
        for n, (label, request) in zip(range(2_000), _watches(ground), strict=False):
            calls.append(_open(channel, label, request, everybody[n % len(everybody)]))
            fire.tried += 1
            if n % 50 == 0:
                await asyncio.sleep(0.02)
        await asyncio.sleep(fire.left)
        refused = sum(call.done() for call in calls)
        fire.answers["refused"] += refused
        fire.never(refused == 0, "2,000 watches of one tree were all let in")
        for call in calls:
            call.cancel()


@attack("slow-generations", "streams of tokens whose reader takes nothing")
async def slow_generations(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:
        calls = []
        for n in range(40):
            generation = inference_pb2.GenerateRequest(prompt=f"{n}", max_tokens=500)
            request = inference_pb2.StreamGenerateRequest(generation=generation)
            calls.append(
                _open(channel, "inference.v1.InferenceService/StreamGenerate", request, ground.metadata)
            )
            fire.tried += 1
        await asyncio.sleep(fire.left)
        for call in calls:
            call.cancel()


@attack("cut-connections", "connections that break in the middle of everything")
async def cut(ground: Ground, fire: Fire) -> None:
    async def shoot(number: int) -> None:
        async with ground.channel() as channel:
            generation = inference_pb2.GenerateRequest(prompt=f"{number}", max_tokens=200)
            request = inference_pb2.StreamGenerateRequest(generation=generation)
            call = _open(channel, "inference.v1.InferenceService/StreamGenerate", request, ground.metadata)
            fire.tried += 1
            with suppress(TimeoutError, grpc.aio.AioRpcError):
                async with asyncio.timeout(0.2):
                    await call.read()

    await fire.together(shoot, workers=16)
